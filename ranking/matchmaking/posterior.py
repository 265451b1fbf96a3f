"""What the votes so far say about the strengths, kept up to date after each vote.

theta ~ N(mean, covariance) on the natural-log scale (a difference of 1 is odds of e to 1),
with a full covariance, so that a vote on a few contestants also moves those they met before.
This is the state the matchmaker decides from; the published board comes from `ranking.fit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from ranking.matchmaking.refit import fit_posterior
from ranking.matchmaking.weak_order import (
    Floats,
    Ints,
    Pattern,
    derivatives,
    expected_information,
    honesty,
    pattern,
    sorted_by_rank,
)

NEWTON_STEPS = 30
NEWTON_TOLERANCE = 1e-3
# Battles after which the matrix of counts is written anew. A copy for each cost a third of a vote.
COUNTED_LATER = 64


@dataclass(frozen=True)
class Posterior:
    """A normal approximation to the posterior of n strengths.

    The arrays are never changed in place: every method returns a new posterior.
    """

    mean: Floats  # (n,)
    covariance: Floats  # (n, n)
    together: NDArray[np.int32]  # (n, n) as `counts`, without the battles of `since`
    shown: Ints  # (n,) how many battles each contestant was in
    lapse: float  # probability that a vote is cast at random
    prior_sd: float  # prior standard deviation of a strength
    since: tuple[Ints, ...] = ()  # the contestants of the newest battles, at most COUNTED_LATER of them

    @property
    def n(self) -> int:
        return len(self.mean)

    @cached_property
    def counts(self) -> NDArray[np.int32]:
        """(n, n) how often two contestants were shown together, zero diagonal."""
        return _counted(self.together, self.since)

    @classmethod
    def prior(cls, n: int, sd: float = 1.0, lapse: float = 0.05) -> Posterior:
        """Before any vote: independent strengths N(0, sd^2)."""
        if n < 0 or sd <= 0.0 or not 0.0 <= lapse < 1.0:
            raise ValueError(f"A prior needs n >= 0, sd > 0 and 0 <= lapse < 1, not {n}, {sd} and {lapse}.")
        return cls(
            mean=np.zeros(n),
            covariance=np.eye(n) * sd**2,
            together=np.zeros((n, n), dtype=np.int32),
            shown=np.zeros(n, dtype=np.int64),
            lapse=lapse,
            prior_sd=sd,
        )

    @classmethod
    def refit(
        cls,
        n: int,
        groups: Sequence[Sequence[int]],
        ranks: Sequence[Sequence[int | None]],
        *,
        weights: Sequence[float] | None = None,
        lapse: float = 0.05,
        estimate_lapse: bool = False,
        sd: float | None = None,
        start: Posterior | None = None,
    ) -> Posterior:
        """The posterior mode and curvature from all votes at once.

        Removes the drift that the one-vote-at-a-time updates gather.  Without `sd` the prior
        standard deviation is estimated (empirical Bayes).  `start` speeds the search up.
        Raises ValueError on a vote that names a contestant twice or one that does not exist.
        """
        fitted = fit_posterior(
            n,
            groups,
            ranks,
            weights=weights,
            lapse=lapse,
            estimate_lapse=estimate_lapse,
            sd=sd,
            start_mean=None if start is None else start.mean,
            start_sd=None if start is None else start.prior_sd,
        )
        return cls(
            mean=fitted.mean,
            covariance=fitted.covariance,
            together=fitted.counts,
            shown=fitted.shown,
            lapse=fitted.lapse,
            prior_sd=fitted.sd,
        )

    def extended(self, n_new: int) -> Posterior:
        """With `n_new` contestants added at the end, known only by the prior."""
        old = self.n
        fresh = Posterior.prior(old + n_new, self.prior_sd, self.lapse)
        fresh.mean[:old] = self.mean
        fresh.covariance[:old, :old] = self.covariance
        fresh.together[:old, :old] = self.counts
        fresh.shown[:old] = self.shown
        return fresh

    def updated(self, group: Sequence[int], ranks: Sequence[int | None]) -> Posterior:
        """After one more vote: `ranks[s]` is the rank of `group[s]`, 1 best, equal tied, None unranked.

        A Laplace step on the K coordinates: Newton for the mode, then the gradient and the
        (lapse-damped) curvature there carried to everyone through the covariance.  O(n^2 K).
        """
        order, levels = sorted_by_rank(group, ranks)
        self._check(order)
        block = self.covariance[order[:, None], order]
        push, curvature = laplace_step(self.mean[order], block, pattern(levels), self.lapse)
        columns = self.covariance[:, order]  # (n, K)
        return replace(
            self._having_shown([order]),
            mean=self.mean + columns @ push,
            covariance=_shrunk(self.covariance, columns, downdate(block, curvature)),
        )

    def expecting(self, groups: Iterable[Sequence[int]], times: float = 1.0) -> Posterior:
        """With the battles in flight counted as answered, in the covariance only.

        Each takes away the variance that a ranking of its group is expected to; the mean stays.
        Without this, voters who come at the same moment would be asked the same question.
        `times` counts each battle that often (for looking ahead).
        """
        covariance = self.covariance.copy()
        orders = [np.asarray(group, dtype=np.int64) for group in groups]
        for order in orders:
            self._check(order)
            block = covariance[order[:, None], order]
            columns = covariance[:, order]  # (n, K)
            information = times * expected_information(self.mean[order], self.lapse)
            covariance -= columns @ downdate(block, information) @ columns.T
        return replace(self._having_shown(orders), covariance=covariance)

    def _having_shown(self, orders: Sequence[Ints]) -> Posterior:
        """With these battles counted, and nothing learnt from them."""
        shown = self.shown.copy()
        for order in orders:
            shown[order] += 1
        together, since = self.together, (*self.since, *orders)
        if len(since) > COUNTED_LATER:
            together, since = _counted(together, since), ()
        return replace(self, together=together, shown=shown, since=since)

    def _check(self, order: Ints) -> None:
        if len(order) < 2:
            raise ValueError("A battle needs at least two contestants.")
        if order.min() < 0 or order.max() >= self.n:
            raise ValueError(f"A vote names a contestant outside 0 to {self.n - 1}.")
        if len(set(order.tolist())) != len(order):
            raise ValueError("A contestant is listed twice in one battle; each may appear once.")


def _counted(together: NDArray[np.int32], since: Sequence[Ints]) -> NDArray[np.int32]:
    """With the battles of `since`; the same array where there are none."""
    if not since:
        return together
    counts = together.copy()
    for order in since:
        counts[order[:, None], order] += 1
        counts[order, order] = 0
    return counts


def laplace_step(mean: Floats, block: Floats, shape: Pattern, lapse: float) -> tuple[Floats, Floats]:
    """Gradient (..., K) and damped curvature (..., K, K) of a vote's log-likelihood at the posterior mode.

    `mean` (..., K) and `block` = S_GG (..., K, K) list the contestants best first.  The mode is
    mean + block @ push with push the gradient there; searching over `push` needs no inverse.
    """
    push = np.zeros_like(mean)
    step = np.zeros_like(mean)
    best = np.full(mean.shape[:-1], -np.inf)
    curvature = np.zeros_like(block)
    identity = np.eye(mean.shape[-1])
    for _ in range(NEWTON_STEPS):
        trial = push + step
        shift = (block @ trial[..., None])[..., 0]
        value, gradient, hessian = derivatives(mean + shift, shape)
        honest = honesty(value, shape.uniform, lapse)
        # log of the mixture, up to a constant: (1 - e) exp(l) / honest is its value
        objective = value - np.log(honest) - 0.5 * (trial * shift).sum(axis=-1)
        rises = objective >= best - 1e-12
        push = np.where(rises[..., None], trial, push)
        best = np.where(rises, objective, best)
        curvature = np.where(rises[..., None, None], honest[..., None, None] * hessian, curvature)
        rest = (honest[..., None] * gradient - trial)[..., None]
        following = np.linalg.solve(identity + curvature @ block, rest)[..., 0]
        step = np.where(rises[..., None], following, 0.5 * step)
        if np.abs(block @ step[..., None]).max() < NEWTON_TOLERANCE:
            break
    # The last step is below the tolerance; taking it leaves an error of about its square.
    return push + step, curvature


def downdate(block: Floats, information: Floats) -> Floats:
    """A = H (I + S_GG H)^-1, symmetric: what a group's information takes from the covariance."""
    inner = np.eye(block.shape[-1]) + information @ block
    taken = np.linalg.solve(inner, information)  # (I + H S)^-1 H, the same matrix
    return np.asarray(0.5 * (taken + np.swapaxes(taken, -1, -2)))


def _shrunk(covariance: Floats, columns: Floats, taken: Floats) -> Floats:
    """S - S_:G A S_G: as a new array (BLAS adds the product into the one copy it makes)."""
    # The covariance is symmetric: its transpose is the column-major array BLAS wants.
    return np.asarray(
        blas.dgemm(alpha=-1.0, a=columns @ taken, b=columns, trans_b=True, beta=1.0, c=covariance.T)
    ).T
