"""Bradley-Terry over many single pairs: the sums straight from the columns, without the terms of each vote.

The same numbers as walking the votes, at a third of the time: what is the same for both slots of a pair
is computed once. It serves pairs with covariates, which no table of counts can hold.
"""

from __future__ import annotations

import numpy as np

from ranking.blocks import PairBlock, chunks, take_rows
from ranking.likelihood.terms import Floats, Layout

# P(first) that stands for an outcome when a tie counts as half a win each; by outcome code.
HALF_WINS = np.array([1.0, 0.0, 0.5])
# Votes at once: a table of pairs is filled for every covariate, which many votes must share.
DIRECT_CHUNK = 1 << 15
# A product of this many numbers between a half and one is still a number.
FACTORS = 512


class PairTotals:
    """Running sums over blocks of pairs: the gradient, and on request the information and squared scores."""

    def __init__(self, layout: Layout, *, information: bool, squares: bool) -> None:
        self.layout = layout
        self.log_likelihood = 0.0
        self.slope = _ByModel(layout.n)
        self.effect_slope = np.zeros(layout.features)
        self.information = _OuterProducts(layout) if information else None
        self.squares = _OuterProducts(layout) if squares else None

    def add(self, block: PairBlock, phi: Floats, weights: Floats | None, squares: Floats | None) -> None:
        """Add the votes of a block at phi; `weights` (total,) multiply scores, `squares` squared scores."""
        effects = self.layout.effects(phi)
        for part in chunks(len(block), DIRECT_CHUNK):
            first = block.first[part].astype(np.intp, copy=False)
            second = block.second[part].astype(np.intp, copy=False)
            gap = phi.take(first)
            gap -= phi.take(second)
            features = None if block.features is None else block.features[:, part]
            if features is not None:
                gap += effects @ features
            cells = first * self.layout.n
            cells += second
            rows = take_rows(block, part)
            p = _logistic(gap)
            y = HALF_WINS.take(block.outcome[part])
            score = y - p
            if self.squares is not None:
                squared = score * score
                self.squares.add(cells, squared if squares is None else squared * squares[rows], features)
            weight = None if weights is None else weights[rows]
            if self.information is not None:
                information = self._information(gap, y, p, weight)
                self.information.add(cells, information, features)
            if weight is not None:
                score *= weight
            self.slope.add(cells, score)
            if features is not None:
                self.effect_slope += features @ score

    def _information(self, gap: Floats, y: Floats, p: Floats, weight: Floats | None) -> Floats:
        """(r,) of the difference, weighted; the log-likelihood is summed on the way and y used up."""
        rest = 1.0 - p
        information = p * rest
        np.maximum(p, rest, out=rest)  # log(1 + e^gap) is the gap where positive, less the log of this
        y -= gap > 0.0
        if weight is None:
            self.log_likelihood += float(y @ gap) + _sum_of_logs(rest)
            return information
        self.log_likelihood += float(weight @ (y * gap + np.log(rest)))
        return np.asarray(information * weight)

    @property
    def gradient(self) -> Floats:
        """(P,); ties have no strength here, and the layout must have none."""
        return np.concatenate([self.slope.total(), self.effect_slope])


class _OuterProducts:
    """The sum of a number of each vote times the outer product of its design: +1, -1 and its covariates."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.pairs = np.zeros(layout.n * layout.n)
        self.cross = [_ByModel(layout.n) for _ in range(layout.features)]
        self.corner = np.zeros((layout.features, layout.features))

    def add(self, cells: np.ndarray, values: Floats, features: Floats | None) -> None:
        """Add votes with cells first * n + second, numbers (r,) and covariates (F, r)."""
        if _dense(values, self.layout.n):
            self.pairs += np.bincount(cells, values, len(self.pairs))
        else:
            np.add.at(self.pairs, cells, values)
        if features is None:
            return
        weighted = features * values
        self.corner += weighted @ features.T
        for row, column in zip(self.cross, weighted, strict=True):
            row.add(cells, column)

    def matrix(self) -> Floats:
        """(P, P) the sum so far."""
        n = self.layout.n
        whole = np.zeros((self.layout.size, self.layout.size))
        table = self.pairs.reshape(n, n)
        whole[:n, :n] = -(table + table.T)
        whole[np.arange(n), np.arange(n)] -= whole[:n, :n].sum(axis=1)
        for place, row in enumerate(self.cross, start=n):
            whole[place, :n] = whole[:n, place] = row.total()
        whole[n:, n:] = self.corner
        return whole


def _dense(values: Floats, n: int) -> bool:
    return n * n <= 4 * len(values)


class _ByModel:
    """(n,) the sum of the values of the votes a model was first in, less those it was second in.

    Summed by pair, which is one pass over the votes in place of two, as long as such a table is small.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.by_pair = n * n <= 4 * DIRECT_CHUNK
        self.sums = np.zeros(n * n if self.by_pair else n)

    def add(self, cells: np.ndarray, values: Floats) -> None:
        """Add votes with cells first * n + second and numbers (r,)."""
        if self.by_pair:
            self.sums += np.bincount(cells, values, len(self.sums))
            return
        first, second = np.divmod(cells, self.n)
        self.sums += np.bincount(first, values, self.n) - np.bincount(second, values, self.n)

    def total(self) -> Floats:
        """The sum so far."""
        if not self.by_pair:
            return self.sums
        table = self.sums.reshape(self.n, self.n)
        return np.asarray(table.sum(axis=1) - table.sum(axis=0))


def _logistic(gap: Floats) -> Floats:
    """1 / (1 + e^-gap), a third of the time of the careful one: below e^-700 it is 0, as it should be."""
    p = np.negative(gap)
    with np.errstate(over="ignore"):
        np.exp(p, out=p)
    p += 1.0
    return np.asarray(np.reciprocal(p, out=p))


def _sum_of_logs(values: Floats) -> float:
    """The sum of the logs of numbers between a half and one; the log of a product costs one log for many."""
    even = values.size - values.size % FACTORS
    products = np.multiply.reduce(values[:even].reshape(FACTORS, -1), axis=0)
    return float(np.log(products).sum() + np.log(values[even:]).sum())
