"""Profile-likelihood intervals: for contestants with few votes, whose likelihood is not a parabola.

The interval holds the values t of a rating for which fixing it at t, all else refitted, lowers the
(penalised) log-likelihood by less than half the chi-square quantile. Votes count as independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.linalg import null_space
from scipy.optimize import brentq
from scipy.special import chdtri

from ranking.covariance import bread
from ranking.likelihood.terms import Floats, Terms
from ranking.newton import Solution, maximise
from ranking.prior import Ghost
from ranking.problem import RUNAWAY, Problem, solved
from ranking.votes import Votes

# An end that lies further than this is called infinite: without a prior it is.
FARTHEST = 30.0
LONGEST_STEP = 5.0


def profile_interval(
    votes: Votes, model: str | int, *, level: float = 0.95, method: str | None = None, prior: str = "auto"
) -> tuple[float, float]:
    """(lower, upper) of the strength of one model measured from the mean, natural log scale."""
    problem, solution = solved(votes, method, prior)
    place = votes.models.index(model) if isinstance(model, str) else model
    inverse = bread(solution.terms.information, problem.pinned)
    n = problem.layout.n
    shift = np.eye(n)[place] - 1.0 / n
    se = float(np.sqrt(max(shift @ inverse[:n, :n] @ shift, 1e-12)))
    se = se if se < LONGEST_STEP else 1.0  # at infinity the curvature says nothing
    farthest = float(np.abs(solution.phi).max())
    if farthest > RUNAWAY:  # as good as infinity, and near enough to search from
        solution = replace(solution, phi=solution.phi * (RUNAWAY / farthest))
    drop = _drop(problem, solution, place)
    best = float(solution.phi[place])
    allowed = float(chdtri(1, 1.0 - level)) / 2.0
    return _end(drop, best, -se, allowed), _end(drop, best, se, allowed)


def _end(drop: Callable[[float], float], best: float, step: float, allowed: float) -> float:
    """Where the log-likelihood has dropped by `allowed`, searching outwards in steps that double."""
    near, far = best, best + 2.0 * step
    while drop(far) < allowed:
        near, step = far, 2.0 * step
        far = best + 2.0 * step
        if abs(far - best) > FARTHEST:
            return float(np.copysign(np.inf, step))
    return float(brentq(lambda t: drop(t) - allowed, near, far, xtol=1e-5))


def _drop(problem: Problem, solution: Solution, place: int) -> Callable[[float], float]:
    """How far the log-likelihood falls when the strength of `place` above the mean is held at t."""
    layout = problem.layout
    contrast = np.zeros(layout.size)
    contrast[: layout.n] = -1.0 / layout.n
    contrast[place] += 1.0
    held = [contrast]
    if not isinstance(problem.prior, Ghost):  # a shift of all is free, so it is held too
        held.append(np.concatenate([np.ones(layout.n), np.zeros(layout.extras)]))
    free = null_space(np.stack(held))  # (P, P - 1 or 2)
    along = contrast / (contrast @ contrast)
    best = problem.objective(solution.phi).log_likelihood

    def drop(t: float) -> float:
        origin = solution.phi + (t - contrast @ solution.phi) * along

        def within(y: Floats) -> Terms:
            terms = problem.objective(origin + free @ y)
            return replace(
                terms, gradient=free.T @ terms.gradient, information=free.T @ terms.information @ free
            )

        found = maximise(within, np.zeros(free.shape[1]), pinned=0, tolerance=1e-6)
        return best - found.terms.log_likelihood

    return drop
