"""What a fit gives back: frozen, on the natural log scale; scale, base and anchor only on the way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from ranking.errors import BadVotes
from ranking.rank_ranges import rank_ranges

Floats = NDArray[np.float64]

# Changes when the same votes would give other numbers; a stored board says which it was made with.
METHOD_VERSION = "2"


@dataclass(frozen=True)
class Scale:
    """rating = base + per_unit * strength. The default is Elo's: 400 points are odds of ten to one."""

    name: str = "elo"
    base: float = 1000.0
    per_unit: float = 400.0 / log(10.0)


ELO = Scale()
LOG_ODDS = Scale("log-odds", 0.0, 1.0)


@dataclass(frozen=True)
class Row:
    """One line of a leaderboard. `rank_lower` is the best place and `rank_upper` the worst it may have."""

    model: str
    rating: float
    lower: float
    upper: float
    rank: int
    rank_lower: int
    rank_upper: int
    votes: int


@dataclass(frozen=True)
class Estimate:
    """One number with its standard error. For a covariate both are per typical difference within a vote;
    dividing by `scale` gives them per unit of the covariate."""

    value: float
    se: float
    scale: float = 1.0


def order_probabilities(strengths: Floats, covariance: Floats) -> Floats:
    """(n, n) P(the row is stronger than the column), from strengths (n,) and their covariance (n, n)."""
    n = len(strengths)
    gaps = strengths[:, np.newaxis] - strengths
    variances = np.diag(covariance.reshape(n, n))
    spread = np.maximum(variances[:, np.newaxis] + variances - 2.0 * covariance.reshape(n, n), 0.0)
    z = np.where(gaps > 0.0, np.inf, -np.inf)  # a difference without error decides itself
    np.divide(gaps, np.sqrt(spread), out=z, where=spread > 0.0)
    return np.asarray(np.where(gaps == 0.0, 0.5, ndtr(z)))


@dataclass(frozen=True)
class Fit:
    """Strengths fitted to votes, with everything needed to defend them."""

    models: tuple[str, ...]
    strengths: Floats  # (n,), mean zero, natural log scale
    covariance: Floats  # (n, n) of the strengths
    votes: NDArray[np.int64]  # (n,)
    method: str
    prior: str
    covariance_kind: str
    log_likelihood: float
    converged: bool
    iterations: int
    warnings: tuple[str, ...] = ()
    # Log strength of a tie of each size, and the effect of each covariate.
    ties: Mapping[int, Estimate] = field(default_factory=dict)
    effects: Mapping[str, Estimate] = field(default_factory=dict)
    degrees_of_freedom: float = np.inf  # of the intervals; finite when there are few clusters
    level: float = 0.95
    method_version: str = METHOD_VERSION
    components: NDArray[np.intp] | None = None  # (n,) strong component of each model
    parameters: Floats | None = None  # (P,) all parameters, for refits and influence

    @property
    def standard_errors(self) -> Floats:
        """(n,) of the strengths measured from their mean."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    def critical(self, level: float | None = None) -> float:
        """How many standard errors the interval reaches each way."""
        return float(stdtrit(self.degrees_of_freedom, 0.5 + 0.5 * (level or self.level)))

    def index(self, model: str | int) -> int:
        """The position of a model given by name or position."""
        if isinstance(model, int):
            return model
        try:
            return self.models.index(model)
        except ValueError:
            raise BadVotes(f"There is no model {model!r} among the votes.") from None

    def probability(self, a: str | int, b: str | int) -> float:
        """P(a is stronger than b): how sure the votes are of their order, from the joint covariance.

        This is not the probability that a wins a vote; see `win_probability`.
        """
        pair = [self.index(a), self.index(b)]
        return float(order_probabilities(self.strengths[pair], self.covariance[np.ix_(pair, pair)])[0, 1])

    def win_probability(self, a: str | int, b: str | int) -> float:
        """P(a is preferred to b in a vote that is no tie)."""
        gap = self.strengths[self.index(a)] - self.strengths[self.index(b)]
        return float(1.0 / (1.0 + np.exp(-gap)))

    def table(
        self,
        scale: Scale = ELO,
        *,
        draws: int = 1000,
        seed: int = 0,
        level: float | None = None,
        anchor: tuple[str, float] | None = None,
    ) -> list[Row]:
        """The leaderboard, best first. The rank ranges hold for all models at once with probability `level`.

        `anchor` = (model, rating) shifts the board so that the model has that rating; intervals keep
        their width, since they say how a model stands against the mean of all.
        """
        level = self.level if level is None else level
        base = scale.base
        if anchor is not None:
            base = anchor[1] - scale.per_unit * float(self.strengths[self.index(anchor[0])])
        best, worst = rank_ranges(
            self.strengths, self.covariance, np.random.default_rng(seed),
            level=level, draws=draws, degrees_of_freedom=self.degrees_of_freedom,
        )  # fmt: skip
        reach = self.critical(level) * self.standard_errors
        # Strengths that differ by rounding only share a rank, so that a board without votes has no order.
        rounded = np.round(self.strengths, 9)
        ranks = 1 + np.searchsorted(np.sort(-rounded), -rounded)
        order = np.lexsort((np.arange(len(rounded)), -rounded))
        return [
            Row(
                self.models[i],
                base + scale.per_unit * float(self.strengths[i]),
                base + scale.per_unit * float(self.strengths[i] - reach[i]),
                base + scale.per_unit * float(self.strengths[i] + reach[i]),
                int(ranks[i]),
                int(best[i]),
                int(worst[i]),
                int(self.votes[i]),
            )
            for i in order
        ]
