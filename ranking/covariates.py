"""Style: numbers of a response, such as its length, that sway votes beside its quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ranking.result import ELO, Fit, Scale

Floats = NDArray[np.float64]

# relative() of values 2 and 1 differs by this much: what "twice as long" means.
TWICE = 1.0 / 3.0


def relative(values: Floats) -> Floats:
    """(m, K) counts as shares: v / (2 mean of the vote). For pairs the difference is (a - b) / (a + b).

    That is the feature of LMArena's style control; a vote whose counts are all zero gives zeros.
    """
    mean = values.mean(axis=1, keepdims=True)
    shares = np.zeros(values.shape)
    np.divide(values, 2.0 * mean, out=shares, where=mean > 0.0)
    return shares


@dataclass(frozen=True)
class Effect:
    """What a covariate is worth in rating points: at a typical difference, and when it is twice as large.

    `twice` and its interval mean something only for covariates that went through `relative`; they are None
    for others. `unit` is the effect of one unit of the covariate as it was given.
    """

    name: str
    typical: float
    lower: float
    upper: float
    twice: float | None
    twice_lower: float | None
    twice_upper: float | None
    unit: float


def effects(fit: Fit, scale: Scale = ELO, relative_names: frozenset[str] = frozenset()) -> list[Effect]:
    """The fit's covariates with intervals at its level, in points of `scale`."""
    reach = float(stdtrit(fit.degrees_of_freedom, 0.5 + 0.5 * fit.level))
    found = []
    for name, estimate in fit.effects.items():
        points, error = scale.per_unit * estimate.value, scale.per_unit * estimate.se
        lower, upper = points - reach * error, points + reach * error
        per_twice = TWICE / estimate.scale if name in relative_names else None
        twice, twice_lower, twice_upper = (
            None if per_twice is None else per_twice * value for value in (points, lower, upper)
        )
        unit = points / estimate.scale
        found.append(Effect(name, points, lower, upper, twice, twice_lower, twice_upper, unit))
    return found
