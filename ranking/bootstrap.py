"""Bootstrap: refit to resampled votes, voters or prompts. The check on the sandwich, and the way out where
no formula holds.

Each vote (or each voter, with all its votes) is counted Poisson(1) times, which is the multinomial
bootstrap without its fixed total (Hanley and MacGibbon 2006); scheme="multinomial" keeps the total. Every
round is solved exactly, not by one Newton step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from ranking.connectivity import connectivity_of_table
from ranking.covariance import bread, clusters_of
from ranking.errors import BadVotes
from ranking.likelihood.pair_table import PairTable
from ranking.likelihood.terms import Floats
from ranking.prior import Ghost
from ranking.problem import Problem, pose, solved
from ranking.votes import Votes

UNITS = ("vote", "voter", "prompt")
SCHEMES = ("poisson", "multinomial")
# Strengths this far from the mean smell of a resample without a finite answer: it is looked at by itself.
LONGEST = 8.0
# A last step below this is exact: what is left is a tenth of it, and standard errors are some hundredths.
EXACT = 1e-7
# Rounds solved together: their table of differences stays at some megabytes.
TOGETHER = 25


@dataclass(frozen=True)
class Bootstrap:
    """Strengths of every round, mean zero. `strengths` is (rounds, n)."""

    models: tuple[str, ...]
    strengths: Floats
    unit: str
    scheme: str

    @property
    def covariance(self) -> Floats:
        """(n, n) of the strengths over the rounds."""
        return np.atleast_2d(np.cov(self.strengths, rowvar=False))

    def intervals(self, level: float = 0.95) -> Floats:
        """(n, 2) percentile intervals."""
        tail = 0.5 - 0.5 * level
        return np.asarray(np.quantile(self.strengths, [tail, 1.0 - tail], axis=0).T)


def bootstrap(
    votes: Votes,
    *,
    rounds: int = 100,
    unit: str = "vote",
    scheme: str = "poisson",
    model: str | None = None,
    prior: str = "auto",
    prior_sd: float = 1.0,
    seed: int = 0,
) -> Bootstrap:
    """Strengths refitted to `rounds` resamples of the votes, voters or prompts. Raises BadVotes."""
    if unit not in UNITS or scheme not in SCHEMES:
        raise BadVotes(f"A bootstrap resamples {', '.join(UNITS)}, by {' or '.join(SCHEMES)}.")
    rng = np.random.default_rng(seed)
    problem, solution = solved(votes, model, prior, prior_sd)
    start = solution.phi
    table = problem.likelihood
    if unit == "vote" and isinstance(table, PairTable) and votes.weights is None and not problem.firth:
        strengths = _from_table(problem, table, start, rounds, scheme, rng)
    else:
        strengths = _from_votes(problem, start, rounds, unit, scheme, rng)
    return Bootstrap(votes.models, strengths, unit, scheme)


def _from_table(
    problem: Problem, table: PairTable, start: Floats, rounds: int, scheme: str, rng: np.random.Generator
) -> Floats:
    """Resample the counts of pairs and outcomes: the same distribution as resampling the votes."""
    n = problem.layout.n
    found = np.empty((rounds, n))
    for first in range(0, rounds, TOGETHER):
        size = min(TOGETHER, rounds - first)
        counts = _resampled(table.outcomes, size, scheme, rng)  # (size, 3, p)
        solved = np.zeros(size, dtype=bool)
        if not table.davidson:
            found[first : first + size], solved = _together(problem, table, counts, start)
            solved &= np.abs(found[first : first + size]).max(axis=1, initial=0.0) < LONGEST
        for place in np.flatnonzero(~solved):
            found[first + place] = _solved(
                replace(problem, likelihood=table.with_outcomes(counts[place])), start
            )
    return found


def _resampled(outcomes: Floats, size: int, scheme: str, rng: np.random.Generator) -> Floats:
    if scheme == "poisson":
        return rng.poisson(outcomes, size=(size, *outcomes.shape)).astype(np.float64)
    total = round(float(outcomes.sum()))
    shares = outcomes.ravel() / max(outcomes.sum(), 1e-300)
    return rng.multinomial(total, shares, size=size).reshape(size, *outcomes.shape).astype(np.float64)


def _together(
    problem: Problem, table: PairTable, counts: Floats, start: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Bradley-Terry on several tables at once: (strengths (size, n), whether each has converged).

    Resamples differ from the votes by little, so the inverse information of the votes serves for all of
    them and the steps shrink by a factor of about the relative change of the information.
    """
    n, p = problem.layout.n, len(table.i)
    terms = problem.objective(start)
    inverse = bread(terms.information, problem.pinned)
    signs = np.repeat([1.0, -1.0], p)
    incidence = sparse.csr_array(
        (signs, (np.tile(np.arange(p), 2), np.concatenate([table.i, table.j]))), (p, n)
    )
    totals = counts.sum(axis=1)
    won = counts[:, 0] + 0.5 * counts[:, 2] - 0.5 * totals
    excess = (incidence.T @ won.T).T  # (size, n) wins beyond half of the votes, which do not change any more
    theta = np.tile(start, (len(counts), 1))
    largest = np.full(len(counts), np.inf)
    for round_ in range(25):
        # All start from the same strengths, so the first probabilities are worked out once for all.
        one = theta[:1] if round_ == 0 else theta
        lead = one.take(table.i, axis=1)
        lead -= one.take(table.j, axis=1)
        expit(lead, out=lead)
        lead -= 0.5
        gradient = excess - (incidence.T @ (totals * lead).T).T
        if isinstance(problem.prior, Ghost):
            gradient += problem.prior.votes * (1.0 - 2.0 * expit(theta))
        elif problem.prior is not None:
            gradient += np.stack([problem.prior.terms(row).gradient for row in theta])
        step = gradient @ inverse
        theta += step
        largest = np.abs(step).max(axis=1)
        if largest.max() < EXACT or not np.isfinite(largest).all():
            break
    return theta - theta.mean(axis=1, keepdims=True), largest < EXACT


