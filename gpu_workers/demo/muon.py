"""Muon for the hidden matrices of a small model on a CPU.

The update of each matrix is its momentum with all singular values brought near one,
by a quintic Newton-Schulz iteration (Keller Jordan and others, 2024, "Muon: an optimizer
for hidden layers in neural networks"). PyTorch's own works in bfloat16, one matrix after
the other; here matrices of one shape go through together in float32, which on a
processor without bfloat16 arithmetic is several times quicker.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Coefficients of the iteration's quintic, as published.
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalised(matrices: Tensor, *, steps: int = 4) -> Tensor:
    """`matrices` (n, rows, columns) with their singular values brought near one (0.7 to 1.2)."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT  # (n, rows, rows)
        x = A * x + torch.baddbmm(B * gram, gram, gram, alpha=C) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum, for two-dimensional parameters only."""

    def __init__(self, params: Iterable[Tensor], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # never a loss
        if closure is not None:
            raise ValueError("This optimizer takes no closure.")
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                updates = orthogonalised(torch.stack([self._momentum(p, group) for p in parameters]))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.add_(update, alpha=-group["lr"] * scale)

    def _momentum(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        if parameter.grad is None:
            raise ValueError("A parameter without a gradient has no momentum.")
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
        return parameter.grad.lerp(state["momentum"], group["momentum"])
