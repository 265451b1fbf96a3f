"""What is believed before the votes: nothing, ghost votes, or a normal spread.

A prior keeps the ratings of the undefeated, the winless and the disconnected finite. It is stated in the
result's method, and it is the same for every model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from ranking.errors import BadVotes
from ranking.likelihood.terms import Floats, Terms

PRIORS = ("auto", "none", "ghost", "firth", "normal", "estimated")


@dataclass(frozen=True)
class Ghost:
    """Every model has won and lost `votes` votes against a ghost of average strength.

    The ghost's own strength is free; the optimum is the same as for a ghost fixed at zero, because at
    the optimum the ghost's score is zero too.
    """

    votes: float = 0.5

    def terms(self, theta: Floats) -> Terms:
        """Log prior, gradient and information with the ghost fixed at zero."""
        p = expit(theta)
        value = -self.votes * float(np.logaddexp(0.0, theta).sum() + np.logaddexp(0.0, -theta).sum())
        return Terms(value, self.votes * (1.0 - 2.0 * p), np.diag(2.0 * self.votes * p * (1.0 - p)))

    def information(self, theta: Floats) -> Floats:
        """(n, n) with the ghost's strength estimated away: a constant added to all is not known."""
        p = expit(theta)
        weight = 2.0 * self.votes * p * (1.0 - p)
        return np.asarray(np.diag(weight) - np.outer(weight, weight) / weight.sum())


@dataclass(frozen=True)
class Normal:
    """Strengths are spread normally about their mean with standard deviation `sd` (natural log units)."""

    sd: float

    def terms(self, theta: Floats) -> Terms:
        """Log density up to its constant, gradient and information."""
        deviation = theta - theta.mean() if len(theta) else theta
        precision = self.sd**-2
        value = -0.5 * precision * float(deviation @ deviation)
        return Terms(value, -precision * deviation, self.information(theta))

    def information(self, theta: Floats) -> Floats:
        """(n, n), blind to a constant added to all."""
        n = len(theta)
        return (np.eye(n) - 1.0 / max(n, 1)) / self.sd**2


Prior = Ghost | Normal


def check_prior(prior: str) -> None:
    """Raise BadVotes unless `prior` is a known name."""
    if prior not in PRIORS:
        raise BadVotes(f"There is no prior {prior!r}; it can be {', '.join(PRIORS)}.")
