"""What a run watches, from the scores of a batch and its votes. All numbers are plain floats, ready for
JSON.
"""

from typing import Any

import torch
from torch import Tensor

from gpu_workers.kwise.objectives import Scores
from gpu_workers.kwise.votes import UNRANKED, VoteBatch

# Nats. Policy and reference are summed in batches of other shapes, so equal ones differ in their last digits.
EQUAL = 1e-3


def join(parts: list[tuple[Scores, VoteBatch]]) -> tuple[Scores, VoteBatch]:
    """One batch out of several of the same K."""
    scores = Scores(
        policy=torch.cat([scores.policy for scores, _ in parts]),
        reference=torch.cat([scores.reference for scores, _ in parts]),
        lengths=torch.cat([scores.lengths for scores, _ in parts]),
    )
    votes = VoteBatch(
        places=torch.cat([votes.places for _, votes in parts]),
        weights=torch.cat([votes.weights for _, votes in parts]),
    )
    return scores, votes


def watch(scores: Scores, votes: VoteBatch, *, beta: float) -> dict[str, Any]:
    """How well the policy orders these rankings, and what happens to its probabilities.

    accuracy: share of the ordered pairs whose rewards agree, an equal reward counted half; kendall_tau:
    agreeing less disagreeing pairs over all ordered ones, mean over rankings; rewards_by_place: mean reward
    of 1st, 2nd, ... (None: nobody had the place); winner_log_ratio: log-probability of the best response
    less its reference (below 0: likelihood displacement); margin: mean reward gap of the ordered pairs.
    """
    rewards = beta * scores.log_ratios
    wins = votes.wins()
    gaps = rewards[:, :, None] - rewards[:, None, :]
    signs = torch.sign(gaps).masked_fill(~wins | (gaps.abs() < beta * EQUAL), 0.0)
    pairs = wins.sum(dim=(1, 2))
    ordered = pairs > 0
    tau = signs.sum(dim=(1, 2))[ordered] / pairs[ordered]
    top = votes.top()
    return {
        "accuracy": _mean((1 + signs[wins]) / 2),
        "kendall_tau": _mean(tau),
        "margin": _mean(gaps[wins]),
        "rewards_by_place": rewards_by_place(rewards, votes),
        "winner_log_ratio": _mean(scores.log_ratios[top]),
        "other_log_ratio": _mean(scores.log_ratios[votes.present & ~top]),
        "winner_length": _mean(scores.lengths[top].float()),
        "length": _mean(scores.lengths[votes.present].float()),
    }


def rewards_by_place(rewards: Tensor, votes: VoteBatch) -> list[float | None]:
    """Mean reward of the responses ranked 1st, 2nd, ... K-th."""
    k = rewards.shape[1]
    ranked = votes.places < UNRANKED
    return [_mean(rewards[ranked & (votes.places == place)]) for place in range(1, k + 1)]


def _mean(values: Tensor) -> float | None:
    return round(float(values.mean()), 6) if values.numel() else None
