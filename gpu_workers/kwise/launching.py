"""What `accelerate launch` says about sharing a model out among processes, as far as it is done here.

What else it says, of wrapping, loading, saving and number types, is the trainer's own affair.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpu_workers.kwise.errors import TrainingError


@dataclass(frozen=True)
class Sharding:
    """How a model is shared out: by torch's fully_shard ("fsdp") or by DeepSpeed ("deepspeed").

    stage: of DeepSpeed's ZeRO: 1 shares out the optimiser's state, 2 the gradients too, 3 the weights too, as
    fully_shard does. `offloads`: something of it lies in main memory. zero: DeepSpeed's own settings.
    """

    way: str = "fsdp"
    stage: int = 3
    offloads: bool = False
    zero: Mapping[str, Any] = field(default_factory=dict)

    @property
    def of_weights(self) -> bool:
        """Whether each process has a part of the weights alone."""
        return self.stage == 3


FSDP = {
    "FSDP_SHARDING_STRATEGY": ("FULL_SHARD", "1"),
    "FSDP_RESHARD_AFTER_FORWARD": ("true", "FULL_SHARD"),
    "FSDP_OFFLOAD_PARAMS": ("false", "true"),
    "FSDP_ACTIVATION_CHECKPOINTING": ("false",),
    "FSDP_ACTIVATION_CHECKPOINTING_OFFLOAD": ("false",),
}

# What a DeepSpeed configuration may leave to the trainer, and the run's setting that decides it.
DECIDED = {
    "train_batch_size": "batch_size",
    "train_micro_batch_size_per_gpu": "micro_batch",
    "gradient_accumulation_steps": "micro_batch",
    "gradient_clipping": "max_grad_norm",
    "optimizer": "learning_rate and weight_decay",
    "scheduler": "schedule and warmup",
    "fp16": "dtype",
    "bf16": "dtype",
    "torch_autocast": "dtype",
    "activation_checkpointing": "gradient_checkpointing",
}
PASSED_OVER = {
    "steps_per_print",
    "wall_clock_breakdown",
    "zero_allow_untested_optimizer",
    "zero_force_ds_cpu_optimizer",
}
# Of the part zero_optimization: how it goes about its work. The rest would change what comes out.
ZERO = {"stage", "offload_optimizer", "offload_param", "overlap_comm", "contiguous_gradients"}
ZERO |= {"reduce_scatter", "reduce_bucket_size", "allgather_partitions", "allgather_bucket_size"}
ZERO |= {"sub_group_size", "round_robin_gradients", "stage3_prefetch_bucket_size"}
ZERO |= {"stage3_param_persistence_threshold", "stage3_max_live_parameters", "stage3_max_reuse_distance"}
ZERO_PASSED_OVER = {"stage3_gather_16bit_weights_on_model_save"}


def read_launcher() -> Sharding | None:
    """How the launcher wants the model shared out; None where it does not. Raises TrainingError for a way
    that is not had here.
    """
    if _launched_with("DEEPSPEED"):
        return _read_deepspeed()
    return _read_fsdp() if _launched_with("FSDP") else None


def _launched_with(way: str) -> bool:
    return os.environ.get(f"ACCELERATE_USE_{way}", "false").lower() == "true"


def _read_fsdp() -> Sharding:
    for name, known in FSDP.items():
        said = os.environ.get(name, known[0])
        if said.lower() not in [value.lower() for value in known]:
            hint = " Set gradient_checkpointing in the run's settings." if "CHECKPOINTING" in name else ""
            raise TrainingError(
                f"The launcher's {name.lower()} is {said}; this trainer shards with {known[0]}.{hint}"
            )
    return Sharding(offloads=os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true")


def _read_deepspeed() -> Sharding | None:
    if find_spec("deepspeed") is None:
        raise TrainingError(
            "The launcher is set to DeepSpeed, which is not installed here: pip install '.[deepspeed]' in "
            "the project's folder. Or launch with --use_fsdp."
        )
    file = os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    return _checked(_from_launcher() if file == "none" else _from_file(Path(file)))


def _checked(zero: Mapping[str, Any]) -> Sharding | None:
    stage = zero.get("stage", 2)
    if stage not in (0, 1, 2, 3):
        raise TrainingError(f"DeepSpeed's ZeRO has the stages 0 to 3; the launcher wants {stage}.")
    places = [zero.get(name, {}).get("device", "none") for name in ("offload_optimizer", "offload_param")]
    for place in places:
        if place not in ("none", "cpu"):
            raise TrainingError(f"DeepSpeed is to offload to {place}; this trainer offloads to cpu or none.")
    if places[1] == "cpu" and stage != 3:
        raise TrainingError("DeepSpeed offloads parameters at ZeRO stage 3 alone. Set --zero_stage 3.")
    if stage == 0 and "cpu" in places:
        raise TrainingError("DeepSpeed offloads at the ZeRO stages 1 to 3. Set --zero_stage.")
    # At stage 0 nothing is shared out: every process has the whole model.
    return Sharding("deepspeed", stage, "cpu" in places, zero) if stage else None


def _from_launcher() -> dict[str, Any]:
    """The part zero_optimization that the launcher's own options amount to."""
    for name, usual in (("gradient_accumulation_steps", "1"), ("gradient_clipping", "auto")):
        value = os.environ.get(f"ACCELERATE_{name.upper()}", usual)
        if value not in (usual, "auto"):
            raise _not_decided_there(f"The launcher's {name} is {value}", name)
    stage = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    zero: dict[str, Any] = {"stage": int(stage) if stage.isdigit() else stage}
    for short, name in (("OPTIMIZER", "offload_optimizer"), ("PARAM", "offload_param")):
        device = os.environ.get(f"ACCELERATE_DEEPSPEED_OFFLOAD_{short}_DEVICE", "none")
        if device != "none":
            zero[name] = {"device": device}
    return zero


def _from_file(file: Path) -> dict[str, Any]:
    """The part zero_optimization of a DeepSpeed configuration, in which nothing else is decided."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"The DeepSpeed configuration {file} cannot be read: {error}.") from None
    if not isinstance(said, dict) or not isinstance(said.get("zero_optimization", {}), dict):
        raise TrainingError(f"The DeepSpeed configuration {file} is no object of settings.")
    for name, value in said.items():
        if name in DECIDED and not _left_open(name, value):
            raise _not_decided_there(f"The DeepSpeed configuration {file} sets {name}", name)
        if name not in {*DECIDED, *PASSED_OVER, "zero_optimization"}:
            raise TrainingError(f"The DeepSpeed configuration {file} sets {name}, which is not done here.")
    zero = {name: one for name, one in said.get("zero_optimization", {}).items() if one != "auto"}
    for name in zero:
        if name not in ZERO | ZERO_PASSED_OVER:
            raise TrainingError(
                f"The DeepSpeed configuration {file} sets zero_optimization.{name}, which is not done here."
            )
    return {name: value for name, value in zero.items() if name in ZERO and value is not None}


def _left_open(name: str, value: Any) -> bool:
    """Whether a part of the configuration decides nothing: "auto" throughout, or switched off."""
    if isinstance(value, dict) and name in ("fp16", "bf16", "torch_autocast"):
        return value.get("enabled", False) in ("auto", False)
    if isinstance(value, dict):
        return all(key == "type" or _left_open(key, one) for key, one in value.items())
    return value in ("auto", False, None) or (name == "gradient_accumulation_steps" and value == 1)


def _not_decided_there(said: str, name: str) -> TrainingError:
    return TrainingError(
        f"{said}; say it by {DECIDED[name]} in the run's settings, and leave it out there or auto."
    )
