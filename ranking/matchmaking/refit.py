"""The posterior from all votes at once: Newton's method with an estimated prior."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from ranking.matchmaking.weak_order import (
    Floats,
    Ints,
    Pattern,
    derivatives,
    honesty,
    pattern,
)

NEWTON_STEPS = 200
NEWTON_TOLERANCE = 1e-5
SD_TOLERANCE = 1e-3
# The prior of a lapse: as if 1 vote in 20 had been seen to be random, among 20 votes.
LAPSE_PRIOR = (1.0, 19.0)
# The prior of the prior's variance: one more contestant, one unit from the mean.
SD_PRIOR = 1.0
SMALLEST_SD = 0.05
LARGEST_SD = 100.0


@dataclass(frozen=True)
class Block:
    """Votes of one pattern: contestants best first, and how much each vote counts."""

    shape: Pattern
    order: Ints  # (votes, K)
    weight: Floats  # (votes,)


@dataclass(frozen=True)
class Fitted:
    mean: Floats
    covariance: Floats
    counts: NDArray[np.int32]
    shown: Ints
    lapse: float
    sd: float


@dataclass(frozen=True)
class Slope:
    """The log-likelihood of all votes at one point, with its derivatives."""

    value: float
    gradient: Floats  # (n,)
    damped: Floats  # (n, n) negative Hessian with each vote weighed by its honesty, never indefinite
    observed: Floats  # (n, n) negative Hessian of the mixture
    lapses: float  # expected number of lapses


def pack(
    n: int,
    groups: Sequence[Sequence[int]],
    ranks: Sequence[Sequence[int | None]],
    weights: Sequence[float] | None,
) -> list[Block]:
    """Votes sorted into blocks of one pattern; identical votes of two are added up."""
    if len(groups) != len(ranks):
        raise ValueError(f"There are {len(groups)} groups and {len(ranks)} rankings; give one for each.")
    worth = np.ones(len(groups)) if weights is None else np.asarray(weights, dtype=np.float64)
    by_size: dict[int, list[int]] = defaultdict(list)
    for at, (group, vote) in enumerate(zip(groups, ranks, strict=True)):
        if len(group) != len(vote):
            raise ValueError(f"A vote on {len(group)} contestants has {len(vote)} ranks; give one for each.")
        by_size[len(group)].append(at)
    blocks = []
    for places in by_size.values():
        order, levels = _best_first(n, [groups[at] for at in places], [ranks[at] for at in places])
        kinds, kind_of = np.unique(levels, axis=0, return_inverse=True)
        for kind, row in enumerate(kinds):
            mine = kind_of.ravel() == kind
            shape = pattern(tuple(row.tolist()))
            blocks.append(Block(shape, *added_up(n, order[mine], worth[places][mine])))
    return blocks


def _best_first(
    n: int, groups: Sequence[Sequence[int]], ranks: Sequence[Sequence[int | None]]
) -> tuple[Ints, Ints]:
    """Contestants best first (v, K) and their ranks as 1, 2, ..., with 0 for unranked (v, K)."""
    order = np.asarray(groups, dtype=np.int64)
    if order.shape[1] < 2:
        raise ValueError("A vote ranks fewer than two contestants.")
    if order.min() < 0 or order.max() >= n:
        raise ValueError(f"A vote names a contestant outside 0 to {n - 1}.")
    if (np.diff(np.sort(order, axis=1), axis=1) == 0).any():
        raise ValueError("A contestant is listed twice in one vote; each may appear once.")
    given = np.array(ranks, dtype=np.float64)  # None becomes nan, which sorts last
    by_rank = np.argsort(given, axis=1, kind="stable")
    given = np.take_along_axis(given, by_rank, axis=1)
    levels = 1 + np.cumsum(np.diff(given, axis=1, prepend=given[:, :1]) > 0.0, axis=1)
    return np.take_along_axis(order, by_rank, axis=1), np.where(np.isnan(given), 0, levels)


def added_up(n: int, order: Ints, weight: Floats) -> tuple[Ints, Floats]:
    if order.shape[1] != 2:
        return order, weight
    totals = np.bincount(order[:, 0] * n + order[:, 1], weights=weight, minlength=n * n)
    seen = np.flatnonzero(totals)
    return np.stack([seen // n, seen % n], axis=1).astype(np.int64), np.asarray(totals[seen], dtype=float)


def slope(theta: Floats, blocks: Sequence[Block], lapse: float) -> Slope:
    """Value and derivatives of the log-likelihood at `theta`, votes mixed with lapses."""
    n = len(theta)
    value = 0.0
    lapses = 0.0
    gradient: Floats = np.zeros(n)
    damped: Floats = np.zeros(n * n)
    correction: Floats = np.zeros(n * n)
    for block in blocks:
        each, local_gradient, local_hessian = derivatives(theta[block.order], block.shape)
        honest = honesty(each, block.shape.uniform, lapse)  # (votes,)
        if lapse > 0.0:
            each = np.logaddexp(np.log1p(-lapse) + each, np.log(lapse) + block.shape.uniform)
        weight = block.weight * honest
        value += float(block.weight @ each)
        lapses += float(block.weight @ (1.0 - honest))
        flat = block.order.ravel()
        gradient += np.bincount(flat, weights=(weight[:, None] * local_gradient).ravel(), minlength=n)
        pairs = (block.order[:, :, None] * n + block.order[:, None, :]).ravel()
        damped += np.bincount(pairs, weights=(weight[:, None, None] * local_hessian).ravel(), minlength=n * n)
        if lapse > 0.0:
            outer = local_gradient[:, :, None] * local_gradient[:, None, :]
            outer *= (weight * (1.0 - honest))[:, None, None]
            correction += np.bincount(pairs, weights=outer.ravel(), minlength=n * n)
    square = damped.reshape(n, n)
    return Slope(value, gradient, square, square - correction.reshape(n, n), lapses)


def fit_posterior(
    n: int,
    groups: Sequence[Sequence[int]],
    ranks: Sequence[Sequence[int | None]],
    *,
    weights: Sequence[float] | None,
    lapse: float,
    estimate_lapse: bool,
    sd: float | None,
    start_mean: Floats | None,
    start_sd: float | None,
) -> Fitted:
    """See `Posterior.refit`."""
    blocks = pack(n, groups, ranks, weights)
    counts, shown = together(n, groups)
    theta = np.zeros(n)
    if start_mean is not None:
        theta[: min(n, len(start_mean))] = start_mean[:n]
    theta, covariance, spread, lapse = maximise(
        theta,
        blocks,
        lapse=lapse,
        estimate_lapse=estimate_lapse,
        sd=sd if sd is not None else (start_sd or 1.0),
        estimate_sd=sd is None,
    )
    return Fitted(theta, covariance, counts, shown, lapse, spread)


def together(n: int, groups: Sequence[Sequence[int]]) -> tuple[NDArray[np.int32], Ints]:
    """How often two contestants met (n, n), zero diagonal, and how often each was shown (n,)."""
    counts = np.zeros(n * n, dtype=np.int64)
    by_size: dict[int, list[Sequence[int]]] = defaultdict(list)
    for group in groups:
        by_size[len(group)].append(group)
    for same in by_size.values():
        order = np.asarray(same, dtype=np.int64)
        pairs = (order[:, :, None] * n + order[:, None, :]).ravel()
        counts += np.bincount(pairs, minlength=n * n)
    square = counts.reshape(n, n)
    shown = square.diagonal().copy()
    np.fill_diagonal(square, 0)
    return square.astype(np.int32), shown


def maximise(
    theta: Floats,
    blocks: Sequence[Block],
    *,
    lapse: float,
    estimate_lapse: bool,
    sd: float,
    estimate_sd: bool,
) -> tuple[Floats, Floats, float, float]:
    """Mode, covariance, prior sd and lapse.

    Newton with step halving; between steps the prior variance moves to MacKay's fixed point,
    theta' theta / g with g = n - tr(covariance) / sd^2 (MacKay 1992, eq. 4.9; one contestant at
    one unit is added to both), and the lapse to the expected share of lapses.
    """
    n = len(theta)
    cast = float(sum(block.weight.sum() for block in blocks))
    now = slope(theta, blocks, lapse)
    for _ in range(NEWTON_STEPS):
        precision = 1.0 / sd**2
        factor = _factor(now, precision)
        step = cho_solve(factor, now.gradient - precision * theta)
        theta, now, moved = _climb(theta, step, now, blocks, lapse, precision)
        settled = moved < NEWTON_TOLERANCE
        if estimate_sd and cast:
            spread = float(np.trace(cho_solve(factor, np.eye(n))))
            learnt = n - precision * spread  # how many strengths the votes pin down
            variance = (float(theta @ theta) + SD_PRIOR) / (learnt + SD_PRIOR)
            target = min(max(variance**0.5, SMALLEST_SD), LARGEST_SD)
            settled = settled and abs(target - sd) < SD_TOLERANCE * sd
            sd = target
        if estimate_lapse and cast:
            target = (now.lapses + LAPSE_PRIOR[0]) / (cast + sum(LAPSE_PRIOR))
            settled = settled and abs(target - lapse) < 1e-4
            lapse = target
            now = slope(theta, blocks, lapse)
        if settled:
            break
    return theta, _covariance(now, sd), sd, lapse


def _climb(
    theta: Floats, step: Floats, now: Slope, blocks: Sequence[Block], lapse: float, precision: float
) -> tuple[Floats, Slope, float]:
    """Take `step`, halved until the penalised likelihood does not fall."""
    height = now.value - 0.5 * precision * float(theta @ theta)
    for _ in range(30):
        trial = theta + step
        there = slope(trial, blocks, lapse)
        if there.value - 0.5 * precision * float(trial @ trial) >= height - 1e-9:
            return trial, there, float(np.abs(step).max(initial=0.0))
        step = 0.5 * step
    return theta, now, 0.0


def _factor(now: Slope, precision: float) -> tuple[Floats, bool]:
    """Cholesky factor of the observed information, or of the damped one where that is indefinite.

    A mixture may be indefinite away from its mode; the damped information never is.
    """
    prior = precision * np.eye(len(now.gradient))
    try:
        factor, lower = cho_factor(now.observed + prior, lower=True)
    except np.linalg.LinAlgError:
        factor, lower = cho_factor(now.damped + prior, lower=True)
    return factor, bool(lower)


def _covariance(now: Slope, sd: float) -> Floats:
    inverse = cho_solve(_factor(now, 1.0 / sd**2), np.eye(len(now.gradient)))
    return np.asarray(0.5 * (inverse + inverse.T))
