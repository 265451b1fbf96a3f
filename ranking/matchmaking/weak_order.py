"""The likelihood of one vote: Plackett-Luce for weak orders, with lapses.

A vote ranks K contestants, best first, perhaps with ties and perhaps with some
left unranked below the rest.  Plackett-Luce reads it as a row of choices: the
best of all K, then the best of those left, and so on.  Each choice is a *stage*.

- Unranked contestants stay in every stage above them and have no stage of their own
  (the exact marginal likelihood of a partial ranking).
- Tied contestants stand for all orders of the tied block, each counted equally: the
  log-likelihood is the mean over those orders.  Two tied contestants are half a win each.
- A lapse is a vote cast at random.  Its log-probability is the same expression at equal
  strengths, so a vote has probability (1 - e) exp l(theta) + e exp l(0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A tied block of t contestants has 2^t - 1 stages.  Above this size the sums over
# subsets of one size are replaced by their expectation (t stages).
LARGEST_EXACT_TIE = 6
# The expected information sums over 2^K subsets.
LARGEST_GROUP = 10


@dataclass(frozen=True)
class Pattern:
    """The stages of a weak order whose contestants are listed best first."""

    log_share: Floats  # (stages, K): 0 in the stage, -inf outside it, log of a share for large ties
    weight: Floats  # (stages,)
    wins: Floats  # (K,) how often each position is chosen
    uniform: float  # the log-likelihood at equal strengths


def sorted_by_rank(group: Sequence[int], ranks: Sequence[int | None]) -> tuple[Ints, tuple[int, ...]]:
    """The contestants best first and their ranks as 1, 2, ..., with 0 for unranked."""
    if len(group) != len(ranks):
        raise ValueError(f"A vote on {len(group)} contestants has {len(ranks)} ranks; give one for each.")
    if len(set(group)) != len(group):
        raise ValueError("A contestant is listed twice in one vote; each may appear once.")
    levels = {rank: level for level, rank in enumerate(sorted({r for r in ranks if r is not None}), start=1)}
    keyed = sorted((math.inf if r is None else levels[r], place) for place, r in enumerate(ranks))
    order = np.array([group[place] for _, place in keyed], dtype=np.int64)
    return order, tuple(0 if math.isinf(level) else int(level) for level, _ in keyed)


@lru_cache(maxsize=4096)
def pattern(levels: tuple[int, ...]) -> Pattern:
    """The stages for ranks such as (1, 2, 2, 0), best first, 0 for unranked (last)."""
    k = len(levels)
    rows: list[Floats] = []
    weights: list[float] = []
    wins = np.zeros(k)
    for level in sorted(set(levels) - {0}):
        block = [place for place in range(k) if levels[place] == level]
        below = [place for place in range(k) if levels[place] == 0 or levels[place] > level]
        wins[block] += 1.0
        for row, weight in _block_stages(block, below, k):
            if np.isfinite(row).sum() > 1:
                rows.append(row)
                weights.append(weight)
            else:  # the last one standing is chosen for certain
                wins[np.isfinite(row)] -= weight
    log_share = np.array(rows).reshape(len(rows), k)
    worth = np.array(weights)
    uniform = -float(worth @ np.log(np.exp(log_share).sum(axis=1))) if rows else 0.0
    return Pattern(log_share, worth, wins, uniform)


def _block_stages(block: list[int], below: list[int], k: int) -> list[tuple[Floats, float]]:
    size = len(block)
    stages = []
    for left in range(size, 0, -1):
        if size > LARGEST_EXACT_TIE and (below or left > 1):
            row = np.full(k, -np.inf)
            row[below] = 0.0
            row[block] = math.log(left / size)
            stages.append((row, 1.0))
            continue
        for kept in combinations(block, left):
            row = np.full(k, -np.inf)
            row[below] = 0.0
            row[list(kept)] = 0.0
            stages.append((row, 1.0 / math.comb(size, left)))
    return stages


def derivatives(strengths: Floats, shape: Pattern) -> tuple[Floats, Floats, Floats]:
    """Log-likelihood (...), gradient (..., K) and negative Hessian (..., K, K), without lapses.

    `strengths` (..., K) are listed best first, in the order of the pattern.
    """
    if not len(shape.weight):
        lead = strengths.shape[:-1]
        k = strengths.shape[-1]
        return np.zeros(lead), np.zeros(strengths.shape), np.zeros((*lead, k, k))
    inside = strengths[..., None, :] + shape.log_share  # (..., stages, K)
    top = inside.max(axis=-1, keepdims=True)
    chosen = np.exp(inside - top)
    total = chosen.sum(axis=-1, keepdims=True)
    chosen /= total
    log_total = (top + np.log(total))[..., 0]  # (..., stages)
    value = strengths @ shape.wins - log_total @ shape.weight
    weighted = chosen * shape.weight[:, None]
    spread = weighted.sum(axis=-2)  # (..., K)
    hessian = -(np.swapaxes(weighted, -1, -2) @ chosen)
    places = np.arange(strengths.shape[-1])
    hessian[..., places, places] += spread
    return value, shape.wins - spread, hessian


def honesty(value: Floats, uniform: float, lapse: float) -> Floats:
    """Probability that a vote with log-likelihood `value` was not a lapse."""
    if lapse <= 0.0:
        return np.ones_like(value)
    odds = np.minimum(uniform - value + math.log(lapse / (1.0 - lapse)), 700.0)
    return np.asarray(1.0 / (1.0 + np.exp(odds)))


@lru_cache(maxsize=32)
def _subsets(k: int) -> tuple[Floats, tuple[tuple[slice, Ints, Ints], ...]]:
    """Masks of all subsets of two or more of k, largest first, and how each level feeds the next.

    For each level below the first: the rows of that level, and for each of them the
    rows of its supersets and the member that leaves.
    """
    members = [kept for size in range(k, 1, -1) for kept in combinations(range(k), size)]
    row_of = {kept: row for row, kept in enumerate(members)}
    masks = np.full((len(members), k), -np.inf)
    for row, kept in enumerate(members):
        masks[row, list(kept)] = 0.0
    levels = []
    for size in range(k - 1, 1, -1):
        here = [kept for kept in members if len(kept) == size]
        parents = []
        leavers = []
        for kept in here:
            missing = [place for place in range(k) if place not in kept]
            parents.append([row_of[tuple(sorted((*kept, gone)))] for gone in missing])
            leavers.append(missing)
        first = row_of[here[0]]
        levels.append((slice(first, first + len(here)), np.array(parents), np.array(leavers)))
    return masks, tuple(levels)


def expected_information(strengths: Floats, lapse: float = 0.0) -> Floats:
    """Expected Fisher information (..., K, K) of one full ranking at `strengths` (..., K).

    The sum over all subsets that may be left at some stage of the probability of meeting
    that subset times the information of choosing from it: exact for Plackett-Luce, in 2^K
    terms.  Each choice is taken with `lapse`: the chosen one has probability
    q = (1 - lapse) p + lapse / size, and its information is J' diag(1/q) J with J = dq/dtheta.
    """
    if strengths.shape[-1] > LARGEST_GROUP:
        raise ValueError(f"A battle shows at most {LARGEST_GROUP} contestants, not {strengths.shape[-1]}.")
    masks, levels = _subsets(strengths.shape[-1])
    inside = strengths[..., None, :] + masks  # (..., subsets, K)
    chosen = np.exp(inside - inside.max(axis=-1, keepdims=True))
    chosen /= chosen.sum(axis=-1, keepdims=True)
    met = np.zeros(chosen.shape[:-1])
    met[..., 0] = 1.0
    for rows, parents, leavers in levels:
        met[..., rows] = (met[..., parents] * chosen[..., parents, leavers]).sum(axis=-1)
    places = np.arange(strengths.shape[-1])
    if lapse <= 0.0:
        weighted = chosen * met[..., None]
        information: Floats = -(np.swapaxes(weighted, -1, -2) @ chosen)
        information[..., places, places] += weighted.sum(axis=-2)
        return information
    inside_mask = np.isfinite(masks)
    lapsing = (1.0 - lapse) * chosen + lapse * inside_mask / inside_mask.sum(axis=1, keepdims=True)
    # With J = (1 - e)(diag p - p p'):  J' diag(1/q) J = (1 - e)^2 (diag(d) - d p' - p d' + s p p'),
    # where d = p^2 / q and s = sum of d.
    ratio = np.divide(chosen**2, lapsing, out=np.zeros_like(chosen), where=inside_mask) * met[..., None]
    left = ratio.sum(axis=-1, keepdims=True) * chosen - ratio
    cross = np.swapaxes(left, -1, -2) @ chosen - np.swapaxes(chosen, -1, -2) @ ratio
    cross[..., places, places] += ratio.sum(axis=-2)
    return np.asarray((1.0 - lapse) ** 2 * cross)
