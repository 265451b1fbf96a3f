"""Bradley-Terry over many single pairs: the sums straight from the columns, without the terms of each vote.

The same numbers as walking the votes, at a third of the time: what is the same for both slots of a pair
is computed once. It serves pairs with covariates, which no table of counts can hold.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from ranking.blocks import PairBlock, chunks, take_rows
from ranking.likelihood.terms import Floats, Layout, Terms

# P(first) that stands for an outcome when a tie counts as half a win each; by outcome code.
HALF_WINS = np.array([1.0, 0.0, 0.5])
# Votes at once: a table of pairs is filled for every covariate, which many votes must share.
DIRECT_CHUNK = 1 << 15
# A product of this many numbers between a half and one is still a number.
FACTORS = 512


class PairTotals:
    """Running sums over a block of pairs. With `squared` the information is replaced by squared scores."""

    def __init__(self, layout: Layout, *, squared: bool) -> None:
        n, features = layout.n, layout.features
        self.layout, self.squared = layout, squared
        self.log_likelihood = 0.0
        self.slope = np.zeros(n)
        self.effect_slope = np.zeros(features)
        self.pairs = np.zeros(n * n)
        self.cross = np.zeros((features, n))
        self.corner = np.zeros((features, features))

    def add(self, block: PairBlock, phi: Floats, weights: Floats | None) -> None:
        """Add the votes of a block at phi, each with its weight (total,)."""
        effects = self.layout.effects(phi)
        for part in chunks(len(block), DIRECT_CHUNK):
            first = block.first[part].astype(np.intp, copy=False)
            second = block.second[part].astype(np.intp, copy=False)
            gap = phi.take(first)
            gap -= phi.take(second)
            features = None if block.features is None else block.features[:, part]
            if features is not None:
                gap += effects @ features
            y = HALF_WINS.take(block.outcome[part])
            weight = None if weights is None else weights[take_rows(block, part)]
            score, information = self._scores(gap, y, weight)
            cells = first * self.layout.n
            cells += second
            self._gather(cells, score, information, features)

    def _scores(self, gap: Floats, y: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
        """Score and information of the difference, weighted; the log-likelihood is summed on the way."""
        p = expit(gap)
        score = y - p
        if self.squared:  # nobody asks a variance for its log-likelihood
            information = score * score
            return score, information if weight is None else information * weight
        rest = 1.0 - p
        information = p * rest
        np.maximum(p, rest, out=rest)  # log(1 + e^gap) is the gap where positive, less the log of this
        y -= gap > 0.0
        if weight is None:
            self.log_likelihood += float(y @ gap) + _sum_of_logs(rest)
            return score, information
        self.log_likelihood += float(weight @ (y * gap + np.log(rest)))
        return score * weight, information * weight

    def _gather(self, cells: np.ndarray, score: Floats, information: Floats, features: Floats | None) -> None:
        if not self.squared:
            self.slope += self._by_model(cells, score)
        if self._dense(score):
            self.pairs += np.bincount(cells, information, len(self.pairs))
        else:
            np.add.at(self.pairs, cells, information)
        if features is None:
            return
        self.effect_slope += features @ score
        weighted = features * information
        self.corner += weighted @ features.T
        for row, values in zip(self.cross, weighted, strict=True):
            row += self._by_model(cells, values)

    def _dense(self, values: Floats) -> bool:
        return len(self.pairs) <= 4 * len(values)

    def _by_model(self, cells: np.ndarray, values: Floats) -> Floats:
        """(n,) the sum of the values of the votes a model was first in, less those it was second in."""
        n = self.layout.n
        if not self._dense(values):
            first, second = np.divmod(cells, n)
            return np.asarray(np.bincount(first, values, n) - np.bincount(second, values, n))
        table = np.bincount(cells, values, n * n).reshape(n, n)  # one pass over the votes in place of two
        return np.asarray(table.sum(axis=1) - table.sum(axis=0))

    def terms(self) -> Terms:
        """The sums so far; ties have no strength here, and the layout must have none."""
        n = self.layout.n
        whole = np.zeros((self.layout.size, self.layout.size))
        table = self.pairs.reshape(n, n)
        whole[:n, :n] = -(table + table.T)
        whole[np.arange(n), np.arange(n)] -= whole[:n, :n].sum(axis=1)
        whole[n:, :n] = self.cross
        whole[:n, n:] = self.cross.T
        whole[n:, n:] = self.corner
        return Terms(self.log_likelihood, np.concatenate([self.slope, self.effect_slope]), whole)


def _sum_of_logs(values: Floats) -> float:
    """The sum of the logs of numbers between a half and one; the log of a product costs one log for many."""
    even = values.size - values.size % FACTORS
    products = np.multiply.reduce(values[:even].reshape(FACTORS, -1), axis=0)
    return float(np.log(products).sum() + np.log(values[even:]).sum())
