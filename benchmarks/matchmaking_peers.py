"""The peers of the matchmaking benchmark, written from their descriptions, many studies at a time.

Each class keeps `studies` boards of n contestants as arrays whose first axis is the study and
offers the same three acts: `advance` plays battles, `scores` is the present board.

- Elo with a constant k on random pairs (FastChat's online rating, k = 4).
- Bradley-Terry on random pairs, or on pairs drawn by the reduction of the confidence interval
  (Chiang et al., ICML 2024).
- K-Sort Arena (Li et al., CVPR 2025): eq. 9 and 10 on TrueSkill's scale, the least met as pivot
  and the largest upper confidence bounds beside it, with the minus sign of the authors' code.
- Plackett-Luce refitted on random groups, or on the battles K-Sort drew.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from ranking.matchmaking.refit import Block, added_up, maximise
from ranking.matchmaking.weak_order import pattern
from ranking.simulate import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ELO_STEP = 4.0
# A prior this wide only keeps the undefeated finite: maximum likelihood for everyone else.
WIDE = 8.0
# TrueSkill's defaults, which K-Sort Arena uses.
MU, SIGMA, BETA, ETA, ALPHA = 25.0, 25.0 / 3.0, 25.0 / 6.0, 3.0, 1.0
# Eq. 10 can turn the variance negative for K >= 4; Weng and Lin's floor keeps it above this share.
FLOOR = 1e-4


class Player(Protocol):
    def advance(self, votes: int, rng: np.random.Generator) -> None: ...

    def scores(self) -> dict[str, Floats]: ...


def best_first(worlds: list[World], groups: Ints, rng: np.random.Generator) -> Ints:
    """One vote on each group (studies, K): its contestants best first."""
    ranks = np.concatenate([world.votes(groups[[at]], rng) for at, world in enumerate(worlds)])
    return np.take_along_axis(groups, np.argsort(ranks, axis=1), axis=1)


def fit(n: int, orders: Ints, start: Floats) -> Floats:
    """Plackett-Luce strengths of rankings (votes, K), best first; Bradley-Terry for K = 2."""
    shape = pattern(tuple(range(1, orders.shape[1] + 1)))
    block = Block(shape, *added_up(n, orders, np.ones(len(orders))))
    return maximise(start, [block], lapse=0.0, estimate_lapse=False, sd=WIDE, estimate_sd=False)[0]


class RandomElo:
    """Elo, k = 4, on random pairs."""

    def __init__(self, worlds: list[World]) -> None:
        self.worlds = worlds
        self.n = worlds[0].n
        self.rating = np.full((len(worlds), self.n), 1000.0)

    def advance(self, votes: int, rng: np.random.Generator) -> None:
        orders = np.stack([random_orders(world, votes, 2, rng) for world in self.worlds])
        at = np.arange(len(self.worlds))
        for winner, loser in np.moveaxis(orders, 1, 0).swapaxes(1, 2):
            gap = self.rating[at, winner] - self.rating[at, loser]
            step = ELO_STEP / (1.0 + 10.0 ** (gap / 400.0))
            self.rating[at, winner] += step
            self.rating[at, loser] -= step

    def scores(self) -> dict[str, Floats]:
        return {"elo": self.rating}


def random_orders(world: World, votes: int, k: int, rng: np.random.Generator) -> Ints:
    groups = np.argsort(rng.random((votes, world.n)), axis=1)[:, :k]
    ranks = world.votes(groups, rng)
    return np.take_along_axis(groups, np.argsort(ranks, axis=1), axis=1)


class RandomGroups:
    """Random groups of k, refitted (Bradley-Terry for k = 2, Plackett-Luce above)."""

    def __init__(self, worlds: list[World], k: int) -> None:
        self.worlds, self.k = worlds, k
        self.n = worlds[0].n
        self.orders: list[Ints] = [np.empty((0, k), dtype=np.int64) for _ in worlds]
        self.strengths = np.zeros((len(worlds), self.n))

    def advance(self, votes: int, rng: np.random.Generator) -> None:
        for at, world in enumerate(self.worlds):
            fresh = random_orders(world, votes, self.k, rng)
            self.orders[at] = np.concatenate([self.orders[at], fresh])

    def scores(self) -> dict[str, Floats]:
        for at, orders in enumerate(self.orders):
            self.strengths[at] = fit(self.n, orders, self.strengths[at])
        return {"refit": self.strengths}


class LMArenaPairs(RandomGroups):
    """Pairs in proportion to sqrt(v / m) - sqrt(v / (m + 1)), refitted at each checkpoint."""

    def __init__(self, worlds: list[World]) -> None:
        super().__init__(worlds, 2)
        self.pairs = np.triu_indices(self.n, 1)

    def advance(self, votes: int, rng: np.random.Generator) -> None:
        first, second = self.pairs
        for at, world in enumerate(self.worlds):
            orders = self.orders[at]
            low, high = orders.min(axis=1), orders.max(axis=1)
            met = np.bincount(low * self.n + high, minlength=self.n**2)[first * self.n + second] + 1.0
            chance = 1.0 / (1.0 + np.exp(self.strengths[at, second] - self.strengths[at, first]))
            worth = np.sqrt(chance * (1.0 - chance)) * (1.0 / np.sqrt(met) - 1.0 / np.sqrt(met + 1.0))
            drawn = rng.choice(len(first), size=votes, p=worth / worth.sum())
            groups = np.stack([first[drawn], second[drawn]], axis=1)
            ranks = world.votes(groups, rng)
            fresh = np.take_along_axis(groups, np.argsort(ranks, axis=1), axis=1)
            self.orders[at] = np.concatenate([orders, fresh])


class KSort:
    """K-Sort Arena's pairing and its own update; optionally its battles refitted as well."""

    def __init__(self, worlds: list[World], k: int, *, refit: bool = False) -> None:
        self.worlds, self.k, self.refit = worlds, k, refit
        self.n = worlds[0].n
        studies = len(worlds)
        self.mu = np.full((studies, self.n), MU)
        self.variance = np.full((studies, self.n), SIGMA**2)
        self.met = np.zeros((studies, self.n, self.n))
        self.orders: list[Ints] = []
        self.strengths = np.zeros((studies, self.n))

    def advance(self, votes: int, rng: np.random.Generator) -> None:
        for _ in range(votes):
            orders = best_first(self.worlds, self._draw(rng), rng)
            self._learn(orders)
            if self.refit:
                self.orders.append(orders)

    def scores(self) -> dict[str, Floats]:
        own = self.mu - ETA * np.sqrt(self.variance)
        if not self.refit:
            return {"own": own}
        votes = np.stack(self.orders, axis=1)
        for at, orders in enumerate(votes):
            self.strengths[at] = fit(self.n, orders, self.strengths[at])
        return {"own": own, "refit": self.strengths}

    def _draw(self, rng: np.random.Generator) -> Ints:
        at = np.arange(len(self.mu))
        noise = rng.random(self.mu.shape)
        pivot = np.argmin(self.met.sum(axis=2) + 0.5 * noise, axis=1)
        total = np.maximum(self.met.sum(axis=(1, 2)) / 2.0, 1.0)
        score = self.mu - ETA * np.sqrt(self.variance)
        bonus = np.sqrt(np.log(total)[:, None] / np.maximum(self.met[at, pivot], 1e-5))
        bound = ALPHA * bonus - np.abs(score[at, pivot][:, None] - score) + 1e-9 * noise
        bound[at, pivot] = np.inf
        return np.argpartition(-bound, self.k - 1, axis=1)[:, : self.k]

    def _learn(self, orders: Ints) -> None:
        at = np.arange(len(orders))[:, None]
        mu, variance = self.mu[at, orders], self.variance[at, orders]  # (studies, K) best first
        spread = np.sqrt(2.0 * BETA**2 + variance[:, :, None] + variance[:, None, :])
        above = np.triu(np.ones((self.k, self.k)), 1)  # i was ranked before j
        sign = above - above.T
        margin = sign * (mu[:, :, None] - mu[:, None, :]) / spread
        pull = np.exp(-0.5 * margin**2 - 0.5 * np.log(2.0 * np.pi) - log_ndtr(margin))
        bend = pull * (pull + margin)
        both = above + above.T
        self.mu[at, orders] = mu + variance * (sign * pull / spread).sum(axis=2)
        left = 1.0 - variance * (both * bend / spread**2).sum(axis=2)
        self.variance[at, orders] = variance * np.maximum(left, FLOOR)
        self.met[at[:, :, None], orders[:, :, None], orders[:, None, :]] += both
