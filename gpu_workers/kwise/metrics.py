"""What a run watches, from the scores of a batch and its votes. All numbers are plain floats, ready for
JSON.
"""

from collections import Counter
from typing import Any

import torch
from torch import Tensor

from gpu_workers.kwise.objectives import Scores
from gpu_workers.kwise.votes import UNRANKED, VoteBatch

# Nats. Policy and reference are summed in batches of other shapes, so equal ones differ in their last digits.
EQUAL = 1e-3
LEAST_OF_GROUP, MOST_GROUPS = 3, 20


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
        shares=_joined([votes.shares for _, votes in parts], [votes.places for _, votes in parts]),
    )
    return scores, votes


def _joined(shares: list[Tensor | None], places: list[Tensor]) -> Tensor | None:
    """The shares of several batches; where one has none, its votes' own count."""
    if all(one is None for one in shares):
        return None
    unknown = (torch.full((*one.shape, one.shape[1]), -1.0) for one in places)
    return torch.cat([one if one is not None else other for one, other in zip(shares, unknown, strict=True)])


def nothing(k: int) -> tuple[Scores, VoteBatch]:
    """Of no rankings: what a process without a part of a step has seen."""
    empty = torch.zeros(0, k)
    return Scores(empty, empty, empty), VoteBatch(empty.long(), torch.zeros(0))


def watch(scores: Scores, votes: VoteBatch, *, beta: float) -> dict[str, Any]:
    """How well the policy orders these rankings, and what happens to its probabilities.

    accuracy: share of the ordered pairs whose rewards agree, an equal reward counted half; kendall_tau:
    agreeing less disagreeing pairs over all ordered ones, mean over rankings; ranking_accuracy: share of
    the ordered pairs whose log-probabilities themselves agree, and idealised_accuracy: what that would be
    had the policy learnt the votes perfectly, beta and the reference as they are (Chen et al. 2024, arXiv
    2405.19534, eq. 5: log pi_ref apart plus log(a / (1 - a)) / beta, a the share of voters for the pair);
    rewards_by_place: mean reward of 1st, 2nd, ... (None: nobody had the place); winner_log_ratio: log-
    probability of the best response less its reference (below 0: likelihood displacement); margin: mean
    reward gap of the ordered pairs. accuracy_se, kendall_tau_se: standard errors over rankings, whose pairs
    stand and fall together; None where they cannot tell.
    """
    rewards = beta * scores.log_ratios
    wins = votes.wins()
    gaps = rewards[:, :, None] - rewards[:, None, :]
    signs = torch.sign(gaps).masked_fill(~wins | (gaps.abs() < beta * EQUAL), 0.0)
    pairs = wins.sum(dim=(1, 2))
    ordered = pairs > 0
    tau = signs.sum(dim=(1, 2))[ordered] / pairs[ordered]
    right = ((1 + signs) / 2 * wins).sum(dim=(1, 2))[ordered]
    top = votes.top()
    return {
        "accuracy": _mean((1 + signs[wins]) / 2),
        "accuracy_se": error_of_ratio(right, pairs[ordered]),
        "kendall_tau": _mean(tau),
        "kendall_tau_se": error_of_ratio(tau, torch.ones_like(tau)),
        "ranking_accuracy": _share(_apart(scores.policy)[wins]),
        "idealised_accuracy": _share(_idealised(scores, votes, beta)[wins]),
        "margin": _mean(gaps[wins]),
        "rewards_by_place": rewards_by_place(rewards, votes),
        "winner_log_ratio": _mean(scores.log_ratios[top]),
        "other_log_ratio": _mean(scores.log_ratios[votes.present & ~top]),
        "winner_length": _mean(scores.lengths[top].float()),
        "length": _mean(scores.lengths[votes.present].float()),
    }


# One vote is not certainty: the share of like-minded voters that a lone vote is taken to stand for.
LONE_VOTE = 0.9


def _idealised(scores: Scores, votes: VoteBatch, beta: float) -> Tensor:
    shares = votes.preferences().to(scores.policy.dtype)
    sure = torch.where((shares > 0) & (shares < 1), shares, shares * (2 * LONE_VOTE - 1) + (1 - LONE_VOTE))
    return _apart(scores.reference) + torch.logit(sure) / beta


def _apart(values: Tensor) -> Tensor:
    return values[:, :, None] - values[:, None, :]


def _share(gaps: Tensor) -> float | None:
    """Of gaps above zero; those of nothing count half."""
    return _mean((gaps > EQUAL).float() + 0.5 * (gaps.abs() <= EQUAL).float())


def by_group(groups: list[str], scores: Scores, votes: VoteBatch) -> list[dict[str, Any]]:
    """Accuracy of each group of annotators with at least three rankings here, the largest first."""
    wins, gaps = votes.wins(), _apart(scores.log_ratios)
    right = ((gaps > EQUAL).float() + 0.5 * (gaps.abs() <= EQUAL).float()) * wins
    found = []
    for group, count in Counter(groups).most_common(MOST_GROUPS):
        of = torch.tensor([one == group for one in groups], device=wins.device)
        pairs = int(wins[of].sum())
        if group and count >= LEAST_OF_GROUP and pairs:
            found.append(
                {
                    "group": group,
                    "rankings": count,
                    "accuracy": round(float(right[of].sum()) / pairs, 4),
                    "accuracy_se": error_of_ratio(right[of].sum(dim=(1, 2)), wins[of].sum(dim=(1, 2))),
                }
            )
    return found


def rewards_by_place(rewards: Tensor, votes: VoteBatch) -> list[float | None]:
    """Mean reward of the responses ranked 1st, 2nd, ... K-th."""
    k = rewards.shape[1]
    ranked = votes.places < UNRANKED
    return [_mean(rewards[ranked & (votes.places == place)]) for place in range(1, k + 1)]


def error_of_ratio(hits: Tensor, of: Tensor) -> float | None:
    """The standard error of sum(hits) / sum(of) over independent rows, (n,) each (Cochran 1977, eq. 6.13).

    None of fewer than two rows, and where all rows agree: so few do not say that nothing else could come.
    """
    n, whole = len(hits), float(of.sum())
    if n < 2 or not whole:
        return None
    left = hits.double() - float(hits.sum()) / whole * of.double()
    error = round(float((left.square().sum() * n / (n - 1)).sqrt()) / whole, 6)
    return error or None


def _mean(values: Tensor) -> float | None:
    return round(float(values.mean()), 6) if values.numel() else None
