"""The language model's head at the places that predict a response token: log-probabilities without keeping
the logits.

The logits of one piece at a time exist. Where all fit into one piece they are kept for the gradient, which
then costs two products and one pass over them; otherwise each piece is computed again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

# Logits held at once: rows of the head are done in pieces of about this many numbers.
HEAD_NUMBERS = 2**25


@dataclass(frozen=True)
class Predictions:
    """What predicts the n response tokens of a batch, in the order ranking, slot, place.

    states: (n, d) and the head that makes logits of them; or (n, V) logits themselves, and no head.
    """

    states: Tensor
    targets: Tensor
    head: Any | None

    @property
    def piece(self) -> int:
        """Rows done at once."""
        width = self.states.shape[1] if self.head is None else self.head.weight.shape[0]
        return max(1, HEAD_NUMBERS // width)

    def logits(self, states: Tensor) -> Tensor:
        """(rows, V), in single precision or better."""
        return _precise(states if self.head is None else self.head(states))


def _precise(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


def log_probabilities(predictions: Predictions) -> Tensor:
    """(n,) log-probability of each token in nats."""
    states, targets, head, piece = (
        predictions.states,
        predictions.targets,
        predictions.head,
        predictions.piece,
    )
    if type(head) is torch.nn.Linear:
        weight: Tensor = head.weight
        bias: Tensor | None = head.bias
        if torch.is_autocast_enabled(states.device.type):
            kind = torch.get_autocast_dtype(states.device.type)
            states, weight = states.to(kind), weight.to(kind)
            bias = None if bias is None else bias.to(kind)
        keep = len(targets) <= piece
        parts = zip(states.split(piece), targets.split(piece), strict=True)
        scored = [_HeadScore.apply(rows, weight, bias, wanted, keep) for rows, wanted in parts]
        return scored[0] if keep else torch.cat(scored)

    def score(rows: Tensor, wanted: Tensor) -> Tensor:
        logits = predictions.logits(rows)
        return logits.gather(1, wanted[:, None])[:, 0] - torch.logsumexp(logits, dim=1)

    return _in_pieces(score, states, targets, piece)


def _in_pieces(score: Callable[..., Tensor], *values: Any) -> Tensor:
    """`score` of the rows of several tensors; their piece is the last argument."""
    *tensors, piece = values
    if len(tensors[0]) <= piece:
        return score(*tensors)
    parts = zip(*(tensor.split(piece) for tensor in tensors), strict=True)
    return torch.cat([checkpoint(score, *part, use_reentrant=False) for part in parts])


class _HeadScore(torch.autograd.Function):
    """Log-probability of one target per row, with a gradient that needs no further copy of the logits."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, keep: bool
    ) -> Tensor:
        logits = _precise(F.linear(states, weight, bias))
        total = torch.logsumexp(logits, dim=1)
        ctx.save_for_backward(states, weight, bias, targets, total, logits if keep else None)
        return logits.gather(1, targets[:, None])[:, 0] - total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, bias, targets, total, logits = ctx.saved_tensors
        given = gradients[0]
        if logits is None:
            logits = _precise(F.linear(states, weight, bias))
        # d log p(target) = onehot - softmax, times what is given.
        slope = torch.exp(logits - total[:, None]).mul_(-given[:, None])
        slope.scatter_add_(1, targets[:, None], given[:, None].to(slope.dtype))
        slope = slope.to(states.dtype)
        of_states = slope @ weight if ctx.needs_input_grad[0] else None
        of_weight = slope.T @ states if ctx.needs_input_grad[1] else None
        of_bias = slope.sum(dim=0) if bias is not None and ctx.needs_input_grad[2] else None
        return of_states, of_weight, of_bias, None, None


def divergences(policy: Predictions, reference: Predictions) -> Tensor:
    """(n,) KL(reference || policy) of the next-token distributions, in nats; its gradient is the policy's."""

    def apart(rows: Tensor, others: Tensor) -> Tensor:
        own = F.log_softmax(policy.logits(rows), dim=1)
        known = F.log_softmax(reference.logits(others).detach(), dim=1)
        return (known.exp() * (known - own)).sum(dim=1)

    return _in_pieces(apart, policy.states, reference.states, max(1, policy.piece // 2))


def activation_mask(states: Tensor, owners: Tensor) -> Tensor:
    """(n,) how much the reference makes of each token: the size of its state, standardised over the response
    that `owners` (n,) names, cut off at zero. A response in which all tokens are alike counts whole.
    """
    size = states.float().abs().mean(dim=1)
    count = torch.zeros(int(owners.max()) + 1, device=size.device).index_add(0, owners, torch.ones_like(size))
    mean = torch.zeros_like(count).index_add(0, owners, size) / count.clamp(min=1)
    spread = torch.zeros_like(count).index_add(0, owners, (size - mean[owners]) ** 2) / count.clamp(min=1)
    scaled = (size - mean[owners]) / spread[owners].sqrt().clamp(min=1e-6)
    flat = spread[owners] < 1e-12
    return torch.where(flat, torch.ones_like(scaled), scaled.relu())
