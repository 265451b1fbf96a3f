"""Bradley-Terry over many single pairs: the sums straight from the columns, without the terms of each vote.

The same numbers as walking the votes, at a third of the time: what is the same for both slots of a pair
is computed once. It serves pairs with covariates, which no table of counts can hold.
"""

from __future__ import annotations

import numpy as np

from ranking.blocks import PairBlock, chunks, take_rows
from ranking.likelihood.terms import CHUNK, Floats, Layout, Terms

# P(first) that stands for an outcome when a tie counts as half a win each; by outcome code.
HALF_WINS = np.array([1.0, 0.0, 0.5])
# Up to this many cells a table of pairs is filled for every covariate; above it one list per model.
DENSE_CELLS = 1 << 15


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
        for part in chunks(len(block), CHUNK):
            first = block.first[part].astype(np.intp, copy=False)
            second = block.second[part].astype(np.intp, copy=False)
            gap = phi[first]
            gap -= phi[second]
            features = None if block.features is None else block.features[:, part]
            if features is not None:
                gap += effects @ features
            y = HALF_WINS[block.outcome[part]]
            weight = None if weights is None else weights[take_rows(block, part)]
            score, information = self._scores(gap, y, weight)
            self._gather(first, second, score, information, features)

    def _scores(self, gap: Floats, y: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
        """Score and information of the difference, weighted; the log-likelihood is summed on the way."""
        small = np.exp(-np.abs(gap))
        p = np.where(gap > 0.0, 1.0, small)
        p /= 1.0 + small
        score = y - p
        information = score * score if self.squared else p * (1.0 - p)
        if self.squared:  # nobody asks a variance for its log-likelihood
            return score, information if weight is None else information * weight
        value = y * gap
        value -= np.maximum(gap, 0.0)
        value -= np.log1p(small)
        if weight is None:
            self.log_likelihood += float(value.sum())
            return score, information
        self.log_likelihood += float(weight @ value)
        return score * weight, information * weight

    def _gather(
        self,
        first: np.ndarray,
        second: np.ndarray,
        score: Floats,
        information: Floats,
        features: Floats | None,
    ) -> None:
        n = self.layout.n
        cells = first * n
        cells += second
        if not self.squared:
            self.slope += np.bincount(first, score, n)
            self.slope -= np.bincount(second, score, n)
        if len(self.pairs) <= len(score) * 4:
            self.pairs += np.bincount(cells, information, n * n)
        else:
            np.add.at(self.pairs, cells, information)
        if features is None:
            return
        self.effect_slope += features @ score
        weighted = features * information
        self.corner += weighted @ features.T
        for row, values in zip(self.cross, weighted, strict=True):
            if n * n <= DENSE_CELLS:  # one pass over the votes in place of two
                table = np.bincount(cells, values, n * n).reshape(n, n)
                row += table.sum(axis=1)
                row -= table.sum(axis=0)
            else:
                row += np.bincount(first, values, n)
                row -= np.bincount(second, values, n)

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
