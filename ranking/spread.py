"""How far strengths are spread, from the votes themselves: the prior called "estimated".

Empirical Bayes: the standard deviation s of the strengths that makes the votes most likely, by MacKay's
fixed point (1992, eq. 4.9). With few votes the spread itself is hardly known, and an interval must not
ignore that: the fixed point may fall to nothing, so one contestant one unit from the mean is added to
what was seen; and strengths move when s moves, which adds Kass and Steffey's (1989) term to the covariance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ranking.covariance import bread
from ranking.likelihood.terms import Floats
from ranking.newton import Solution
from ranking.prior import Normal
from ranking.problem import Problem

# What is believed of the spread before the votes: as if one contestant had been seen this far out.
CONTESTANTS_BEFORE, UNIT = 1.0, 1.0
NARROWEST, WIDEST = 0.05, 5.0
ROUNDS, INNER_ROUNDS = 50, 500
TOLERANCE = 1e-4


def estimate_spread(problem: Problem, solution: Solution) -> tuple[Problem, Solution, Floats]:
    """The problem with the likeliest spread as its prior, its solution, and how unsure the spread leaves it.

    The last, (P,), is how far every parameter moves when log s moves by its standard error.
    """
    n = problem.layout.n
    still = np.zeros(len(solution.phi))
    if not isinstance(problem.prior, Normal) or n < 2:
        return problem, solution, still
    sd = problem.prior.sd
    for _ in range(ROUNDS):
        before, sd = sd, _likeliest(problem, solution, sd)
        problem = replace(problem, prior=Normal(sd))
        solution = problem.solve(solution.phi)
        if abs(sd - before) < TOLERANCE * before:
            break
    posterior = bread(solution.terms.information, n)
    determined = n - 1 - float(np.trace(posterior[:n, :n])) / sd**2 + CONTESTANTS_BEFORE
    # log s has variance 1 / (2 x determined directions), and d theta / d log s = 2 A theta / s^2.
    moved = 2.0 * posterior[:, :n] @ solution.phi[:n] / sd**2
    return problem, solution, np.asarray(moved / np.sqrt(2.0 * determined))


def _likeliest(problem: Problem, solution: Solution, sd: float) -> float:
    """The fixed point where the likelihood of the votes is taken as quadratic around the solution."""
    n = problem.layout.n
    posterior = bread(solution.terms.information, n)[:n, :n]  # extras integrated out
    variances, directions = np.linalg.eigh(posterior)
    variances, directions = variances[1:], directions[:, 1:]  # the first is the constant: nothing is known
    place = directions.T @ solution.phi[:n]
    precision = np.maximum(1.0 / np.maximum(variances, 1e-12), sd**-2)
    told = precision - sd**-2  # what the votes say in each direction
    for _ in range(INNER_ROUNDS):
        ridge = sd**-2
        seen = float(((precision * place / (told + ridge)) ** 2).sum())
        determined = float((told / (told + ridge)).sum())
        new = np.sqrt((seen + CONTESTANTS_BEFORE * UNIT**2) / (determined + CONTESTANTS_BEFORE))
        new = float(np.clip(new, NARROWEST, WIDEST))
        if abs(new - sd) < 0.1 * TOLERANCE * sd:
            return new
        sd = new
    return sd
