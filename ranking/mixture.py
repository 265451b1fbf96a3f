"""Several boards in one crowd: groups of voters (or prompts) with tastes of their own, found by EM.

The likelihood of a voter's votes is sum_c share_c prod P(vote | strengths_c). The number of groups is
chosen by the Bayesian information criterion; one group is enough unless two are clearly better. With
by="prompt" the groups are buckets of tasks on which contestants rank differently (RoboArena's reading).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from ranking.covariance import clusters_of
from ranking.errors import BadVotes
from ranking.likelihood.gather import RowSums, row_sums
from ranking.likelihood.terms import Floats
from ranking.prior import Ghost
from ranking.problem import Problem, pose
from ranking.votes import Votes

ROUNDS = 200
RESTARTS = 4


@dataclass(frozen=True)
class MixtureFit:
    """Boards of the groups, the largest group first."""

    models: tuple[str, ...]
    strengths: Floats  # (groups, n), each mean zero
    shares: Floats  # (groups,)
    membership: Floats  # (units, groups) probability of each voter or prompt to be of each group
    log_likelihood: float
    bic: float

    @property
    def groups(self) -> int:
        return len(self.shares)

    @property
    def worst(self) -> Floats:
        """(n,) the lowest strength of each contestant in any group: how it does where it is liked least."""
        return np.asarray(self.strengths.min(axis=0))


def choose_mixture(votes: Votes, *, most: int = 3, by: str = "voter", seed: int = 0) -> MixtureFit:
    """The mixture with the lowest BIC among 1 .. most groups."""
    return min(
        (fit_mixture(votes, groups, by=by, seed=seed) for groups in range(1, most + 1)), key=lambda m: m.bic
    )


def fit_mixture(votes: Votes, groups: int, *, by: str = "voter", seed: int = 0) -> MixtureFit:
    """The best of several EM runs. Ties are shared wins; half a ghost win and loss keep all finite."""
    if groups < 1:
        raise BadVotes("A mixture has one group or more.")
    clusters = clusters_of(votes, by)
    if clusters is None or by == "both":
        raise BadVotes("A mixture groups voters or prompts.")
    problem = replace(pose(votes, "plackett-luce", "ghost", 1.0), likelihood=row_sums(votes, ()))
    em = _Em(problem, clusters.groups[0], clusters.counts[0])
    rng = np.random.default_rng(seed)
    runs = [em.run(groups, rng) for _ in range(RESTARTS if groups > 1 else 1)]
    return max(runs, key=lambda run: run.log_likelihood)


class _Em:
    def __init__(self, problem: Problem, units: np.ndarray, count: int) -> None:
        if not isinstance(problem.likelihood, RowSums):
            raise TypeError("EM walks votes one by one")
        self.problem, self.sums, self.units, self.count = problem, problem.likelihood, units, count
        self.total = float(sum(len(block) for block in problem.votes.blocks))

    def run(self, groups: int, rng: np.random.Generator) -> MixtureFit:
        """EM from random memberships."""
        n = self.problem.layout.n
        membership = rng.dirichlet(np.ones(groups), self.count)
        strengths = np.zeros((groups, n))
        value = -np.inf
        for _ in range(ROUNDS):
            shares = (membership.sum(axis=0) + 1.0) / (self.count + groups)
            for group in range(groups):
                strengths[group] = self._refit(membership[:, group], strengths[group])
            joint = np.stack([self._by_unit(row) for row in strengths], axis=1) + np.log(shares)
            total = logsumexp(joint, axis=1)
            membership = np.exp(joint - total[:, np.newaxis])
            before, value = value, float(total.sum())
            if value - before < 1e-4:
                break
        order = np.argsort(-shares)
        parameters = groups * (n - 1) + groups - 1
        bic = -2.0 * value + parameters * np.log(max(self.total, 1.0))
        return MixtureFit(
            self.problem.votes.models,
            strengths[order],
            shares[order],
            membership[:, order],
            value,
            float(bic),
        )

    def _refit(self, membership: Floats, start: Floats) -> Floats:
        weights = membership[self.units]
        if self.sums.weights is not None:
            weights = weights * self.sums.weights
        weighted = replace(self.problem, likelihood=replace(self.sums, weights=weights), prior=Ghost())
        return weighted.solve(start).phi

    def _by_unit(self, strengths: Floats) -> Floats:
        """(units,) log-likelihood of all votes of each voter or prompt."""
        found = np.zeros(self.count)
        for terms in self.sums.walk(strengths):
            value = terms.log_likelihood
            if self.sums.weights is not None:
                value = value * self.sums.weights[terms.rows]
            found += np.bincount(self.units[terms.rows], value, self.count)
        return found
