"""Many studies of one size played side by side, for simulations.

The same arithmetic as `Posterior` and `choose`, on arrays with the study as first axis: twenty
studies cost little more than one.  Only full rankings without ties.
"""

from __future__ import annotations

import numpy as np

from ranking.matchmaking import strategies
from ranking.matchmaking.information import (
    TINY,
    Aim,
    group_worth,
    pair_weights,
    pair_worth,
    short_listed,
    stake_matrix,
)
from ranking.matchmaking.posterior import downdate, laplace_step
from ranking.matchmaking.refit import Block, added_up, maximise
from ranking.matchmaking.weak_order import Floats, Ints, expected_information, pattern


class Lockstep:
    """`studies` boards of n contestants, each asking for the order of its own."""

    def __init__(
        self,
        studies: int,
        n: int,
        k: int,
        *,
        lapse: float = 0.05,
        sd: float = 1.0,
        aim: Aim = "order",
        explore: float = 0.02,
        temperature: float = strategies.TEMPERATURE,
        stakes_every: int = 10,
    ) -> None:
        self.n, self.k = n, k
        self.lapse, self.aim, self.explore = lapse, aim, explore
        self.temperature, self.stakes_every = temperature, stakes_every
        self.mean: Floats = np.zeros((studies, n))
        self.covariance: Floats = np.broadcast_to(np.eye(n) * sd**2, (studies, n, n)).copy()
        self.sd: Floats = np.full(studies, sd)
        self.orders: list[Ints] = []  # one (studies, K) a round, best first
        self._drawn = 0
        self._stake: Floats = np.zeros((studies, n, n))
        self._studies = np.arange(studies)

    def draw(self, rng: np.random.Generator) -> Ints:
        """The next battle of every study, (studies, K)."""
        # What is at stake changes fast while each contestant has had few votes.
        if self._drawn % min(self.stakes_every, 1 + self._drawn // self.n) == 0:
            weight = pair_weights(self.mean, self.covariance, self.aim)
            self._stake = stake_matrix(self.covariance, weight)
        self._drawn += 1
        pairs = pair_worth(self.mean, self.covariance, self._stake, self.lapse)
        upper = np.triu_indices(self.n, 1)
        scores = np.log(pairs[:, *upper] + TINY**2) / self.temperature
        best = np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)
        members = np.stack([upper[0][best], upper[1][best]], axis=1)  # (studies, 2)
        while members.shape[1] < self.k:
            members = self._joined(members, pairs, rng)
        random = np.argsort(rng.random((len(members), self.n)), axis=1)[:, : self.k]
        exploring = rng.random(len(members)) < self.explore
        return np.where(exploring[:, None], random, members)

    def _joined(self, members: Ints, pairs: Floats, rng: np.random.Generator) -> Ints:
        open_to = np.zeros((len(members), self.n))
        np.put_along_axis(open_to, members, -np.inf, axis=1)
        short, groups = short_listed(pairs, members, open_to, strategies.SHORT_LIST)
        at = self._studies[:, None, None]
        blocks = (at[..., None], groups[..., :, None], groups[..., None, :])
        worth = group_worth(self.mean[at, groups], self.covariance[blocks], self._stake[blocks], self.lapse)
        closed = np.take_along_axis(open_to, short, axis=1)
        noisy = np.log(worth + TINY**2) / self.temperature + closed + rng.gumbel(size=worth.shape)
        pick = np.take_along_axis(short, noisy.argmax(axis=1)[:, None], axis=1)
        return np.concatenate([members, pick], axis=1)

    def learn(self, orders: Ints) -> None:
        """One vote for every study: contestants best first, (studies, K)."""
        at = self._studies[:, None]
        block = self.covariance[at[..., None], orders[:, :, None], orders[:, None, :]]
        shape = pattern(tuple(range(1, self.k + 1)))
        push, curvature = laplace_step(self.mean[at, orders], block, shape, self.lapse)
        columns = np.swapaxes(self.covariance[at, orders], -1, -2)  # (studies, n, K)
        self.mean += (columns @ push[..., None])[..., 0]
        self.covariance -= columns @ downdate(block, curvature) @ np.swapaxes(columns, -1, -2)
        self.orders.append(orders)

    def expect(self, groups: Ints) -> None:
        """Count battles in flight, (studies, K), as answered in the covariance: see Posterior.expecting."""
        at = self._studies[:, None]
        block = self.covariance[at[..., None], groups[:, :, None], groups[:, None, :]]
        taken = downdate(block, expected_information(self.mean[at, groups], self.lapse))
        columns = np.swapaxes(self.covariance[at, groups], -1, -2)  # (studies, n, K)
        self.covariance = self.covariance - columns @ taken @ np.swapaxes(columns, -1, -2)

    def refit(self) -> None:
        """Replace every posterior by the one from all its votes, prior spread estimated."""
        votes = np.stack(self.orders, axis=1)  # (studies, votes, K)
        shape = pattern(tuple(range(1, self.k + 1)))
        for study, order in enumerate(votes):
            block = Block(shape, *added_up(self.n, order, np.ones(len(order))))
            self.mean[study], self.covariance[study], self.sd[study], _ = maximise(
                self.mean[study],
                [block],
                lapse=self.lapse,
                estimate_lapse=False,
                sd=float(self.sd[study]),
                estimate_sd=True,
            )
