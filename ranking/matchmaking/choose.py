"""Choosing the contestants of the next battle, and with what probability they were chosen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ranking.matchmaking import strategies
from ranking.matchmaking.draw import DeadEnd, SequentialDraw
from ranking.matchmaking.information import AIMS, Aim
from ranking.matchmaking.posterior import Posterior
from ranking.matchmaking.weak_order import LARGEST_GROUP, Floats, Ints


class NotEnoughContestants(ValueError):
    """Fewer contestants can meet than the battle needs.  The message is one sentence."""


@dataclass(frozen=True)
class Choice:
    group: tuple[int, ...]  # contestants, sorted: shuffle them into slots before showing them
    propensity: float  # probability with which this set was drawn
    strategy: str


def choose(
    posterior: Posterior,
    k: int,
    rng: np.random.Generator,
    *,
    strategy: str = "information",
    aim: Aim = "order",
    available: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    exclude: Iterable[tuple[int, int]] = (),
    explore: float = 0.02,
    stake: Floats | None = None,
    with_propensity: bool = True,
) -> Choice:
    """Draw k of the n contestants for one battle.

    `available` (n,) is False for those that have no response to the prompt or that this voter
    has already seen; `weights` (n,) >= 0 make some come more often (0 leaves one out);
    `exclude` lists pairs that must not meet.  With probability `explore` the group is drawn by
    the `random` strategy, so that every group stays possible.  `stake` may carry
    `information.stakes(...)` from at most some ten votes ago, to save its cost.

    The propensity is the exact probability of the set: the sum over all orders in which its
    members could have been drawn, with the noise integrated out.  Only where `exclude` can lead
    a draw into a dead end (it is then started again) is it the probability of one attempt.
    With `with_propensity=False` it is not computed and is nan.

    Raises NotEnoughContestants, and ValueError for an unknown strategy or aim.
    """
    if strategy not in strategies.STRATEGIES:
        raise ValueError(f"There is no strategy {strategy!r}; use one of {', '.join(strategies.STRATEGIES)}.")
    if aim not in AIMS:
        raise ValueError(f"There is no aim {aim!r}; use one of {', '.join(AIMS)}.")
    if not 2 <= k <= LARGEST_GROUP:
        raise ValueError(f"A battle shows 2 to {LARGEST_GROUP} contestants, not {k}.")
    at = _situation(posterior, k, aim, available, weights, exclude, stake)
    exploring = explore if strategy not in ("random", "uniform") else 0.0
    main = strategies.STRATEGIES[strategy](at)
    aside = strategies.random(at) if exploring > 0.0 else main
    drawn = _draw(aside if rng.random() < exploring else main, k, rng)
    propensity = float("nan")
    if with_propensity:
        propensity = (1.0 - exploring) * main.probability(drawn)
        if exploring > 0.0:
            propensity += exploring * aside.probability(drawn)
    return Choice(tuple(sorted(drawn)), propensity, strategy)


def _draw(way: SequentialDraw, k: int, rng: np.random.Generator) -> tuple[int, ...]:
    try:
        return way.draw(k, rng)
    except DeadEnd:
        raise NotEnoughContestants(
            f"No {k} contestants may meet: the excluded pairs leave too few together."
        ) from None


def _situation(
    posterior: Posterior,
    k: int,
    aim: Aim,
    available: ArrayLike | None,
    weights: ArrayLike | None,
    exclude: Iterable[tuple[int, int]],
    stake: Floats | None,
) -> strategies.Situation:
    n = posterior.n
    open_to = np.ones(n, dtype=bool) if available is None else np.asarray(available, dtype=bool)
    share = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if open_to.shape != (n,) or share.shape != (n,):
        raise ValueError(f"`available` and `weights` need one entry for each of the {n} contestants.")
    if not np.isfinite(share).all() or (share < 0.0).any():
        raise ValueError("Sampling weights are finite and not negative.")
    ids: Ints = np.flatnonzero(open_to & (share > 0.0))
    if len(ids) < k:
        raise NotEnoughContestants(
            f"A battle of {k} needs {k} contestants, but only {len(ids)} can be shown here."
        )
    return strategies.Situation(posterior, ids, share[ids], tuple(exclude), aim, stake)
