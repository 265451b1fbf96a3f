"""Fragility: how few votes, taken away, turn two models round.

Intervals ask what other votes might have said; this asks how much hangs on a handful of the votes there
are. The influence of a vote on the gap of two models is c' A g with A the inverse information and g the
vote's score; the votes that hold the gap up are taken in that order until the sum exceeds it, and a refit
without them checks the claim (Broderick, Giordano and Meager 2020; on arenas Huang et al. 2025).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from ranking.aggregate import aggregated
from ranking.covariance import bread
from ranking.likelihood.gather import RowSums, row_sums
from ranking.likelihood.terms import Floats
from ranking.prior import Ghost
from ranking.problem import Problem, pose, solved
from ranking.votes import Votes

# Strengths closer than this are equal but for rounding: a dead heat has not turned.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Flip:
    """Taking `votes` votes away (their share of all: `share`) puts `behind` ahead of `ahead`.

    `rows` are their positions among the votes as given, None where equal pairs were counted together. The
    number is found greedily and confirmed by a refit: no fewer along that order will do, some other choice
    might. `votes` is None when even half of all votes taken so do not turn the pair.
    """

    ahead: str
    behind: str
    votes: int | None
    share: float | None
    rows: NDArray[np.intp] | None


def fragility(
    votes: Votes, *, model: str | None = None, prior: str = "auto", pairs: int | None = None
) -> list[Flip]:
    """The flip of rank 1 first, by the model that needs the fewest votes, then of each adjacent pair below.

    `pairs` limits the adjacent pairs to the uppermost; with 0 only the flip of rank 1 is looked for.
    """
    work = aggregated(votes)
    problem, solution = solved(work, model, prior)
    n = problem.layout.n
    if n < 2 or not work.total:
        return []
    sums = _rows_of(problem)
    inverse = bread(solution.terms.information, problem.pinned)
    order = np.argsort(-solution.phi[:n], kind="stable")
    search = _Search(problem, sums, solution.phi, inverse, merged=work is not votes)
    rival = min(order[1:], key=lambda j: search.estimate(order[0], j))
    flips = [search.flip(order[0], rival)]
    return flips + [search.flip(i, j) for i, j in islice(pairwise(order[1:]), pairs)]


def _rows_of(problem: Problem) -> RowSums:
    likelihood = problem.likelihood
    return (
        likelihood if isinstance(likelihood, RowSums) else row_sums(problem.votes, problem.layout.tie_sizes)
    )


class _Search:
    def __init__(
        self, problem: Problem, sums: RowSums, phi: Floats, inverse: Floats, *, merged: bool
    ) -> None:
        self.problem, self.phi, self.inverse, self.merged = problem, phi, inverse, merged
        votes = problem.votes
        self.counts = np.ones(votes.total) if votes.counts is None else votes.counts
        self.total = float(self.counts.sum())
        self.weights = votes.weights
        self.terms = [(terms.rows, terms.items, terms.score, terms.extra_score) for terms in sums.walk(phi)]

    def influence(self, i: int, j: int) -> Floats:
        """(total,) what one vote of each row adds to the gap of i over j."""
        n = self.problem.layout.n
        direction = self.inverse[i] - self.inverse[j]  # (P,)
        found = np.zeros(self.problem.votes.total)
        for rows, items, score, extra in self.terms:
            found[rows] = (direction[items] * score).sum(axis=0) + direction[n:] @ extra
        return found if self.weights is None else found * self.weights

    def estimate(self, i: int, j: int) -> float:
        """How many votes the influences say must go; infinite when taking all of them is not enough."""
        held = self.influence(i, j)
        order = np.argsort(-held)
        order = order[held[order] > 0]
        lost = np.cumsum(held[order] * self.counts[order])
        gap = self.phi[i] - self.phi[j]
        place = int(np.searchsorted(lost, gap))
        if place == len(lost):
            return float("inf")
        before = lost[place - 1] if place else 0.0
        return float(self.counts[order[:place]].sum() + np.ceil((gap - before) / held[order[place]] + 1e-9))

    def flip(self, i: int, j: int) -> Flip:
        """The fewest votes along the order of influence whose removal turns i and j, checked by refits."""
        held = self.influence(i, j)
        order = np.argsort(-held, kind="stable")
        order = order[held[order] > 0]
        most = int(min(self.counts[order].sum(), self.total // 2))
        names = self.problem.votes.models
        high = int(min(max(self.estimate(i, j), 1), most)) if most else 0
        low = 0  # removing `low` votes does not turn them
        while high and not self._turned(i, j, order, high):
            if high == most:
                return Flip(names[i], names[j], None, None, None)
            low, high = high, min(most, high + max(1, high // 4))
        if not high:
            return Flip(names[i], names[j], None, None, None)
        while high - low > 1:
            middle = (low + high) // 2
            if self._turned(i, j, order, middle):
                high = middle
            else:
                low = middle
        rows = None if self.merged else order[:high]
        return Flip(names[i], names[j], high, high / self.total, rows)

    def _turned(self, i: int, j: int, order: NDArray[np.intp], gone: int) -> bool:
        """Whether j is ahead of i in a refit without the first `gone` votes of the order."""
        counts = self.counts[order]
        before = np.concatenate([[0.0], np.cumsum(counts)[:-1]])
        left = self.counts.copy()
        left[order] -= np.clip(gone - before, 0.0, counts)
        scale = np.divide(left, self.counts, out=np.zeros_like(left), where=self.counts > 0)
        problem = self.problem
        model = "davidson" if problem.layout.tie_sizes else problem.method
        # Without a finite answer ghosts stand in, whatever the prior of the whole.
        rest_prior = "auto" if problem.prior is None else "ghost"
        rest = pose(problem.votes.with_counts(scale), model, rest_prior, 1.0)
        solution = rest.solve(self.phi if rest.layout == problem.layout else None)
        if not solution.converged:
            solution = replace(rest, prior=Ghost()).solve()
        phi = solution.phi
        return bool(phi[j] > phi[i] + ROUNDING)
