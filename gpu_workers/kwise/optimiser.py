"""The optimiser of a run: AdamW on the trained parameters, each whole in every process, or a part of each.

What DeepSpeed's engine has in its place: zero.py. Policy and checkpoints know what both promise, no more.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor

from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.sharding import gathered, part_like, put, whole
from gpu_workers.kwise.sharing import Share

Remembered = dict[str, dict[str, Tensor]]  # what AdamW keeps of each parameter: step, exp_avg, exp_avg_sq


class Optimiser(Protocol):
    """What becomes of gradients. Of several processes, all must call the same."""

    def clear(self) -> None:
        """Forget the gradients."""

    def step(self, rate: float) -> float:
        """Sum the gradients over the processes, clip their norm, and take a step. Returns the norm before it
        was clipped; where that is no number nothing was changed.
        """

    def values(self, *, keep: bool) -> dict[str, Tensor]:
        """The trained parameters, whole and in main memory; none of them without `keep`."""

    def remembered(self, *, keep: bool) -> Remembered:
        """What it keeps of each parameter, whole and in main memory; nothing without `keep`."""

    def take(self, values: Mapping[str, Tensor], remembered: Remembered) -> None:
        """Go on from what `values` and `remembered` gave."""

    def lent(self, values: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """The model has these values, whole ones, meanwhile."""


class AdamW:
    """torch's AdamW."""

    def __init__(
        self, parameters: Mapping[str, torch.nn.Parameter], config: TrainingConfig, share: Share
    ) -> None:
        self.parameters, self.share, self.most = dict(parameters), share, config.max_grad_norm
        self.inner = torch.optim.AdamW(
            self.parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def clear(self) -> None:
        self.inner.zero_grad(set_to_none=True)

    def step(self, rate: float) -> float:
        self.share.sum_gradients(self.parameters.values())
        norm = float(whole(torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.most)))
        if math.isfinite(norm):
            for group in self.inner.param_groups:
                group["lr"] = rate
            self.inner.step()
        return norm

    def values(self, *, keep: bool) -> dict[str, Tensor]:
        return gathered(self.parameters, keep=keep)

    def remembered(self, *, keep: bool) -> Remembered:
        known = self.inner.state
        return {
            name: gathered(known[parameter], keep=keep)
            for name, parameter in self.parameters.items()
            if parameter in known
        }

    def take(self, values: Mapping[str, Tensor], remembered: Remembered) -> None:
        put(values, self.parameters)
        state = {
            number: {key: part_like(value, parameter) for key, value in remembered[name].items()}
            for number, (name, parameter) in enumerate(self.parameters.items())
            if name in remembered
        }
        # Through its own door, which puts each tensor where the parameter is.
        self.inner.load_state_dict({"state": state, "param_groups": self.inner.state_dict()["param_groups"]})

    @contextmanager
    def lent(self, values: Mapping[str, Tensor]) -> Iterator[None]:
        own = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        try:
            put(values, self.parameters)
            yield
        finally:
            put(own, self.parameters)
