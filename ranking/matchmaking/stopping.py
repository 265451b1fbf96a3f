"""When enough votes are in: how many more until the question asked has an answer.

The view looks ahead from the current posterior: it lets the matchmaker draw battles, counts
them as answered in the covariance only, and asks at each step whether the goal would be met.
How far apart two contestants truly are is itself unknown, so the answer is a range: the look
ahead is repeated for strengths drawn from the posterior.

What it does not cover: votes that are not independent (one voter's taste, one prompt) carry
less than a vote each, so the counts are then lower bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from ranking.matchmaking.choose import choose
from ranking.matchmaking.information import Aim, difference_variance, stakes
from ranking.matchmaking.posterior import Posterior
from ranking.matchmaking.weak_order import Floats

Goal = Literal["top", "width", "order"]

BATTLES_A_STEP = 10
STEP_GROWTH = 0.15
DRAWS = 200


@dataclass(frozen=True)
class Outlook:
    """How many more votes a goal needs; None where it is not met within `limit` votes."""

    goal: Goal
    met: bool  # already, by the current posterior
    votes: int | None  # the middle estimate
    low: int | None  # a tenth of the strengths compatible with the votes need at most this many
    high: int | None  # nine tenths need at most this many
    reached: float  # now: probability that the top is right, widest half-width, or share in order
    limit: int


def votes_needed(
    posterior: Posterior,
    k: int,
    rng: np.random.Generator,
    *,
    goal: Goal = "top",
    top: int = 1,
    probability: float = 0.95,
    half_width: float = 0.25,
    level: float = 0.95,
    strategy: str = "information",
    aim: Aim | None = None,
    limit: int = 200_000,
) -> Outlook:
    """How many more battles of k until the goal is met.

    - "top": the `top` best are the right ones (as a set) with at least `probability`,
      by Bonferroni's bound over all pairs of one inside and one outside;
    - "width": every interval at `level` is at most +- `half_width`, natural-log units around
      the board's mean (0.25 is 43 Elo);
    - "order": the expected share of pairs in the right order is at least `probability`.

    The battles ahead are drawn by `strategy` with `aim`, the goal itself unless told otherwise.
    """
    if goal not in ("top", "width", "order"):
        raise ValueError(f"There is no goal {goal!r}; use one of top, width, order.")
    if not 1 <= top < max(posterior.n, 2):
        raise ValueError(f"The top {top} of {posterior.n} contestants is no question.")
    if posterior.n < 2:
        return Outlook(goal, True, 0, 0, 0, 1.0, limit)
    measure, wanted = _measure(goal, top, half_width, level, probability)
    truths = _draws(posterior, rng) if goal != "width" else posterior.mean[None, :]
    reached = float(measure(posterior.mean[None, :], difference_variance(posterior.covariance), posterior)[0])
    # A goal counts as met now only by the means we have, later by the strengths drawn.
    first = np.full(len(truths), np.inf)
    if wanted(np.array([reached]))[0]:
        return Outlook(goal, True, 0, 0, 0, reached, limit)
    for votes, ahead in _look_ahead(posterior, k, rng, strategy, aim or goal, limit):
        good = wanted(measure(truths, difference_variance(ahead.covariance), ahead))
        first = np.where(good & np.isinf(first), votes, first)
        if np.isfinite(first).mean() >= 0.9:
            break
    low, middle, high = (_quantile(first, q) for q in (0.1, 0.5, 0.9))
    return Outlook(goal, False, middle, low, high, reached, limit)


def _draws(posterior: Posterior, rng: np.random.Generator) -> Floats:
    """Strengths compatible with the votes, (DRAWS, n)."""
    root = np.linalg.cholesky(posterior.covariance + 1e-12 * np.eye(posterior.n))
    return np.asarray(posterior.mean + rng.normal(size=(DRAWS, posterior.n)) @ root.T)


def _quantile(first: Floats, share: float) -> int | None:
    value = np.sort(first)[min(int(share * len(first)), len(first) - 1)]
    return int(value) if np.isfinite(value) else None


def _look_ahead(
    posterior: Posterior, k: int, rng: np.random.Generator, strategy: str, aim: Aim, limit: int
) -> Iterator[tuple[int, Posterior]]:
    """The posterior after ever more battles drawn by `strategy`, as far as can be foreseen.

    Each step draws a few battles and counts each as many times as makes the votes ahead grow by
    STEP_GROWTH; the means stay where they are.
    """
    ahead = posterior
    votes = 0.0
    while votes < limit:
        times = max(STEP_GROWTH * votes / BATTLES_A_STEP, 1.0)
        stake = stakes(ahead, aim) if strategy == "information" else None
        for _ in range(BATTLES_A_STEP):
            choice = choose(ahead, k, rng, strategy=strategy, aim=aim, stake=stake, with_propensity=False)
            ahead = ahead.expecting([choice.group], times)
        votes += times * BATTLES_A_STEP
        yield round(votes), ahead


Measure = Callable[[Floats, Floats, Posterior], Floats]
Enough = Callable[[Floats], NDArray[np.bool_]]


def _measure(
    goal: Goal, top: int, half_width: float, level: float, probability: float
) -> tuple[Measure, Enough]:
    """What is looked at, (draws, n) strengths and (n, n) variances -> (draws,), and when it suffices."""
    if goal == "width":
        z = float(ndtri(0.5 + level / 2.0))
        return (lambda truths, _, ahead: np.array([z * _widest_sd(ahead)])), (lambda seen: seen <= half_width)
    if goal == "top":
        return (lambda truths, variance, _: _top_is_right(truths, variance, top)), (
            lambda seen: seen >= probability
        )
    return (lambda truths, variance, _: _share_in_order(truths, variance)), (lambda seen: seen >= probability)


def _widest_sd(posterior: Posterior) -> float:
    """Largest standard deviation of a strength around the board's mean."""
    covariance = posterior.covariance
    around = np.diag(covariance) - 2.0 * covariance.mean(axis=1) + covariance.mean()
    return float(np.sqrt(around.max()))


def _top_is_right(truths: Floats, variance: Floats, top: int) -> Floats:
    """1 - sum of P(a contestant outside the top is better than one inside), (draws,)."""
    order = np.argsort(-truths, axis=1)
    inside, outside = order[:, :top, None], order[:, None, top:]
    rows = np.arange(len(truths))[:, None, None]
    gap = truths[rows, inside] - truths[rows, outside]
    wrong = ndtr(-gap / np.sqrt(np.maximum(variance[inside, outside], 1e-18)))
    return np.asarray(np.maximum(1.0 - wrong.sum(axis=(1, 2)), 0.0))


def _share_in_order(truths: Floats, variance: Floats) -> Floats:
    upper = np.triu_indices(truths.shape[1], 1)
    sd = np.sqrt(np.maximum(variance[upper], 1e-18))
    return np.array([ndtr(np.abs(row[upper[0]] - row[upper[1]]) / sd).mean() for row in truths])
