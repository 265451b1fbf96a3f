"""Checkpoints that are loaded: one copy of a base for all contestants on it, with their LoRA adapters beside.

A base lives as long as a backend holds it. Adapters are put into the same weights by PEFT and switched
per batch, so that ten adapters of a 7B model take the memory of one model and ten adapters.
"""

import hashlib
import json
import threading
import warnings
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from gpu_workers.backends.base import BackendError, ContestantSpec
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.models import check_base, find_device

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def place() -> tuple[torch.device, torch.dtype]:
    """Where models run, and in what: the one place that decides. bfloat16 on a GPU, float32 on a CPU."""
    device = find_device("auto")
    return device, torch.bfloat16 if device.type == "cuda" else torch.float32


class LoadedBase:
    """A model, its tokenizer and the adapters that were put on it."""

    def __init__(self, spec: ContestantSpec) -> None:
        self.device, self.dtype = place()
        self.model, self.tokenizer = _loaded(spec, self.device, self.dtype)
        # One text at a time goes through the model with one adapter.
        self.lock = threading.Lock()
        self._peft: Any = None
        self._names: dict[str, str] = {}

    def add(self, adapter: str) -> str:
        """Put the adapter on and give its name here. Raises BackendError."""
        folder = Path(adapter).expanduser()
        digest = adapter_hash(folder)
        with self.lock:
            if digest in self._names:
                return self._names[digest]
            name = f"adapter_{len(self._names)}"
            try:
                # PEFT 0.21 asks transformers 5 by a name that is on its way out.
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
                    self._put_on(folder, name)
            except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise BackendError(f"The adapter {adapter} does not fit its checkpoint: {reason}") from error
            self.model.eval()
            self._names[digest] = name
            return name

    def _put_on(self, folder: Path, name: str) -> None:
        if self._peft is None:
            self._peft = PeftModel.from_pretrained(self.model, str(folder), adapter_name=name)
        else:
            self._peft.load_adapter(str(folder), adapter_name=name)

    def use(self, name: str) -> None:
        """Switch to this adapter, or with "" to the base alone. The caller holds the lock."""
        if self._peft is None:
            return
        if name:
            self._peft.base_model.enable_adapter_layers()
            self._peft.set_adapter(name)
        else:
            self._peft.base_model.disable_adapter_layers()


_bases: "WeakValueDictionary[tuple[Any, ...], LoadedBase]" = WeakValueDictionary()
_lock = threading.Lock()


def base_of(spec: ContestantSpec) -> LoadedBase:
    """The loaded checkpoint of this contestant, shared with all that are on it. Raises BackendError."""
    folder = Path(spec.checkpoint).expanduser()
    written = tuple(sorted(file.stat().st_mtime_ns for file in folder.glob("*"))) if folder.is_dir() else ()
    key = (spec.checkpoint, spec.revision, written)
    with _lock:
        base = _bases.get(key)
        if base is None:
            base = _bases[key] = LoadedBase(spec)
        return base


def adapter_hash(folder: Path) -> str:
    """Checksum of the adapter's two files. Raises BackendError unless it is a plain LoRA in safetensors."""
    for name in ADAPTER_FILES:
        if not (folder / name).is_file():
            raise BackendError(f"The adapter {folder} has no {name}.")
    try:
        config = json.loads((folder / ADAPTER_FILES[0]).read_text(encoding="utf-8"))
    except ValueError:
        raise BackendError(f"The adapter {folder} has a damaged {ADAPTER_FILES[0]}.") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise BackendError(f"The adapter {folder} is not a plain LoRA adapter.")
    digest = hashlib.sha256()
    for name in ADAPTER_FILES:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _loaded(spec: ContestantSpec, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    folder = Path(spec.checkpoint).expanduser()
    is_folder = folder.exists() or spec.checkpoint.startswith(("/", "~", "."))
    where: dict[str, Any] = {"trust_remote_code": False, "local_files_only": is_folder}
    if spec.revision and not is_folder:
        where["revision"] = spec.revision
    name = str(folder) if is_folder else spec.checkpoint
    transformers_logging.disable_progress_bar()
    try:
        if is_folder:
            check_base(folder)
        tokenizer = AutoTokenizer.from_pretrained(name, **where)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, use_safetensors=True, **where)
    except TrainingError as error:
        raise BackendError(str(error)) from None
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BackendError(f"The checkpoint {spec.checkpoint} cannot be opened: {reason}") from error
    return model.to(device).eval(), tokenizer  # type: ignore[arg-type]  # transformers wraps it untyped