def _solved(problem: Problem, start: Floats) -> Floats:
    """One round by Newton; with ghost votes where the resample has lost somebody's only win."""
    table = problem.likelihood
    bare = problem.prior is None and not problem.firth
    if bare and isinstance(table, PairTable) and not connectivity_of_table(table).has_finite_maximum:
        problem, start = replace(problem, prior=Ghost()), np.zeros_like(start)
    return problem.solve(start).phi[: problem.layout.n]


def _from_votes(
    problem: Problem, start: Floats, rounds: int, unit: str, scheme: str, rng: np.random.Generator
) -> Floats:
    """Resample votes, voters or prompts by counting each so many times."""
    votes = problem.votes
    groups, count = np.arange(votes.total), votes.total
    if unit != "vote":
        clusters = clusters_of(votes, unit)
        if clusters is None:
            raise BadVotes(f"The votes have no {unit} column.")
        groups, count = clusters.groups[0], clusters.counts[0]
    prior = "auto" if problem.prior is None else "ghost"
    found = np.empty((rounds, problem.layout.n))
    for place in range(rounds):
        times = (
            rng.poisson(1.0, count)
            if scheme == "poisson"
            else rng.multinomial(count, np.full(count, 1 / count))
        )
        resampled = votes.with_counts(times.astype(np.float64)[groups])
        model = "davidson" if problem.layout.tie_sizes else problem.method
        fresh = pose(resampled, model, "firth" if problem.firth else prior, 1.0)
        fresh = fresh if problem.prior is None else replace(fresh, prior=problem.prior)
        # A resample may have lost every tie of some size, and with it that parameter.
        solution = fresh.solve(start if fresh.layout == problem.layout else None)
        if not solution.converged:
            solution = replace(fresh, prior=Ghost()).solve()
        found[place] = solution.phi[: problem.layout.n]
    return found
