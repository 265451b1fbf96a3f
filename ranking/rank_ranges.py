"""The ranks each model may have, for all models at once.

The true order is inside every range together with probability `level` (Mogstad, Romano, Shaikh and Wilhelm
2024; simultaneous two-sided comparisons of all pairs, with the step-down of Romano and Wolf 2005). Ranks
counted in single draws have no such coverage: they forget that the best of many is often lucky.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ranks = NDArray[np.int64]

# Differences looked at in one go: draws times pairs, so that memory stays at some tens of megabytes.
CELLS = 1 << 21
# With many models a draw costs its square, and the quantile of a maximum over many pairs varies little.
MANY_PAIRS = 1 << 16
DRAWS_FOR_MANY = 250


def rank_ranges(
    strengths: Floats,
    covariance: Floats,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    draws: int = 1000,
    degrees_of_freedom: float = np.inf,
) -> tuple[Ranks, Ranks]:
    """(best (n,), worst (n,)) ranks from 1, simultaneous at `level`, by `draws` joint normal draws."""
    n = len(strengths)
    if n < 2:
        return np.ones(n, dtype=np.int64), np.ones(n, dtype=np.int64)
    i, j = np.triu_indices(n, 1)
    variance = np.diag(covariance)[i] + np.diag(covariance)[j] - 2.0 * covariance[i, j]
    se = np.sqrt(np.maximum(variance, 0.0))
    gap = strengths[i] - strengths[j]
    known = se > 0.0  # a difference without error decides itself
    z = np.divide(np.abs(gap), se, out=np.where(gap == 0.0, 0.0, np.inf), where=known)
    if len(i) > MANY_PAIRS:
        draws = min(draws, DRAWS_FOR_MANY)
    noise = _draws(covariance, draws, rng, degrees_of_freedom)
    settled = ~known & (gap != 0.0)
    while True:  # each round settles at least one more pair or ends
        open_pairs = np.flatnonzero(~settled & known)
        if open_pairs.size == 0:
            break
        limit = _quantile_of_largest(noise, i[open_pairs], j[open_pairs], se[open_pairs], level)
        found = open_pairs[z[open_pairs] > limit]
        settled[found] = True
        if found.size == 0 or len(i) > MANY_PAIRS:
            break
    ahead = np.where(gap > 0.0, i, j)[settled]
    behind = np.where(gap > 0.0, j, i)[settled]
    best = 1 + np.bincount(behind, minlength=n)
    worst = n - np.bincount(ahead, minlength=n)
    return best.astype(np.int64), worst.astype(np.int64)


def _draws(covariance: Floats, draws: int, rng: np.random.Generator, degrees_of_freedom: float) -> Floats:
    """(draws, n) from the covariance; multivariate t when there are few clusters."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    noise = rng.standard_normal((draws, len(values))) @ root.T
    if np.isfinite(degrees_of_freedom):
        noise /= np.sqrt(rng.chisquare(degrees_of_freedom, size=(draws, 1)) / degrees_of_freedom)
    return np.asarray(noise)


def _quantile_of_largest(
    noise: Floats, i: NDArray[np.intp], j: NDArray[np.intp], se: Floats, level: float
) -> float:
    """The `level` quantile over draws of the largest |difference| / se over the pairs (i, j)."""
    # A quantile over a thousand draws needs no more than single precision.
    columns = np.ascontiguousarray(noise.T, dtype=np.float32)  # (n, draws)
    inverse = (1.0 / se).astype(np.float32)
    largest = np.zeros(noise.shape[0], dtype=np.float32)
    size = max(1, CELLS // noise.shape[0] // 8)
    for start in range(0, len(i), size):
        part = slice(start, start + size)
        difference = columns[i[part]]
        difference -= columns[j[part]]
        np.abs(difference, out=difference)
        difference *= inverse[part, np.newaxis]
        np.maximum(largest, difference.max(axis=0), out=largest)
    return float(np.quantile(largest, level))
