"""Ratings per task: a global strength and an offset per task that is shrunk towards it.

In task g contestant i has strength theta_i + delta_gi with delta_gi ~ N(0, s^2); s is estimated from the
votes (empirical Bayes). A task with few votes stays near the global board, one with many shows its own.
The offsets are integrated out by the Laplace approximation, exactly the block elimination of Newton's
equations. And a composite of several criteria that were asked about the same battles.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ranking.columns import codes_of
from ranking.covariance import bread, centred
from ranking.errors import BadVotes
from ranking.likelihood.gather import RowSums, row_sums
from ranking.likelihood.pair_table import PairTable
from ranking.likelihood.terms import Floats
from ranking.prior import Prior
from ranking.problem import pose, solved
from ranking.result import Fit
from ranking.votes import Votes

ROUNDS = 100
LEAST_SPREAD = 0.01
# What is believed of the offsets' spread before the votes: as if one contestant had been seen this far off
# in one task (52 points). Without it few votes, which show no differences, would seem to rule them out.
OFFSETS_BEFORE, UNIT = 1.0, 0.3


@dataclass(frozen=True)
class ContextFit:
    """The global fit, and how every context departs from it."""

    fit: Fit
    contexts: tuple[Hashable, ...]
    offsets: Floats  # (contexts, n), shrunk
    offset_errors: Floats  # (contexts, n)
    spread: float  # the standard deviation of the offsets, natural log scale
    own_variances: Floats  # (contexts, n) of the offsets where the global strengths are known
    follows: Floats  # (contexts, n, n) how far the offsets give way when the global strengths move

    def difference(self, one: Hashable, other: Hashable) -> tuple[Floats, Floats]:
        """(n,) how much stronger everybody is in `one` context than in the `other`, with standard errors."""
        g, h = self.contexts.index(one), self.contexts.index(other)
        shared = self.follows[g] - self.follows[h]
        variance = self.own_variances[g] + self.own_variances[h]
        variance = variance + np.einsum("ij,jk,ik->i", shared, self.fit.covariance, shared)
        return self.offsets[g] - self.offsets[h], np.sqrt(np.maximum(variance, 0.0))

    def strengths(self, context: Hashable) -> Floats:
        """(n,) of one context, mean zero."""
        found = self.fit.strengths + self.offsets[self.contexts.index(context)]
        return np.asarray(found - found.mean())


@dataclass
class _State:
    theta: Floats  # (n,)
    delta: Floats  # (contexts, n)
    spread: float
    covariance: Floats  # (n, n) of theta
    variances: Floats  # (contexts, n) of delta
    own: Floats  # (contexts, n) of delta, given theta
    follows: Floats  # (contexts, n, n) of delta on theta
    value: float = -np.inf
    iterations: int = 0
    converged: bool = False


def fit_contexts(
    votes: Votes, contexts: Iterable[Hashable], *, spread: float | None = None, level: float = 0.95
) -> ContextFit:
    """Global strengths and shrunk offsets per context, one label per vote. Ties are shared wins.

    `spread` fixes the standard deviation of the offsets; None estimates it. Raises BadVotes.
    """
    codes, names = codes_of(contexts)
    if len(codes) != votes.total:
        raise BadVotes(f"There are {votes.total} votes but {len(codes)} contexts.")
    if (codes < 0).any():
        raise BadVotes("has no context.", vote=int(np.flatnonzero(codes < 0)[0]))
    if votes.features:
        raise BadVotes("Contexts and covariates cannot be fitted together; leave one out.")
    problem, solution = solved(votes, "plackett-luce", "auto")
    parts = [
        pose(votes.taken(codes == g), "plackett-luce", "none", 1.0).likelihood for g in range(len(names))
    ]
    n = len(votes.models)
    state = _State(
        solution.phi.copy(),
        np.zeros((len(names), n)),
        spread or UNIT,
        np.zeros((n, n)),
        np.zeros((len(names), n)),
        np.zeros((len(names), n)),
        np.zeros((len(names), n, n)),
    )
    for _ in range(ROUNDS):
        moved = _newton(parts, problem.prior, state)
        before = state.spread
        if spread is None and len(names) > 1:
            state.spread = _spread(state)
        if moved < 1e-7 and abs(state.spread - before) < 1e-4 * before:
            state.converged = True
            break
    fit = Fit(
        models=votes.models,
        strengths=state.theta - state.theta.mean(),
        covariance=centred(state.covariance, n),
        votes=votes.votes_per_model(),
        method="plackett-luce with contexts" if not votes.is_pairwise else "bradley-terry with contexts",
        prior="none" if problem.prior is None else "ghost (0.5 won and lost each)",
        covariance_kind="model, offsets integrated out",
        log_likelihood=state.value,
        converged=state.converged,
        iterations=state.iterations,
        warnings=tuple(problem.connectivity.warnings(votes.models)),
        level=level,
    )
    return ContextFit(
        fit, tuple(names), state.delta, np.sqrt(state.variances), state.spread, state.own, state.follows
    )


def _newton(parts: list[PairTable | RowSums], prior: Prior | None, state: _State) -> float:
    """One Newton step on all strengths and offsets, offsets eliminated; returns the longest step."""
    n, ridge = len(state.theta), state.spread**-2
    information, right = np.zeros((n, n)), np.zeros(n)
    blocks: list[tuple[Floats, Floats, Floats]] = []
    state.value = 0.0
    for part, delta in zip(parts, state.delta, strict=True):
        terms = part.evaluate(state.theta + delta)
        state.value += terms.log_likelihood
        inverse: Floats = np.asarray(np.linalg.inv(terms.information + ridge * np.eye(n)), dtype=np.float64)
        pull = terms.gradient - ridge * delta
        information += terms.information - terms.information @ inverse @ terms.information
        right += terms.gradient - terms.information @ (inverse @ pull)
        blocks.append((terms.information, inverse, pull))
    if prior is not None:
        around_mean = state.theta - state.theta.mean()
        information = information + prior.information(around_mean)
        right = right + prior.terms(around_mean).gradient
    state.covariance = bread(information, n)
    step = state.covariance @ right
    step *= min(1.0, 2.0 / max(float(np.abs(step).max(initial=0.0)), 1e-12))
    longest = float(np.abs(step).max(initial=0.0))
    state.theta = state.theta + step
    for g, (own, inverse, pull) in enumerate(blocks):
        move = inverse @ (pull - own @ step)
        longest = max(longest, float(np.abs(move).max(initial=0.0)))
        state.delta[g] += move
        through = inverse @ own
        state.own[g], state.follows[g] = np.diag(inverse), -through
        state.variances[g] = np.diag(inverse + through @ state.covariance @ through.T)
    state.iterations += 1
    return longest


def _spread(state: _State) -> float:
    """MacKay's fixed point for the standard deviation of the offsets, as for the prior of strengths."""
    determined = float((1.0 - state.variances / state.spread**2).sum())
    seen = float((state.delta**2).sum()) + OFFSETS_BEFORE * UNIT**2
    new = np.sqrt(seen / (max(determined, 0.0) + OFFSETS_BEFORE))
    return float(np.clip(new, LEAST_SPREAD, 5.0))


