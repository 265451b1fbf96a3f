"""Pairs counted: one row per pair of models, whatever the number of votes.

The log-likelihood of Bradley-Terry and of Davidson depends on the votes only through the table of wins
and ties, so counting once makes every later pass independent of the number of votes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from ranking.blocks import Block, PairBlock, pair_cells
from ranking.likelihood.terms import Floats, Layout, Terms
from ranking.outcomes import FIRST, TIE
from ranking.votes import Votes


@dataclass(frozen=True)
class PairTable:
    """Weighted outcomes of each pair i < j that met. `squares` sum the squared weights, for the sandwich."""

    layout: Layout
    i: np.ndarray  # (p,)
    j: np.ndarray  # (p,)
    outcomes: Floats  # (3, p): i won, j won, tied
    squares: Floats  # (3, p)

    @property
    def davidson(self) -> bool:
        """Whether ties have a strength of their own (Davidson 1970) and not half a win each."""
        return bool(self.layout.tie_sizes)

    def rough_strengths(self) -> Floats:
        """(n,) where to start: the log odds of a win against everybody met, half a win and loss added."""
        won, lost, tied = self.outcomes
        n = self.layout.n
        wins = np.bincount(self.i, won + 0.5 * tied, n) + np.bincount(self.j, lost + 0.5 * tied, n) + 0.5
        return np.asarray(np.log(wins) - np.log(self.votes_per_model() + 1.0 - wins))

    def with_outcomes(self, outcomes: Floats) -> PairTable:
        """The same pairs with other counts, for the bootstrap."""
        return replace(self, outcomes=outcomes, squares=outcomes)

    def votes_per_model(self) -> Floats:
        """(n,) summed weights of the votes each model took part in."""
        total, n = self.outcomes.sum(axis=0), self.layout.n
        return np.asarray(np.bincount(self.i, total, n) + np.bincount(self.j, total, n))

    def evaluate(self, phi: Floats) -> Terms:
        """Log-likelihood, gradient and information at phi."""
        difference = phi[self.i] - phi[self.j]  # (p,)
        won, lost, tied = self.outcomes
        if not self.davidson:
            half = won + 0.5 * tied
            total = won + lost + tied
            p = expit(difference)
            expected = total * p
            # log(1 + e^d) without a second exponential: the likelier of the two has the log to take.
            missed = np.log(np.maximum(p, 1.0 - p)) - np.maximum(difference, 0.0)
            log_likelihood = float(half @ difference + total @ missed)
            return self._assemble(log_likelihood, half - expected, expected * (1.0 - p))
        return self._davidson(difference, phi[self.layout.n])

    def _davidson(self, difference: Floats, tau: float) -> Terms:
        won, lost, tied = self.outcomes
        p_i, p_j, p_tie, log_total = davidson_probabilities(difference, tau)
        total = won + lost + tied
        log_likelihood = float(0.5 * difference @ (won - lost) + tau * tied.sum() - total @ log_total)
        lead = p_i - p_j
        score = 0.5 * (won - lost - total * lead)
        information = 0.25 * total * (p_i + p_j - lead**2)
        tie_score = float(tied.sum() - total @ p_tie)
        tie_information = float(total @ (p_tie * (1.0 - p_tie)))
        return self._assemble(
            log_likelihood, score, information, tie_score, tie_information, -0.5 * total * lead * p_tie
        )

    def one_sided(self, phi: Floats, flagged: np.ndarray) -> Floats:
        """(P, P) information less outer products of scores, of the pairs with a flagged (n,) model."""
        part = flagged[self.i] | flagged[self.j]
        pairs = PairTable(
            self.layout, self.i[part], self.j[part], self.outcomes[:, part], self.squares[:, part]
        )
        return np.asarray(replace(pairs, outcomes=pairs.squares).evaluate(phi).information - pairs.meat(phi))

    def meat(self, phi: Floats) -> Floats:
        """(P, P) sum over votes of squared weight times the outer product of the vote's score."""
        difference = phi[self.i] - phi[self.j]
        won, lost, tied = self.squares
        if not self.davidson:
            p = expit(difference)
            squared = won * (1.0 - p) ** 2 + lost * p**2 + tied * (0.5 - p) ** 2
            return self._assemble(0.0, np.zeros_like(p), squared).information
        p_i, p_j, p_tie, _ = davidson_probabilities(difference, phi[self.layout.n])
        lead = 0.5 * (p_i - p_j)
        squared = won * (0.5 - lead) ** 2 + lost * (0.5 + lead) ** 2 + tied * lead**2
        cross = -p_tie * (won * (0.5 - lead) - lost * (0.5 + lead)) - (1.0 - p_tie) * tied * lead
        tie_squared = float((won + lost) @ p_tie**2 + tied @ (1.0 - p_tie) ** 2)
        return self._assemble(0.0, np.zeros_like(p_i), squared, 0.0, tie_squared, cross).information

    def _assemble(
        self,
        log_likelihood: float,
        score: Floats,
        information: Floats,
        tie_score: float = 0.0,
        tie_information: float = 0.0,
        cross: Floats | None = None,
    ) -> Terms:
        """Spread what was computed per pair, as functions of theta_i - theta_j, over the parameters."""
        n, size = self.layout.n, self.layout.size
        gradient = np.zeros(size)
        gradient[:n] = np.bincount(self.i, score, n) - np.bincount(self.j, score, n)
        matrix = np.zeros((size, size))
        matrix[self.i, self.j] = information  # each pair stands once, so assignment is addition
        strengths = matrix[:n, :n]
        strengths[...] = -strengths - strengths.T
        strengths[np.arange(n), np.arange(n)] = -strengths.sum(axis=1)
        if cross is not None:
            gradient[n] = tie_score
            matrix[n, n] = tie_information
            matrix[:n, n] = matrix[n, :n] = np.bincount(self.i, cross, n) - np.bincount(self.j, cross, n)
        return Terms(log_likelihood, gradient, matrix)


