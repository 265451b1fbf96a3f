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

Aim = Literal["order", "top", "newcomers"]
AIMS: tuple[Aim, ...] = ("order", "top", "newcomers")

# exp(-z^2 / 2 KAPPA^2): how fast a pair stops mattering once its order is clear.
KAPPA = 1.4
# Differences this small (natural log; 7 Elo) are not chased.
TAU = 0.04


def pair_weights(posterior: Posterior, aim: Aim = "order") -> Floats:
    """How much the order of each pair is in doubt, (n, n), symmetric, zero diagonal."""
    variance = posterior.difference_variance()
    gap = posterior.mean[:, None] - posterior.mean[None, :]
    squared = np.divide(gap**2, variance, out=np.zeros_like(gap), where=variance > 0.0)
    weight = np.exp(squared / (-2.0 * KAPPA**2)) / (variance + TAU**2)
    np.fill_diagonal(weight, 0.0)
    if aim == "top":
        weight *= _nearness_to_the_top(gap, variance)
    elif aim == "newcomers":
        weight *= _newness(posterior)
    return weight


def _nearness_to_the_top(gap: Floats, variance: Floats) -> Floats:
    """1 / (expected rank of i times expected rank of j)."""
    behind = ndtr(np.divide(-gap, np.sqrt(variance), out=np.zeros_like(gap), where=variance > 0.0))
    np.fill_diagonal(behind, 0.0)
    rank = 1.0 + behind.sum(axis=1)
    return np.asarray(1.0 / (rank[:, None] * rank[None, :]))


def _newness(posterior: Posterior) -> Floats:
    """The larger variance of the two, against the largest on the board, squared."""
    spread = posterior.covariance - posterior.covariance.mean(axis=0)
    variance = np.maximum(np.diag(spread) - spread.mean(axis=1), 1e-12)
    share = variance / variance.max(initial=1e-12)
    return np.asarray(np.maximum(share[:, None], share[None, :]) ** 2)


def stakes(posterior: Posterior, aim: Aim = "order", among: Ints | None = None) -> Floats:
    """B = S L S for the contestants `among` (all by default), (c, c).

    B changes slowly: one computed up to some ten votes ago serves as well.
    """
    weight = pair_weights(posterior, aim)
    columns = posterior.covariance if among is None else posterior.covariance[:, among]  # (n, c)
    degree = weight.sum(axis=1)
    return np.asarray(columns.T @ (degree[:, None] * columns) - columns.T @ (weight @ columns))


def pair_worth(mean: Floats, covariance: Floats, stake: Floats, lapse: float) -> Floats:
    """Worth of every battle of two, (c, c), by the closed form of tr(A B_GG) for K = 2."""
    variance = np.diag(covariance)
    spread = variance[:, None] + variance[None, :] - 2.0 * covariance
    at_stake = np.diag(stake)
    gain = at_stake[:, None] + at_stake[None, :] - 2.0 * stake
    chance = 0.5 * (1.0 + np.tanh(0.5 * (mean[:, None] - mean[None, :])))
    information = chance * (1.0 - chance)
    if lapse > 0.0:
        seen = (1.0 - lapse) * chance + 0.5 * lapse
        information = ((1.0 - lapse) * information) ** 2 / (seen * (1.0 - seen))
    return np.asarray(information * gain / (1.0 + information * spread))


def group_worth(mean: Floats, covariance: Floats, stake: Floats, lapse: float, groups: Ints) -> Floats:
    """Worth tr(A B_GG) of each row of `groups` (g, K), (g,)."""
    rows, columns = groups[:, :, None], groups[:, None, :]
    information = expected_information(mean[groups], lapse)  # (g, K, K)
    inner = np.eye(groups.shape[1]) + covariance[rows, columns] @ information
    # tr(F (I + S F)^-1 B) = tr((I + S F)^-1 B F)
    taken = np.linalg.solve(inner, stake[rows, columns] @ information)
    return np.asarray(np.trace(taken, axis1=-2, axis2=-1))


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
        promise = self.pairs[members].sum(axis=1) + open_to  # (g, c)
        size = min(self.short_list, promise.shape[1])
        short = np.argpartition(-promise, size - 1, axis=1)[:, :size]  # (g, short)
        groups = np.concatenate(
            [np.broadcast_to(members[:, None, :], (*short.shape, members.shape[1])), short[:, :, None]],
            axis=2,
        )
        worth = group_worth(
            self.mean, self.covariance, self.stake, self.lapse, groups.reshape(-1, groups.shape[2])
        ).reshape(short.shape)
        logs = np.full(promise.shape, -np.inf)
        np.put_along_axis(logs, short, np.log(np.maximum(worth, 1e-300)), axis=1)
        return logs + open_to
