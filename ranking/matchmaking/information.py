"""What a battle is worth: how much it lowers the doubt about the order that matters.

Pairs whose order is in doubt get a weight; the doubt is the weighted sum of the variances
of their differences, tr(L S) with L the graph Laplacian of the weights.  A battle on the
group G takes S_:G A S_G: from the covariance, so it is worth tr(A B_GG) with B = S L S and
A = F (I + S_GG F)^-1, F the expected Fisher information of the battle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr

from ranking.matchmaking.posterior import Posterior
from ranking.matchmaking.weak_order import Floats, Ints, expected_information

Aim = Literal["order", "top", "newcomers", "width"]
AIMS: tuple[Aim, ...] = ("order", "top", "newcomers", "width")

# exp(-z^2 / 2 KAPPA^2): how fast a pair stops mattering once its order is clear.
KAPPA = 1.4
# Differences this small (natural log; 7 Elo) are not chased.
TAU = 0.04
# Expected Kendall's tau of the board from which pairs in crowds begin to weigh less, and at which
# every contestant's neighbourhood weighs alike.
SETTLED = (0.95, 0.96)
# The expected tau of a large board is taken from about this many of its contestants.
ASKED_FOR_TAU = 100
# Keeps divisions and logarithms finite; far below any variance or worth that matters.
TINY = 1e-18


def difference_variance(covariance: Floats) -> Floats:
    """Variance of theta_i - theta_j, (..., n, n), zero on the diagonal."""
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    spread = variance[..., :, None] + variance[..., None, :]
    spread -= 2.0 * covariance
    return np.asarray(np.maximum(spread, 0.0, out=spread))


def pair_weights(mean: Floats, covariance: Floats, aim: Aim = "order") -> Floats:
    """How much the order of each pair is in doubt, (..., n, n), symmetric, zero diagonal.

    "order" counts every pair alike until the order as a whole is clear.  What is left in doubt
    then lies in crowds of near equals, who would take all votes there are: from SETTLED on a pair
    is divided by how many others its two may be confused with.  "top" and "newcomers" scale the
    doubt; "width" replaces it: all differences count alike, whether their order is clear or not,
    which narrows every interval.
    """
    places = np.arange(mean.shape[-1])
    if aim == "width":
        weight = np.ones_like(covariance)
        weight[..., places, places] = 0.0
        return weight
    variance = difference_variance(covariance)
    gap = mean[..., :, None] - mean[..., None, :]
    weight = gap * gap
    weight /= -2.0 * KAPPA**2 * (variance + TINY)
    np.exp(weight, out=weight)
    weight[..., places, places] = 0.0
    if aim == "order":
        weight /= _crowding(weight, gap, variance)
    weight /= variance + TAU**2
    if aim == "top":
        behind = ndtr(-gap / np.sqrt(variance + TINY))
        behind[..., places, places] = 0.0
        weight *= _nearness_to_the_top(behind)
    elif aim == "newcomers":
        weight *= _newness(covariance)
    return np.asarray(weight)


def _crowding(closeness: Floats, gap: Floats, variance: Floats) -> Floats:
    """The geometric mean of the crowds of i and j, (..., n, n), to a power from 0 to 1.

    A crowd is how many others may be confused with one, the sum of `closeness` over them.
    """
    n = closeness.shape[-1]
    some = slice(None, None, max(n // ASKED_FOR_TAU, 1))
    # Twice Phi(|z|) less one, which is zero on the diagonal.
    sureness = 2.0 * ndtr(np.abs(gap[..., some, :]) / np.sqrt(variance[..., some, :] + TINY)) - 1.0
    tau = sureness.mean(axis=(-2, -1)) * n / max(n - 1, 1)
    power = 0.5 * np.clip((tau - SETTLED[0]) / (SETTLED[1] - SETTLED[0]), 0.0, 1.0)
    crowd = np.maximum(closeness.sum(axis=-1), TINY) ** power[..., None]
    return np.asarray(crowd[..., :, None] * crowd[..., None, :])


def _nearness_to_the_top(behind: Floats) -> Floats:
    """1 / (expected rank of i times expected rank of j), from P(i is behind j)."""
    rank = 1.0 + behind.sum(axis=-1)
    return np.asarray(1.0 / (rank[..., :, None] * rank[..., None, :]))


def _newness(covariance: Floats) -> Floats:
    """The larger variance of the two, around the board's mean, against the largest, squared."""
    around = np.diagonal(covariance, axis1=-2, axis2=-1) - 2.0 * covariance.mean(axis=-1)
    variance = np.maximum(around + covariance.mean(axis=(-2, -1))[..., None], TINY)
    share = variance / variance.max(axis=-1, keepdims=True)
    return np.asarray(np.maximum(share[..., :, None], share[..., None, :]) ** 2)