def fit_composite(criteria: Mapping[str, Votes], weights: Mapping[str, float], *, level: float = 0.95) -> Fit:
    """A weighted sum of the strengths under several criteria, asked about the same battles.

    All criteria list the same models and as many votes, row by row the same battles (a row that orders
    nobody where a criterion was not answered). The covariance adds up what each battle says on all of
    them, so that criteria that go together do not count as independent evidence.
    """
    names = list(criteria)
    if not names or set(weights) != set(names):
        raise BadVotes("A composite needs a weight for every criterion and no other.")
    first = criteria[names[0]]
    if any(votes.models != first.models or votes.total != first.total for votes in criteria.values()):
        raise BadVotes("The criteria must list the same models and the same battles, row by row.")
    n = len(first.models)
    strengths, said = np.zeros(n), np.zeros((first.total, n))
    log_likelihood, converged, iterations, warnings = 0.0, True, 0, []
    for name in names:
        problem, solution = solved(criteria[name], None, "auto")
        sums = row_sums(criteria[name], problem.layout.tie_sizes)
        inverse = bread(solution.terms.information, problem.pinned)
        scores = sums.scores(solution.phi, np.arange(first.total), first.total)
        said += weights[name] * np.asarray(scores @ inverse)[:, :n]
        strengths += weights[name] * solution.phi[:n]
        log_likelihood += solution.terms.log_likelihood
        converged &= solution.converged
        iterations = max(iterations, solution.iterations)
        warnings += [f"{name}: {text}" for text in problem.connectivity.warnings(first.models)]
    return Fit(
        models=first.models,
        strengths=strengths - strengths.mean(),
        covariance=centred(said.T @ said, n),
        votes=first.votes_per_model(),
        method="composite of " + ", ".join(names),
        prior="auto",
        covariance_kind="sandwich over battles",
        log_likelihood=log_likelihood,
        converged=converged,
        iterations=iterations,
        warnings=tuple(warnings),
        level=level,
    )
