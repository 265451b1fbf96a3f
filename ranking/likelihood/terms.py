"""What a likelihood gives back, and how the parameters lie in one vector.

phi = (theta: n strengths, tau: log tie strengths by size of tie, beta: covariate effects), natural logs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.blocks import Ids

Floats = NDArray[np.float64]

# Rows handled at once: the temporaries of a chunk stay in the second-level cache.
CHUNK = 1 << 13


@dataclass(frozen=True)
class Layout:
    """Where the parameters stand: n strengths, then one tie strength per size, then the effects."""

    n: int
    tie_sizes: tuple[int, ...] = ()
    features: int = 0

    @property
    def extras(self) -> int:
        return len(self.tie_sizes) + self.features

    @property
    def size(self) -> int:
        return self.n + self.extras

    def effects(self, phi: Floats) -> Floats:
        return phi[self.n + len(self.tie_sizes) :]


@dataclass(frozen=True)
class Terms:
    """Log-likelihood, its gradient (P,) and its information, minus the Hessian, (P, P)."""

    log_likelihood: float
    gradient: Floats
    information: Floats
    # (P, P) sum of squared weight times the outer product of each vote's score, where it came on the way.
    squares: Floats | None = None

    def __add__(self, other: Terms) -> Terms:
        return Terms(
            self.log_likelihood + other.log_likelihood,
            self.gradient + other.gradient,
            self.information + other.information,
        )


@dataclass(frozen=True)
class RowTerms:
    """The same, vote by vote, for r votes over K slots, unweighted.

    Strengths enter only through differences, so over the slots of a vote scores, rows of the information
    and cross terms sum to zero, and the diagonal need not be kept.
    """

    rows: Ids | slice  # (r,) position among all votes
    items: Ids  # (K, r)
    log_likelihood: Floats  # (r,)
    score: Floats  # (K, r)
    coupling: dict[tuple[int, int], Floats]  # (r,) information between two slots, c < d; at most 0
    extra_score: Floats  # (E, r) of tie strengths and effects
    cross: Floats  # (K, E, r) information between slots and extras
    extra_information: Floats  # (E, E, r)
