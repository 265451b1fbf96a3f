"""What an objective is, and the table that all of them enter."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from gpu_workers.kwise.config import nearest
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.votes import VoteBatch

# Sums over all orders of tied responses visit 2**K sets.
LARGEST_K = 12
# What an objective looks at: whole responses, their tokens, or also the reference's whole distribution
# at each token.
LEVELS = ("responses", "tokens", "distributions")
FAMILIES = {
    "listwise": "The whole ranking",
    "pairwise": "Every pair that the vote orders",
    "absolute": "Each response on its own",
    "ties": "Pairs, with ties as outcomes of their own",
    "tokens": "Token by token",
    "reward": "Reward models",
}


@dataclass(frozen=True)
class TokenScores:
    """Per token of each response, (batch, K, T), zero behind a response's end.

    policy, reference: log-probabilities in nats. divergence: KL(reference || policy) of the next-token
    distribution in nats; mask: how much the reference's own activations make of each token, from 0. Both only
    where the objective looks at distributions.
    """

    policy: Tensor
    reference: Tensor
    divergence: Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class Scores:
    """Log-probabilities of whole responses in nats, lengths in tokens, each (batch, K); finite where
    absent.
    """

    policy: Tensor
    reference: Tensor
    lengths: Tensor
    tokens: TokenScores | None = None

    @property
    def log_ratios(self) -> Tensor:
        return self.policy - self.reference

    def detach(self) -> "Scores":
        """For what is watched: without tokens and without a graph."""
        return replace(self, policy=self.policy.detach(), tokens=None)


class Option(NamedTuple):
    """A setting of one objective: its default, and the range of what is accepted, `high` not included."""

    default: float
    low: float
    high: float = math.inf
    above: bool = False  # above low, not from it

    def accepts(self, value: float) -> bool:
        return (value > self.low if self.above else value >= self.low) and value < self.high

    @property
    def accepted(self) -> str:
        below = "" if self.high == math.inf else f" and below {self.high:g}"
        return f"{'above' if self.above else 'from'} {self.low:g}{below}"


@dataclass(frozen=True)
class Objective:
    """One objective, with where it comes from. `options` are its own settings.

    over_batch: the loss of a ranking depends on the others of its step, so that the step is scored whole
    before any gradient is taken. needs_rewards: wants the explicit rewards of a reward model. has_nll: keeps
    the winner's probability up by itself. uses_all_bad: learns from votes that say all bad.
    head: how many numbers a reward model's head gives per response; 0: no reward model.
    """

    name: str
    losses: Callable[..., Tensor]
    family: str
    paper: str
    equation: str
    options: Mapping[str, Option] = field(default_factory=dict)
    uses_ties: bool = False
    needs_reference: bool = True
    level: str = "responses"
    over_batch: bool = False
    needs_rewards: bool = False
    has_nll: bool = False
    uses_all_bad: bool = False
    head: int = 0

    def __call__(self, scores: Scores, votes: VoteBatch, *, beta: float, **options: float) -> Tensor:
        defaults = {name: option.default for name, option in self.options.items()}
        return self.losses(scores, votes, beta=beta, **{**defaults, **options})


OBJECTIVES: dict[str, Objective] = {}


def objective(
    name: str,
    *,
    family: str,
    paper: str,
    equation: str,
    uses_ties: bool = False,
    needs_reference: bool = True,
    level: str = "responses",
    over_batch: bool = False,
    needs_rewards: bool = False,
    has_nll: bool = False,
    uses_all_bad: bool = False,
    head: int = 0,
    **options: Option,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Enter a function into the table of objectives."""

    def enter(losses: Callable[..., Tensor]) -> Callable[..., Tensor]:
        OBJECTIVES[name] = Objective(
            name=name,
            losses=losses,
            family=family,
            paper=paper,
            equation=equation,
            options=options,
            uses_ties=uses_ties,
            needs_reference=needs_reference,
            level=level,
            over_batch=over_batch,
            needs_rewards=needs_rewards,
            has_nll=has_nll,
            uses_all_bad=uses_all_bad,
            head=head,
        )
        return losses

    return enter


def find_objective(name: str, options: Mapping[str, float]) -> Objective:
    """The objective of that name. Raises TrainingError for an unknown name or option."""
    if name not in OBJECTIVES:
        raise TrainingError(f'There is no objective "{name}". {nearest(name, OBJECTIVES)}')
    found = OBJECTIVES[name]
    for option, value in options.items():
        if option not in found.options:
            known = nearest(option, found.options) if found.options else "It has none."
            raise TrainingError(f'The objective {name} has no option "{option}". {known}')
        if not found.options[option].accepts(value):
            accepted = found.options[option].accepted
            raise TrainingError(f"The option {option} of {name} is {value:g}; accepted is {accepted}.")
    return found


def gaps_of(rewards: Tensor) -> Tensor:
    """(batch, K, K): the reward of i minus that of j."""
    return rewards[:, :, None] - rewards[:, None, :]


def mean_over(losses: Tensor, weights: Tensor) -> Tensor:
    """(batch,) mean of (batch, K, K) losses under weights of the same shape; 0 where all are 0."""
    weights = weights.to(losses.dtype)
    total = torch.where(weights > 0, losses, torch.zeros_like(losses)) * weights
    return total.sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp(min=1e-12)


def per_token(values: Tensor, scores: Scores) -> Tensor:
    """(batch, K) of whole responses divided by their lengths."""
    return values / scores.lengths.clamp(min=1)


def winner_nll(scores: Scores, votes: VoteBatch) -> Tensor:
    """(batch,) negative log-probability per token of the best response; their mean where the top is shared.

    Added with `sft_weight` it keeps the winner's probability up (Pang et al. 2024, arXiv 2404.19733).
    """
    top = votes.top()
    each = (-per_token(scores.policy, scores)).masked_fill(~top, 0.0)
    return each.sum(dim=1) / top.sum(dim=1)