def davidson_probabilities(difference: Floats, tau: float) -> tuple[Floats, Floats, Floats, Floats]:
    """P(first), P(second), P(tie) and the log of their denominator for strengths `difference` apart.

    Davidson (1970), eq. 2.3 with nu = exp(tau): pi_i : pi_j : nu sqrt(pi_i pi_j), divided by sqrt(pi_i pi_j).
    """
    half = 0.5 * difference
    top = np.maximum(np.abs(half), tau)
    first, second, tie = np.exp(half - top), np.exp(-half - top), np.exp(tau - top)
    total = first + second + tie
    return first / total, second / total, tie / total, top + np.log(total)


def count_pairs(votes: Votes, *, davidson: bool) -> PairTable:
    """Count the pairs of `votes`, all of them pairwise. Counts and weights multiply."""
    n = len(votes.models)
    cells = 4 * n * n
    outcomes = np.zeros(cells)
    squares = outcomes if votes.weights is None else np.zeros(cells)
    for block in votes.blocks:
        if not isinstance(block, PairBlock):
            raise TypeError("only pairs can be counted in a table")
        if votes.counts is None and votes.weights is None and block.tally is not None:
            outcomes += block.tally.ravel()
            continue
        for part, key in pair_cells(block, n):
            if votes.counts is None and votes.weights is None:
                outcomes += np.bincount(key, minlength=cells)
                continue
            rows = part if block.rows is None else block.rows[part]
            counts = np.ones(len(key)) if votes.counts is None else votes.counts[rows]
            weights = np.ones(len(key)) if votes.weights is None else votes.weights[rows]
            outcomes += np.bincount(key, counts * weights, cells)
            if votes.weights is not None:
                squares += np.bincount(key, counts * weights**2, cells)
    return _table(Layout(n, (2,) if davidson else ()), outcomes, None if votes.weights is None else squares)


def pairs_within(blocks: Iterable[Block], n: int) -> PairTable:
    """The pairs that the votes order, unweighted and without covariates: where to start a fit from.

    The strengths that these pairs make most likely are those of the ranking model but for noise, since
    two contestants of a ranking meet under Plackett-Luce as they would alone (Luce 1959).
    """
    counts = np.zeros((4, n * n))
    for block in blocks:
        if isinstance(block, PairBlock):
            if block.tally is not None:
                counts += block.tally.reshape(4, -1)
                continue
            for _, key in pair_cells(block, n):
                counts += np.bincount(key, minlength=4 * n * n).reshape(4, -1)
            continue
        levels = block.levels()
        for c in range(block.width - 1):
            row = block.items[c].astype(np.intp) * n
            for d in range(c + 1, block.width):
                if levels[c] < len(block.sizes):  # the unranked are not ordered among themselves
                    outcome = FIRST if levels[c] < levels[d] else TIE
                    counts[outcome] += np.bincount(row + block.items[d], minlength=n * n)
    return _table(Layout(n), counts.ravel(), None)


def _table(layout: Layout, outcomes: Floats, squares: Floats | None) -> PairTable:
    """The pairs that met, from flat tables (4, n, n)."""
    n = layout.n
    folded = _fold(outcomes, n)
    met = np.flatnonzero(np.triu(folded.any(axis=0).reshape(n, n), 1))
    i, j = np.divmod(met, max(n, 1))
    said = folded.take(met, axis=1)
    said_squared = said if squares is None else _fold(squares, n).take(met, axis=1)
    return PairTable(layout, i, j, said, said_squared)


def _fold(flat: Floats, n: int) -> Floats:
    """(3, n * n) whose cells i < j hold how often i won, j won, and they tied, whoever came first."""
    first, second, tied, _ = flat.reshape(4, n, n)
    return np.stack([first + second.T, second + first.T, tied + tied.T]).reshape(3, -1)
