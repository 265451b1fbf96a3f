"""Opens the base of a run: model, tokenizer, device and number type, and the hash that names its revision."""

import copy
import hashlib
import resource
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.launching import Sharding
from gpu_workers.kwise.objectives import Objective
from gpu_workers.kwise.optimiser import Optimiser
from gpu_workers.kwise.sharding import share_out

Result = TypeVar("Result")

# The files that make a checkpoint what it is; notes and read-me files beside them do not.
REVISION_FILES = ("*.safetensors", "config.json", "tokenizer*", "*.jinja", "special_tokens_map.json")


@dataclass
class Base:
    """An open checkpoint. `stored_dtype` is the number type its weights are kept in on disk; with `quantised`
    they are in four bits here. `frozen` is a copy that is not trained. `gathering` is there once the weights
    are shared out among processes, and `optimiser` where that brings one of its own.
    """

    model: Any
    tokenizer: Any
    sha256: str
    folder: Path
    device: torch.device
    compute_dtype: torch.dtype
    stored_dtype: torch.dtype
    quantised: bool = False
    frozen: "Base | None" = None
    gathering: Callable[[Callable[[], Any]], Any] | None = None
    optimiser: Optimiser | None = None

    @property
    def context(self) -> int:
        """The most tokens that the model can see."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 2**20)

    @property
    def numbers(self) -> str:
        """What the model computes in, by name: four-bit weights give other log-probabilities."""
        return str(self.compute_dtype).removeprefix("torch.") + ("-nf4" if self.quantised else "")

    def precision(self) -> AbstractContextManager[Any]:
        """Where forward passes run: autocast for bfloat16, with parameters kept as they are."""
        if self.compute_dtype is torch.float32:
            return nullcontext()
        # Parameters stay float32 (or the adapter's do); products run in bfloat16. Of a model that is shared
        # out, no layer's weights may be kept when it is done.
        kept = self.gathering is None
        return torch.autocast(self.device.type, dtype=self.compute_dtype, cache_enabled=kept)

    def keep_frozen_copy(self) -> None:
        """Keep the model as it is now beside the one that is trained."""
        self.frozen = replace(self, model=copy.deepcopy(self.model).requires_grad_(False).eval())

    def share_out(self, sharding: Sharding, config: TrainingConfig) -> None:
        """Leave each process its part of the weights, and of the frozen copy's."""
        if self.frozen is not None:
            frozen = self.frozen
            frozen.gathering = share_out(frozen.model, frozen._layers(), self.device, keep_outside=True)
        if sharding.way == "deepspeed":
            from gpu_workers.kwise.zero import Engine  # nobody else needs DeepSpeed to be there

            self.gathering = self.optimiser = Engine(self.model, self.device, sharding, config)
        else:
            self.gathering = share_out(self.model, self._layers(), self.device, offload=sharding.offloads)

    def with_weights(self, work: Callable[[], Result]) -> Result:
        """What `work` gives. It may go through the model; shared out weights are gathered meanwhile."""
        if self.gathering is None:
            return work()
        found: Result = self.gathering(work)
        return found

    def compile(self) -> None:
        """Have torch compile the model's layers, where its compiler works; a layer at a time, so that shapes
        of rankings may differ.
        """
        for layer in self._layers():
            layer.compile(dynamic=True)

    def _layers(self) -> list[torch.nn.Module]:
        adapted = hasattr(self.model, "get_base_model")
        decoder = (self.model.get_base_model() if adapted else self.model).get_decoder()
        return [one for part in decoder.children() if isinstance(part, torch.nn.ModuleList) for one in part]


def needs_frozen_copy(config: TrainingConfig, objective: Objective) -> bool:
    """Whether steps go through the reference too, and it is not the model without its adapter."""
    asked = objective.level == "distributions" or config.online_kl > 0
    return asked and config.method == "full"


