"""A model whose weights are shared out among the processes of a run, so that none must hold all of them.

Asked for by `accelerate launch --use_fsdp`, done by torch's fully_shard (FSDP2): each process keeps its part
of every weight, of its gradient and of the optimiser's state; a layer's weights are gathered while the layer
is at work and dropped again. Rankings stay whole: what is shared out is the model, and each process scores
rankings of its own. Gathering takes all processes, so all must go through the model equally often.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map

from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.launching import Sharding

Result = TypeVar("Result")


def check_sharded(config: TrainingConfig, sharding: Sharding) -> None:
    """Raise TrainingError for settings that do not go with a model that is shared out."""
    if config.method == "qlora":
        raise TrainingError(
            "Four-bit weights cannot be sharded. Set method to lora, or launch without FSDP or DeepSpeed."
        )
    if config.online_kl:
        raise TrainingError(
            "online_kl writes texts in every step, which a model that is shared out does not. "
            "Set it to 0, or launch without FSDP or DeepSpeed."
        )
    if config.compile and sharding.way == "deepspeed":
        raise TrainingError("Under DeepSpeed the model is not compiled. Set compile to false.")


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


def share_out(
    model: Any,
    layers: Iterable[torch.nn.Module],
    device: torch.device,
    *,
    offload: bool = False,
    keep_outside: bool = False,
) -> Gathering:
    """Leave this process its part of each of the model's weights, on `device`; it may lie in main memory.

    With `offload` the parts wait in main memory, and are optimised there. With `keep_outside` what is outside
    of the layers, the head above all, stays whole after its first use.
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    away = CPUOffloadPolicy(pin_memory=device.type == "cuda") if offload else OffloadPolicy()
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, offload_policy=away)
    gathering = Gathering(model)
    fully_shard(gathering, mesh=mesh, reshard_after_forward=not keep_outside, offload_policy=away)
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
