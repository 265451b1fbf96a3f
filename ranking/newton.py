"""Newton's method for log-likelihoods that are concave or nearly so, with a step that never goes downhill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv

from ranking.likelihood.terms import Floats, Terms

MOST_ITERATIONS = 100
# Steps longer than this on the log scale are cut: an odds ratio of e^4 in one step is an overshoot.
LONGEST_STEP = 4.0


@dataclass(frozen=True)
class Solution:
    """Where Newton stopped. `terms` belong to phi or, once converged, to a point within `tolerance` of it."""

    phi: Floats
    terms: Terms
    iterations: int
    converged: bool


def maximise(
    evaluate: Callable[[Floats], Terms],
    start: Floats,
    *,
    pinned: int,
    tolerance: float = 1e-5,
    most_iterations: int = MOST_ITERATIONS,
) -> Solution:
    """The maximum of a log-likelihood whose first `pinned` parameters may be shifted together for free.

    Newton converges quadratically, so a step below `tolerance` leaves an error of about its square: the
    last step is taken without looking again. A maximum at infinity ends with converged False.
    """
    phi = start.copy()
    terms = evaluate(phi)
    for iteration in range(1, most_iterations + 1):
        step = newton_step(terms, pinned)
        longest = float(np.abs(step).max(initial=0.0))
        if longest < tolerance:
            return Solution(phi + step, terms, iteration, converged=bool(np.isfinite(longest)))
        step *= min(1.0, LONGEST_STEP / longest)
        found = _climb(evaluate, phi, terms, step)
        if found is None:
            return Solution(phi, terms, iteration, converged=longest < 1e-4)
        phi, terms = found
    return Solution(phi, terms, most_iterations, converged=False)


def _climb(
    evaluate: Callable[[Floats], Terms], phi: Floats, terms: Terms, step: Floats
) -> tuple[Floats, Terms] | None:
    """Halve the step until the log-likelihood does not fall (but for rounding); None when it always does."""
    slack = 1e-10 * (1.0 + abs(terms.log_likelihood))
    for _ in range(30):
        candidate = evaluate(phi + step)
        if candidate.log_likelihood >= terms.log_likelihood - slack:
            return phi + step, candidate
        step = step / 2
    return None


def newton_step(terms: Terms, pinned: int) -> Floats:
    """The Newton step, damped where the information is not positive definite."""
    if terms.gradient.size == 0:
        return terms.gradient
    matrix = pin(terms.information, pinned)
    scale = max(float(np.diag(matrix).max(initial=0.0)), 1e-12)
    for damping in (0.0, 1e-10, 1e-7, 1e-4, 1e-2, 1.0):
        damped = matrix + damping * scale * np.eye(len(matrix)) if damping else matrix
        _, found, failed = dposv(damped, terms.gradient)
        step: Floats = found
        if not failed and np.isfinite(step).all():
            return step
    return terms.gradient / scale


def pin(information: Floats, pinned: int) -> Floats:
    """The information with the free direction of the first `pinned` parameters filled in.

    Adding a constant to every strength changes nothing, so the information is singular along
    (1, ..., 1); a multiple of 1 1' there pins the mean at zero and changes nothing else.
    """
    if pinned == 0:
        return information
    matrix = information.copy()
    scale = max(float(np.trace(matrix[:pinned, :pinned])) / pinned, 1e-12)
    matrix[:pinned, :pinned] += scale / pinned
    return matrix