def find_device(name: str) -> torch.device:
    """The device of that name, or the best one there is for "auto". Raises TrainingError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(f'The device "{name}" cannot be used: {str(error).splitlines()[0]}') from None
    return device


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has held: of the device's memory on a GPU, else of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    # Linux: getrusage also counts what the process that started this one held at that moment.
    status = Path("/proc/self/status")
    held = (
        [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        if status.exists()
        else []
    )
    if held:
        return int(held[0].split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)


def check_base(folder: Path) -> None:
    """Raise TrainingError unless `folder` holds a checkpoint in safetensors with its tokenizer."""
    if not folder.is_dir():
        raise TrainingError(f"There is no checkpoint folder {folder}.")
    if not (folder / "config.json").is_file():
        raise TrainingError(f"The folder {folder} is no checkpoint: it has no config.json.")
    if not list(folder.glob("*.safetensors")):
        raise TrainingError(
            f"The checkpoint {folder} has no .safetensors file. "
            "Other formats can run code when they are opened: convert it first."
        )
    if not list(folder.glob("tokenizer*")):
        raise TrainingError(f"The checkpoint {folder} has no tokenizer beside it.")


def revision_hash(folder: Path) -> str:
    """One hash of all that the model and its tokenizer are made of."""
    digest = hashlib.sha256()
    for file in sorted({file for pattern in REVISION_FILES for file in folder.glob(pattern)}):
        with file.open("rb") as handle:
            digest.update(f"{file.name} {hashlib.file_digest(handle, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def open_base(config: TrainingConfig, *, in_main_memory: bool = False) -> Base:
    """Load the base checkpoint, ready to train: no dropout of its own, attention that takes a mask.

    With `in_main_memory` the model is not yet put on its device, which may be too small for it.

    Raises TrainingError where it is missing, is not safetensors, or cannot be read.
    """
    folder = Path(config.base)
    check_base(folder)
    transformers_logging.disable_progress_bar()
    device = find_device(config.device)
    compute = {"float32": torch.float32, "bfloat16": torch.bfloat16}.get(
        config.dtype, torch.bfloat16 if device.type == "cuda" else torch.float32
    )
    # Full fine-tuning keeps float32 parameters: at small learning rates a bfloat16 one does not move.
    kept = torch.float32 if config.method == "full" else compute
    loading = quantisation(device, compute) if config.method == "qlora" else {}
    model, tokenizer, stored = _load(folder, kept, loading)
    _drop_dropout(model)
    if loading:
        _keep_packing(model)
    elif not in_main_memory:
        model = model.to(device)
    return Base(model, tokenizer, revision_hash(folder), folder, device, compute, stored, bool(loading))


def quantisation(device: torch.device, compute: torch.dtype) -> dict[str, Any]:
    """How to load four-bit weights onto the device (QLoRA: Dettmers et al. 2023, arXiv 2305.14314). Raises
    TrainingError where they cannot be.
    """
    if not find_spec("bitsandbytes"):
        raise TrainingError(
            "The method qlora needs the package bitsandbytes (pip install '.[qlora]' in the project's "
            "folder). Install it, or set method to lora."
        )
    if device.type not in ("cuda", "cpu"):
        raise TrainingError(
            f"The method qlora runs on an NVIDIA GPU or a CPU, not on {device}. Set method to lora."
        )
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
    # Of several processes each has a GPU of its own, chosen when they joined.
    place = "cpu" if device.type == "cpu" else torch.cuda.current_device()
    return {"quantization_config": settings, "device_map": {"": place}}


def _keep_packing(model: Any) -> None:
    """Some CPUs lay four-bit weights out anew for a pass without gradient, and then send wrong gradients back
    through them (bitsandbytes 0.50): have them stay as they are.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _load(folder: Path, kept: torch.dtype, loading: Mapping[str, Any]) -> tuple[Any, Any, torch.dtype]:
    """The model with its numbers `kept` as told, the tokenizer, and the number type on disk."""
    opened: Any
    try:
        settings = AutoConfig.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        opened = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=kept,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation="sdpa",
            output_loading_info=True,
            **loading,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TrainingError(f"The checkpoint {folder} cannot be opened: {reason}") from None
    model, told = opened
    if told["missing_keys"]:
        lacking = sorted(told["missing_keys"])[0]
        raise TrainingError(f"The checkpoint {folder} is not whole: it lacks {lacking}.")
    return model, tokenizer, settings.dtype or torch.float32


def _drop_dropout(model: Any) -> None:
    """Policy and reference must differ by training alone."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0


def add_lora(base: Base, config: TrainingConfig) -> None:
    """Put LoRA adapters on the base's model: only they are trained, and without them it is the reference."""
    from peft import LoraConfig, get_peft_model

    settings = config.lora
    adapter = LoraConfig(
        r=settings["r"],
        lora_alpha=settings["alpha"],
        lora_dropout=settings["dropout"],
        target_modules=settings["target_modules"],
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5.23 by a name that it warns of.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            base.model = get_peft_model(base.model, adapter)
    except ValueError as error:
        raise TrainingError(f"LoRA cannot be put on this base: {str(error).splitlines()[0]}") from None
    for parameter in base.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
