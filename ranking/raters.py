"""How far each voter can be relied on: an alternative column beside the ratings, never silently the default.

Two things are told apart. A vote may lapse: with probability eps_k voter k answers at random, and the vote
is (1 - eps_k) P(vote | strengths) + eps_k / (number of answers); for pairs eps_k / 2 is one minus the
quality of Crowd-BT (Chen et al. 2013). And a voter may never have been honest: a mixture over voters of
the honest, the random, and the partisans of one contestant, who put it first whenever they see it.
Both are fitted with the strengths by EM, the strengths by the same Newton as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import comb, log

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from ranking.blocks import Ids, OrderBlock, PairBlock
from ranking.covariance import bread, centred
from ranking.errors import BadVotes
from ranking.likelihood.gather import RowSums, row_sums
from ranking.likelihood.terms import Floats
from ranking.newton import Solution
from ranking.outcomes import FIRST, SECOND
from ranking.prior import Ghost
from ranking.problem import Problem, solved
from ranking.result import Fit
from ranking.votes import Votes

# Lapse rates are shrunk to 5 % as if every voter had answered twenty questions at that rate.
LAPSE_MEAN, LAPSE_STRENGTH = 0.05, 20.0
# How often a partisan fails to favour its contestant.
PARTISAN_SLIP = 0.05
# Before the votes: the shares of honest and of random voters; partisans share the rest.
HONEST, RANDOM = 0.9, 0.05
SUSPECT = 0.5
ROUNDS = 60


@dataclass(frozen=True)
class RaterFit:
    """Ratings that weigh voters by reliability. Voters are indexed by their codes in the votes."""

    fit: Fit
    honest: Floats  # (voters,) probability that the voter votes as others do, lapses apart
    lapse: Floats  # (voters,) rate of answers at random, among the honest
    favourite: NDArray[np.intp]  # (voters,) the contestant whose partisan the voter most looks like

    def suspects(self, below: float = SUSPECT) -> NDArray[np.intp]:
        """Codes of the voters who are honest with less than this probability."""
        return np.flatnonzero(self.honest < below)


def fit_with_raters(
    votes: Votes, *, model: str | None = None, prior: str = "auto", voter_classes: bool = True
) -> RaterFit:
    """Strengths and the reliability of every voter, together.

    Without voter columns all votes are one voter's and only the common lapse rate is fitted. With
    voter_classes=False nobody is ruled out as a whole.
    """
    problem, solution = solved(votes, model, prior)
    if problem.firth:
        raise BadVotes("The rater model has no firth prior; use ghost.")
    voters = np.zeros(votes.total, dtype=np.intp) if votes.voters is None else votes.voters
    state = _Raters(problem, voters, voter_classes=voter_classes and votes.voters is not None)
    for _ in range(ROUNDS):
        before = solution.phi
        state.expect(before)
        solution = state.refit(before)
        if np.abs(solution.phi - before).max(initial=0.0) < 1e-5:
            break
    return state.result(solution)


class _Raters:
    def __init__(self, problem: Problem, voters: NDArray[np.intp], *, voter_classes: bool) -> None:
        votes = problem.votes
        self.problem, self.voters, self.voter_classes = problem, voters, voter_classes
        likelihood = problem.likelihood
        self.sums = (
            likelihood if isinstance(likelihood, RowSums) else row_sums(votes, problem.layout.tie_sizes)
        )
        self.count = int(voters.max(initial=-1)) + 1
        self.repeats = np.ones(votes.total) if votes.counts is None else votes.counts
        self.used, self.random = _random_answers(votes, ties=bool(problem.layout.tie_sizes))
        self.repeats = self.repeats * self.used
        self.given = np.bincount(voters, self.repeats, self.count)
        self.lapse = np.full(self.count, LAPSE_MEAN)
        self.honest = np.ones(self.count)
        self.favourite = np.zeros(self.count, dtype=np.intp)
        self.sound = np.ones(votes.total)  # probability that the vote is an honest answer

    def expect(self, phi: Floats) -> None:
        """E-step: which votes lapsed and which voters are honest, at these strengths."""
        log_p = np.zeros(self.problem.votes.total)
        for terms in self.sums.walk(phi):
            log_p[terms.rows] = terms.log_likelihood
        lapse = self.lapse[self.voters]
        answered = np.log1p(-lapse) + log_p
        either = np.logaddexp(answered, np.log(lapse) + self.random)
        within = np.exp(answered - either)
        if self.voter_classes:
            self._classify(either)
        self.sound = within * self.honest[self.voters] * self.used
        lapsed = np.bincount(self.voters, self.repeats * (1.0 - within), self.count)
        self.lapse = (lapsed + LAPSE_MEAN * LAPSE_STRENGTH) / (self.given + LAPSE_STRENGTH)

    def _classify(self, either: Floats) -> None:
        n = self.problem.layout.n
        as_honest = np.bincount(self.voters, self.repeats * either, self.count)
        at_random = np.bincount(self.voters, self.repeats * self.random, self.count)
        # A partisan of t differs from an honest voter only in the votes that show t.
        gains = np.zeros(self.count * n)
        for rows, items, top, width in _tops(self.problem.votes):
            other = float(gammaln(width))  # the rest of the order is of no interest to a partisan
            said = np.where(top, log(1.0 - PARTISAN_SLIP), log(PARTISAN_SLIP / (width - 1))) - other
            for column in range(width):
                value = self.repeats[rows] * (said[column] - either[rows])
                gains += np.bincount(self.voters[rows] * n + items[column], value, len(gains))
        as_partisan = as_honest[:, np.newaxis] + gains.reshape(self.count, n)
        self.favourite = as_partisan.argmax(axis=1)
        shares = np.array([HONEST, RANDOM])
        classes = np.stack([as_honest, at_random], axis=1) + np.log(shares)
        partisan = logsumexp(as_partisan, axis=1) + log((1.0 - HONEST - RANDOM) / n)
        total = np.logaddexp(logsumexp(classes, axis=1), partisan)
        self.honest = np.exp(classes[:, 0] - total)

    def refit(self, start: Floats) -> Solution:
        """M-step: the strengths with every vote weighing as much as it is believed."""
        weights = self.sound if self.sums.weights is None else self.sums.weights * self.sound
        squares = self.sound**2 if self.sums.squares is None else self.sums.squares * self.sound**2
        believed = replace(self.sums, weights=weights, squares=squares)
        # Partisans may hold the only defeats of a contestant; without them ghosts keep it finite.
        prior = self.problem.prior or Ghost()
        self.weighted = replace(self.problem, likelihood=believed, prior=prior)
        return self.weighted.solve(start)

    def result(self, solution: Solution) -> RaterFit:
        """The fit, its information corrected for not knowing which votes lapsed (Louis 1982)."""
        problem, phi, n = self.weighted, solution.phi, self.problem.layout.n
        sums = problem.likelihood
        if not isinstance(sums, RowSums):
            raise TypeError("the rater model walks votes one by one")
        unsure = self.sound * (1.0 - self.sound)
        squares = unsure if self.sums.squares is None else self.sums.squares * unsure
        missing = replace(sums, squares=squares).meat(phi)
        before = problem.prior_information(phi)
        information = sums.evaluate(phi).information + before - missing
        inverse = bread(information, n)
        covariance = centred(inverse @ (sums.meat(phi) + before) @ inverse, n)
        ruled_out = int((self.honest < SUSPECT).sum())
        warnings = [f"{ruled_out} voters are hardly believed by the rater model."] if ruled_out else []
        fit = Fit(
            models=problem.votes.models,
            strengths=phi[:n],
            covariance=covariance[:n, :n],
            votes=problem.votes.votes_per_model(),
            method=f"{problem.method} with raters",
            prior="ghost (0.5 won and lost each)" if isinstance(problem.prior, Ghost) else "normal",
            covariance_kind="sandwich",
            log_likelihood=solution.terms.log_likelihood - problem.log_prior(phi),
            converged=solution.converged,
            iterations=solution.iterations,
            warnings=tuple(warnings),
        )
        return RaterFit(fit, self.honest, self.lapse, self.favourite)


def _random_answers(votes: Votes, *, ties: bool) -> tuple[Floats, Floats]:
    """(total,) whether a vote orders anybody, and the log probability of its answer given at random."""
    used, random = np.zeros(votes.total), np.zeros(votes.total)
    for block in votes.blocks:
        rows = slice(None) if block.rows is None else block.rows
        used[rows] = 1.0
        width, unranked = (2, 0) if isinstance(block, PairBlock) else (block.width, block.unranked)
        if ties:
            random[rows] = -log(weak_orders(width))
        else:
            random[rows] = gammaln(unranked + 1) - gammaln(width + 1)
    return used, random


def weak_orders(width: int) -> int:
    """How many ways there are to rank `width` contestants with ties: 1, 3, 13, 75, 541, ..."""
    counts = [1]
    for k in range(1, width + 1):
        counts.append(sum(comb(k, tied) * counts[k - tied] for tied in range(1, k + 1)))
    return counts[width]


def _tops(votes: Votes) -> list[tuple[Ids, Ids, NDArray[np.bool_], int]]:
    """(rows (m,), items (K, m), alone at the top (K, m), K) of every block."""
    found: list[tuple[Ids, Ids, NDArray[np.bool_], int]] = []
    for block in votes.blocks:
        rows = np.arange(len(block)) if block.rows is None else np.asarray(block.rows)
        if isinstance(block, OrderBlock):
            top = np.zeros((block.width, len(block)), dtype=bool)
            top[0] = block.sizes[0] == 1
            found.append((rows, block.items.astype(np.intp), top, block.width))
        else:
            items = np.stack([block.first, block.second]).astype(np.intp)
            found.append((rows, items, np.stack([block.outcome == FIRST, block.outcome == SECOND]), 2))
    return found
