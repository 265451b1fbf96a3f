"""A model whose weights are shared out among the processes of a run, so that none must hold all of them.

Asked for by `accelerate launch --use_fsdp`, done by torch's fully_shard (FSDP2): each process keeps its part
of every weight, of its gradient and of the optimiser's state; a layer's weights are gathered while the layer
is at work and dropped again. Rankings stay whole: what is shared out is the model, and each process scores
rankings of its own. Gathering takes all processes, so all must go through the model equally often.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map

from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.objectives import Objective

Result = TypeVar("Result")

# What `accelerate launch` says of FSDP, and what of it is done here. The rest is how weights are wrapped,
# loaded and saved, which is the trainer's own affair.
LAUNCHED = {
    "FSDP_SHARDING_STRATEGY": ("FULL_SHARD", "1"),
    "FSDP_RESHARD_AFTER_FORWARD": ("true", "FULL_SHARD"),
    "FSDP_OFFLOAD_PARAMS": ("false",),
    "FSDP_ACTIVATION_CHECKPOINTING": ("false",),
    "FSDP_ACTIVATION_CHECKPOINTING_OFFLOAD": ("false",),
}

SHORT_OF_MEMORY = (
    "Memory ran out in one of the processes that share the model. Set micro_batch, gradient_checkpointing or "
    "gradient_cache in another output folder."
)


def check_launcher() -> None:
    """Raise TrainingError where the launcher wants weights shared out in another way than is done here."""
    for name, known in LAUNCHED.items():
        said = os.environ.get(name, known[0])
        if said.lower() not in [value.lower() for value in known]:
            hint = " Set gradient_checkpointing in the run's settings." if "CHECKPOINTING" in name else ""
            raise TrainingError(
                f"The launcher's {name.lower()} is {said}; this trainer shards with {known[0]}.{hint}"
            )


def check_sharded(config: TrainingConfig, objective: Objective) -> None:
    """Raise TrainingError for settings that do not go with a model that is shared out."""
    if config.method == "qlora":
        raise TrainingError("Four-bit weights cannot be sharded. Set method to lora, or launch without FSDP.")
    if config.compile:
        raise TrainingError("A sharded model is not compiled. Set compile to false, or launch without FSDP.")
    if objective.level == "distributions":
        raise TrainingError(
            f"The objective {objective.name} needs a second model beside the first, which is not sharded. "
            "Choose another objective, or launch without FSDP."
        )


class Gathering(torch.nn.Module):
    """Does work while the weights outside of the layers are gathered, and each layer's in its turn."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[], Result]) -> Result:
        found: Result = tree_map(_for_itself, work())
        return found


def _for_itself(given: Any) -> Any:
    """A tensor that is no view: FSDP hangs hooks on what is given, and work in place on a view loses them."""
    return given.clone() if isinstance(given, Tensor) and given.requires_grad and given._is_view() else given


def share_out(model: Any, layers: Iterable[torch.nn.Module], device: torch.device) -> Gathering:
    """Leave this process its part of each of the model's weights, on `device`; it may lie in main memory."""
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    gathering = Gathering(model)
    fully_shard(gathering, mesh=mesh, reshard_after_forward=True)
    for part in gathering.modules():
        if isinstance(part, FSDPModule):
            # Losses are divided by the weight of the whole step: gradients add up. Gloo knows sums alone.
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)
    # Of a mixture of experts, one process may use what another does not.
    gathering.set_reduce_scatter_unused_params(True)  # type: ignore[operator]
    return gathering


def whole(tensor: Tensor) -> Tensor:
    """The tensor, gathered where it is shared out. All processes must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_like(value: Tensor, like: Tensor) -> Tensor:
    """The part of a whole tensor that this process has of `like`; all of it where nothing is shared out."""
    if not isinstance(like, DTensor) or isinstance(value, DTensor) or value.shape != like.shape:
        return value
    there = value.to(like.device)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)


def put(values: Mapping[str, Tensor], parameters: Mapping[str, torch.nn.Parameter]) -> None:
    """Give the parameters the values of their names, whole or this process's part."""
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(part_like(values[name], parameter))


def gathered(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """The tensors whole and in main memory, one after the other; nothing of them without `keep`."""
    found = {}
    for name, tensor in tensors.items():
        one = whole(tensor.detach())
        if keep:
            found[name] = one.cpu()
    return found