def stake_matrix(covariance: Floats, weight: Floats, among: Ints | None = None) -> Floats:
    """B = S L S, (..., c, c), for the contestants `among` (all by default)."""
    columns = covariance if among is None else covariance[..., among]  # (..., n, c)
    degree = weight.sum(axis=-1)[..., None]
    return np.asarray(np.swapaxes(columns, -1, -2) @ (degree * columns - weight @ columns))


def stakes(posterior: Posterior, aim: Aim = "order") -> Floats:
    """B = S L S (n, n), to hand to `choose`.

    B changes slowly: one computed up to some ten votes ago serves as well.
    """
    return stake_matrix(posterior.covariance, pair_weights(posterior.mean, posterior.covariance, aim))


def pair_worth(mean: Floats, covariance: Floats, stake: Floats, lapse: float) -> Floats:
    """Worth of every battle of two, (..., c, c), by the closed form of tr(A B_GG) for K = 2."""
    honest = (1.0 - lapse) ** 2
    # With t = tanh(d / 2), p (1 - p) = (1 - t^2) / 4; a lapse shrinks t by 1 - lapse.
    lean = np.tanh(0.5 * (mean[..., :, None] - mean[..., None, :]))
    lean *= lean
    information = (0.25 * honest) * (1.0 - lean) ** 2
    lean *= -honest
    lean += 1.0
    information /= np.maximum(lean, TINY, out=lean)
    at_stake = np.diagonal(stake, axis1=-2, axis2=-1)
    gain = at_stake[..., :, None] + at_stake[..., None, :]
    gain -= 2.0 * stake
    gain *= information
    information *= difference_variance(covariance)
    information += 1.0
    gain /= information
    return np.asarray(np.maximum(gain, 0.0, out=gain))


def group_worth(mean: Floats, covariance: Floats, stake: Floats, lapse: float) -> Floats:
    """Worth tr(A B_GG) of battles, (...), from their own mean (..., K), S_GG and B_GG (..., K, K)."""
    information = expected_information(mean, lapse)  # (..., K, K)
    inner = np.eye(mean.shape[-1]) + covariance @ information
    # tr(F (I + S F)^-1 B) = tr((I + S F)^-1 B F)
    taken = np.linalg.solve(inner, stake @ information)
    return np.asarray(np.maximum(np.trace(taken, axis1=-2, axis2=-1), 0.0))


def short_listed(pairs: Floats, members: Ints, open_to: Floats, size: int) -> tuple[Ints, Ints]:
    """Who could best join each group, by the sum of their worth in pairs with its members.

    From `pairs` (..., c, c), `members` (..., s) and `open_to` (..., c), 0 or -inf: the short
    list (..., size) and the groups it makes (..., size, s + 1).
    """
    # pairs[b, members[b]] for each leading index b
    rows = np.take_along_axis(pairs, members[..., :, None], axis=-2)  # (..., s, c)
    promise = rows.sum(axis=-2) + open_to
    size = min(size, promise.shape[-1])
    short = np.argpartition(-promise, size - 1, axis=-1)[..., :size]
    known = np.broadcast_to(members[..., None, :], (*short.shape, members.shape[-1]))
    return short, np.concatenate([known, short[..., None]], axis=-1)


@dataclass(frozen=True)
class Growth:
    """Log worth of adding each contestant to a group, from a short list of the most promising."""

    mean: Floats  # (c,)
    covariance: Floats  # (c, c)
    stake: Floats  # (c, c)
    lapse: float
    pairs: Floats  # (c, c) worth of every battle of two
    short_list: int

    def __call__(self, members: Ints, open_to: Floats) -> Floats:
        """(g, c) log worth; -inf outside the short list.  `open_to` is 0 or -inf for each candidate."""
        pairs = np.broadcast_to(self.pairs, (len(members), *self.pairs.shape))
        short, groups = short_listed(pairs, members, open_to, self.short_list)
        rows, columns = groups[..., :, None], groups[..., None, :]
        worth = group_worth(
            self.mean[groups], self.covariance[rows, columns], self.stake[rows, columns], self.lapse
        )
        logs = np.full(open_to.shape, -np.inf)
        np.put_along_axis(logs, short, np.log(worth + TINY**2), axis=-1)
        return np.asarray(logs + open_to)
