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
    sorted_by_rank,
)

NEWTON_STEPS = 200
NEWTON_TOLERANCE = 1e-7
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
    rows: dict[tuple[int, ...], list[Ints]] = defaultdict(list)
    worth: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for at, (group, vote) in enumerate(zip(groups, ranks, strict=True)):
        order, levels = sorted_by_rank(group, vote)
        if len(order) < 2:
            raise ValueError(f"Vote {at} ranks fewer than two contestants.")
        rows[levels].append(order)
        worth[levels].append(1.0 if weights is None else float(weights[at]))
    blocks = []
    for levels, orders in rows.items():
        order = np.stack(orders)
        if order.min() < 0 or order.max() >= n:
            raise ValueError(f"A vote names a contestant outside 0 to {n - 1}.")
        blocks.append(Block(pattern(levels), *_added_up(n, order, np.array(worth[levels]))))
    return blocks


def _added_up(n: int, order: Ints, weight: Floats) -> tuple[Ints, Floats]:
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

    Newton with step halving; between steps the prior variance moves to its EM value
    (theta' theta + trace of the covariance + 1) / (n + 1) and the lapse to the expected share of lapses.
    """
    n = len(theta)
    cast = float(sum(block.weight.sum() for block in blocks))
    now = slope(theta, blocks, lapse)
    for _ in range(NEWTON_STEPS):
        precision = 1.0 / sd**2
        factor = cho_factor(now.damped + precision * np.eye(n), lower=True)
        step = cho_solve(factor, now.gradient - precision * theta)
        theta, now, moved = _climb(theta, step, now, blocks, lapse, precision)
        settled = moved < NEWTON_TOLERANCE
        if estimate_sd and cast:
            spread = float(np.trace(cho_solve(factor, np.eye(n))))
            variance = (float(theta @ theta) + spread + SD_PRIOR) / (n + 1)
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


def _covariance(now: Slope, sd: float) -> Floats:
    """Inverse of the observed information, or of the damped one where the former is indefinite."""
    prior = np.eye(len(now.gradient)) / sd**2
    for information in (now.observed, now.damped):
        try:
            factor = cho_factor(information + prior, lower=True)
        except np.linalg.LinAlgError:
            continue  # indefinite: a mixture may be, far from its mode; the damped one never is
        inverse = cho_solve(factor, np.eye(len(prior)))
        return np.asarray(0.5 * (inverse + inverse.T))
    raise ArithmeticError("The information of the votes is not finite, so no covariance exists.")
