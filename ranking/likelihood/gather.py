"""From votes to sums over votes: information for Newton, squared scores, scores by cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from ranking.blocks import OrderBlock, PairBlock
from ranking.likelihood.direct import HALF_WINS, PairTotals
from ranking.likelihood.orders import OrderRows
from ranking.likelihood.pairs import PairRows
from ranking.likelihood.strict import DENSE_CELLS, StrictTotals
from ranking.likelihood.terms import Floats, Layout, RowTerms, Terms
from ranking.votes import Votes

# From so many rows on, a pass over them is what a fit costs.
MANY_ROWS = 100_000


@dataclass(frozen=True)
class RowSums:
    """A likelihood summed over votes. `weights` (total,) multiply each vote, `squares` its outer product."""

    parts: tuple[PairRows | OrderRows, ...]
    layout: Layout
    weights: Floats | None
    squares: Floats | None

    def evaluate(self, phi: Floats) -> Terms:
        """Log-likelihood, gradient and information at phi."""
        if self.direct:
            # With few rows a second pass for the squares costs nothing, and Newton passes several times.
            direct = self._totals(phi, information=True, squares=self.rows >= MANY_ROWS)
            outer = None if direct.squares is None else direct.squares.matrix()
            known = np.zeros(0) if direct.information is None else direct.information.matrix()
            return Terms(direct.log_likelihood, direct.gradient, known, outer)
        sums = _Sums(self.layout)
        strict, others = self._split(phi)
        log_likelihood = 0.0
        if strict:
            totals = StrictTotals(self.layout, phi)
            for block in strict:
                totals.add(block, self.weights)
            log_likelihood = totals.log_likelihood
            sums.gradient += totals.gradient
            sums.pairs += totals.pairs
        for terms in _walk(others, phi):
            weight = None if self.weights is None else self.weights[terms.rows]
            log_likelihood += float(
                terms.log_likelihood.sum() if weight is None else weight @ terms.log_likelihood
            )
            sums.add_gradient(terms, weight)
            sums.add_information(terms, weight)
        return Terms(log_likelihood, sums.gradient, sums.matrix())

    def meat(self, phi: Floats) -> Floats:
        """(P, P) sum over votes of squared weight times the outer product of the vote's score."""
        if self.direct:
            found = self._totals(phi, information=False, squares=True).squares
            return np.zeros(0) if found is None else found.matrix()
        sums = _Sums(self.layout)
        strict, others = self._split(phi)
        if strict:
            totals = StrictTotals(self.layout, phi)
            for block in strict:
                totals.add_squares(block, self.squares)
            sums.pairs += totals.pairs
        for terms in _walk(others, phi):
            weight = None if self.squares is None else self.squares[terms.rows]
            sums.add_information(_outer(terms), weight)
        return sums.matrix()

    def _split(self, phi: Floats) -> tuple[list[OrderBlock], list[PairRows | OrderRows]]:
        """The blocks of strict rankings, which have a shorter way, and the other parts."""
        strict: list[OrderBlock] = []
        others: list[PairRows | OrderRows] = []
        for part in self.parts:
            if isinstance(part, OrderRows) and part.is_strict(phi):
                strict.append(part.block)
            else:
                others.append(part)
        return strict, others

    @property
    def rows(self) -> int:
        """How many rows of votes there are."""
        return sum(len(part.block) for part in self.parts)

    @property
    def direct(self) -> bool:
        """Whether all votes are pairs without a tie strength, which have a shorter way."""
        return not self.layout.tie_sizes and all(isinstance(part, PairRows) for part in self.parts)

    def gradient(self, phi: Floats) -> Floats:
        """(P,) of direct likelihoods alone, at half the cost of all terms."""
        return self._totals(phi, information=False, squares=False).gradient

    def _totals(self, phi: Floats, *, information: bool, squares: bool) -> PairTotals:
        totals = PairTotals(self.layout, information=information, squares=squares)
        for part in self.parts:
            if isinstance(part, PairRows):
                totals.add(part.block, phi, self.weights, self.squares)
        return totals

    def rough_strengths(self) -> Floats:
        """(n,) where to start: the log odds of being above another contestant of the vote, shrunk."""
        n = self.layout.n
        above, met = np.full(n, 0.5), np.full(n, 1.0)
        for part in self.parts:
            block = part.block
            if isinstance(block, PairBlock):
                first = HALF_WINS[block.outcome]
                above += np.bincount(block.first, first, n) + np.bincount(block.second, 1.0 - first, n)
                met += np.bincount(block.first, minlength=n) + np.bincount(block.second, minlength=n)
                continue
            levels = np.array(block.levels())
            for column, level in zip(block.items, levels, strict=True):
                seen = np.bincount(column, minlength=n)
                met += (block.width - 1) * seen
                above += ((levels > level).sum() + 0.5 * ((levels == level).sum() - 1)) * seen
        return np.asarray(np.log(above) - np.log(met - above))

    def one_sided(self, phi: Floats, flagged: np.ndarray) -> Floats:
        """(P, P) information less outer products of scores, of the votes with a flagged (n,) model."""
        known, seen = _Sums(self.layout), _Sums(self.layout)
        for terms in self.walk(phi):
            weight = np.asarray(flagged[terms.items].any(axis=0), dtype=np.float64)
            if self.squares is not None:
                weight = weight * self.squares[terms.rows]
            if weight.any():
                known.add_information(terms, weight)
                seen.add_information(_outer(terms), weight)
        return known.matrix() - seen.matrix()

    def sample(self, rows: int) -> RowSums:
        """About `rows` of the votes, evenly spread: a place to start from."""
        every = max(1, self.rows // rows)
        parts = tuple(part.thinned(every) for part in self.parts)
        return replace(self, parts=parts)

    def walk(self, phi: Floats) -> Iterable[RowTerms]:
        """The terms of all votes, part by part."""
        return _walk(self.parts, phi)

    def scores(self, phi: Floats, groups: np.ndarray, count: int) -> sparse.csr_array:
        """(count, P) sum of weighted scores of the votes of each group; groups (total,) holds codes."""
        index: list[np.ndarray] = []
        value: list[Floats] = []
        size = self.layout.size
        for terms in self.walk(phi):
            weight = 1.0 if self.weights is None else self.weights[terms.rows]
            group = groups[terms.rows] * size
            index += [group + column for column in terms.items]
            index += [group + (self.layout.n + extra) for extra in range(self.layout.extras)]
            value += list(terms.score * weight) + list(terms.extra_score * weight)
        if not index:
            return sparse.csr_array((count, size))
        return _grouped(index, value, count, size)


def _walk(parts: Iterable[PairRows | OrderRows], phi: Floats) -> Iterator[RowTerms]:
    for part in parts:
        yield from part.walk(phi)


def _grouped(index: list[np.ndarray], value: list[Floats], count: int, size: int) -> sparse.csr_array:
    if count * size <= 1 << 24:
        flat = np.zeros(count * size)
        for cells, values in zip(index, value, strict=True):
            np.add.at(flat, cells, values)
        return sparse.csr_array(flat.reshape(count, size))
    cells, values = np.concatenate(index), np.concatenate(value)
    return sparse.coo_array((values, (cells // size, cells % size)), shape=(count, size)).tocsr()


def _outer(terms: RowTerms) -> RowTerms:
    """The same votes with the outer product of the score in place of the information."""
    score, extra = terms.score, terms.extra_score
    return RowTerms(
        terms.rows,
        terms.items,
        terms.log_likelihood,
        score,
        {(c, d): score[c] * score[d] for c, d in terms.coupling},
        extra,
        score[:, np.newaxis] * extra[np.newaxis],
        extra[:, np.newaxis] * extra[np.newaxis],
    )


class _Sums:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.gradient = np.zeros(layout.size)
        self.pairs = np.zeros(layout.n * layout.n)
        self.cross = np.zeros((layout.extras, layout.n))
        self.extra = np.zeros((layout.extras, layout.extras))

    def add_gradient(self, terms: RowTerms, weight: Floats | None) -> None:
        n = self.layout.n
        for column, score in zip(terms.items, terms.score, strict=True):
            self.gradient[:n] += np.bincount(column, score if weight is None else score * weight, n)
        extra = terms.extra_score
        self.gradient[n:] += extra.sum(axis=1) if weight is None else extra @ weight

    def add_information(self, terms: RowTerms, weight: Floats | None) -> None:
        n = self.layout.n
        for (c, d), value in terms.coupling.items():
            cells = terms.items[c] * n + terms.items[d]
            weighted = value if weight is None else value * weight
            if len(self.pairs) <= DENSE_CELLS:
                self.pairs += np.bincount(cells, weighted, len(self.pairs))
            else:
                np.add.at(self.pairs, cells, weighted)
        for extra in range(self.layout.extras):
            for column, cross in zip(terms.items, terms.cross[:, extra], strict=True):
                self.cross[extra] += np.bincount(column, cross if weight is None else cross * weight, n)
        corner = terms.extra_information
        self.extra += corner.sum(axis=2) if weight is None else corner @ weight

    def matrix(self) -> Floats:
        """(P, P), the diagonal of the strengths from the rows summing to zero."""
        n = self.layout.n
        whole = np.zeros((self.layout.size, self.layout.size))
        table = self.pairs.reshape(n, n)
        whole[:n, :n] = table + table.T
        whole[np.arange(n), np.arange(n)] -= whole[:n, :n].sum(axis=1)
        whole[n:, :n] = self.cross
        whole[:n, n:] = self.cross.T
        whole[n:, n:] = self.extra
        return whole


def row_sums(votes: Votes, tie_sizes: Sequence[int]) -> RowSums:
    """The likelihood of `votes`; ties of `tie_sizes` have strengths, without sizes a tie shares the win."""
    layout = Layout(len(votes.models), tuple(tie_sizes), len(votes.features))
    parts = tuple(
        PairRows(block, layout) if isinstance(block, PairBlock) else OrderRows(block, layout)
        for block in votes.blocks
    )
    weights, squares = votes.weights, None
    if votes.weights is not None:
        squares = votes.weights**2
    if votes.counts is not None:
        weights = votes.counts if weights is None else weights * votes.counts
        squares = votes.counts if squares is None else squares * votes.counts
    return RowSums(parts, layout, weights, squares)
