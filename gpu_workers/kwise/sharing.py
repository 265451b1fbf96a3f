"""Several processes on one run: `accelerate launch` or `torchrun` start them, each with a part of every step.

A ranking stays whole on one of them. Each holds the whole model (data parallel), or a part of it (`sharding`:
sharding.py, zero.py). The gradients of the parts are summed, so that a step is that of one process up to
the order of the sum.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from gpu_workers.kwise.launching import Sharding, read_launcher

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """Which of how many processes this one is, and how they share the model out, if they do."""

    rank: int = 0
    world: int = 1
    sharding: Sharding | None = None

    @property
    def sharded(self) -> bool:
        """Whether a pass through the model takes all processes."""
        return self.sharding is not None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def of(self, items: Sequence[Item]) -> list[Item]:
        """This process's part, every `world`-th."""
        return self.all_of(items)[self.rank]

    def all_of(self, items: Sequence[Item]) -> list[list[Item]]:
        """The parts of all processes, in their order."""
        return [list(items[rank :: self.world]) for rank in range(self.world)]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum every gradient over the processes; a parameter that took no part here counts as zero."""
        if self.world == 1 or self.sharded:
            return  # sharded, they were summed on the way back
        wanted = list(parameters)
        for parameter in wanted:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([parameter.grad.flatten() for parameter in wanted if parameter.grad is not None])
        dist.all_reduce(flat)
        at = 0
        for parameter in wanted:
            assert parameter.grad is not None
            parameter.grad.copy_(flat[at : at + parameter.numel()].view_as(parameter))
            at += parameter.numel()

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in their order."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def any(self, wanted: bool) -> bool:
        """Whether one of the processes says so. All must ask."""
        if self.world == 1:
            return wanted
        said = torch.tensor(float(wanted))
        if dist.get_backend() == "nccl":
            said = said.cuda()
        dist.all_reduce(said, op=dist.ReduceOp.MAX)
        return bool(said)

    def spread(self, tensor: Tensor) -> Tensor:
        """The first process's values, on all."""
        if self.world > 1:
            dist.broadcast(tensor, src=0)
        return tensor


ALONE = Share()


def join_processes() -> Share:
    """The processes that the launcher started, connected; alone where there is one. Raises TrainingError
    for a way to shard the model that this trainer does not have.
    """
    sharding = read_launcher()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 and not (sharding and sharding.offloads):
        return ALONE
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not dist.is_initialized():
        # What lies in main memory is summed there.
        gpu = "cpu:gloo,cuda:nccl" if sharding and sharding.offloads else "nccl"
        _connect(gpu if cuda else "gloo")
    return Share(dist.get_rank(), dist.get_world_size(), sharding)


def _connect(backend: str) -> None:
    """Join the group. Started again on one machine (--max_restarts), the processes meet at the launcher's
    store, where torch 2.13 leaves the addresses of those before them: there they take a corner of their own.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if attempt == "0" or os.environ.get("LOCAL_WORLD_SIZE") != os.environ.get("WORLD_SIZE"):
        dist.init_process_group(backend)
        return
    store, rank, world = next(rendezvous("env://"))
    corner = PrefixStore(f"attempt-{attempt}", store)
    dist.init_process_group(backend, store=corner, rank=rank, world_size=world)


def lost_another(error: BaseException) -> bool:
    """Whether a process of the run is gone that this one was talking to."""
    gone = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
    return isinstance(error, dist.DistBackendError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in gone)
    )


def leave_processes() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
