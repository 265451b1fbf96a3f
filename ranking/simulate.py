"""Votes from a known truth: worlds to test ratings and matchmaking against.

A voter perceives each contestant of a battle with noise and ranks what was perceived.
Gumbel noise gives Plackett-Luce, normal noise gives Thurstone's model.  On top of that
voters may tie what looks alike, vote at random, have a taste of their own, or drift.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ranking.matchmaking import Posterior, choose, stakes
from ranking.matchmaking.information import Aim

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Noise = Literal["plackett-luce", "thurstone"]

ELO = 400.0 / np.log(10.0)  # Elo points in one unit of natural-log strength
# Normal noise whose differences have the logistic's standard deviation, pi / sqrt(3).
THURSTONE_SD = np.pi / np.sqrt(6.0)
# Scale of the arena world, 77 Elo: Bradley-Terry on random pairs with 5 % random votes then needs
# about 51,700 votes to order 50 contestants and 21,000 for 30 (Kendall's tau .95).
ARENA_SCALE = 77.0 / ELO


@dataclass(frozen=True)
class World:
    """Contestants with known strengths and the voters who judge them."""

    skills: Floats  # (n,) natural-log scale, mean zero
    noise: Noise = "plackett-luce"
    noise_scale: float = 1.0  # 0: votes follow the skills exactly
    lapse: float = 0.05  # share of votes cast at random
    tie_width: float = 0.0  # neighbours perceived closer than this are tied
    taste: Floats | None = None  # (voters, n) what each voter adds to the skills
    drift: Floats | None = None  # (n,) added by the end of the run, in proportion before

    @property
    def n(self) -> int:
        return len(self.skills)

    @property
    def voters(self) -> int:
        return 1 if self.taste is None else len(self.taste)

    def perceived(self, groups: Ints, rng: np.random.Generator, voters: Ints, progress: float) -> Floats:
        """What the voters see in each row of `groups` (v, K), noise included."""
        seen: Floats = self.skills[groups]
        if self.taste is not None:
            seen = seen + self.taste[voters[:, None], groups]
        if self.drift is not None:
            seen = seen + progress * self.drift[groups]
        if self.noise == "thurstone":
            return np.asarray(seen + self.noise_scale * THURSTONE_SD * rng.normal(size=groups.shape))
        return np.asarray(seen + self.noise_scale * rng.gumbel(size=groups.shape))

    def votes(
        self, groups: Ints, rng: np.random.Generator, voters: Ints | None = None, progress: float = 0.0
    ) -> Ints:
        """Ranks (v, K), 1 best, for battles `groups` (v, K); `progress` runs from 0 to 1."""
        if voters is None:
            voters = np.zeros(len(groups), dtype=np.int64)
        seen = self.perceived(groups, rng, voters, progress)
        lapsed = rng.random(len(groups)) < self.lapse
        seen[lapsed] = rng.random((int(lapsed.sum()), groups.shape[1]))
        best_first = np.argsort(-seen, axis=1)
        gaps = -np.diff(np.take_along_axis(seen, best_first, axis=1), axis=1)
        apart = (gaps > self.tie_width) | (lapsed[:, None] & (gaps > 0.0))
        levels = np.concatenate(
            [np.ones((len(groups), 1), dtype=np.int64), 1 + np.cumsum(apart, axis=1)], axis=1
        )
        ranks = np.empty(groups.shape, dtype=np.int64)
        np.put_along_axis(ranks, best_first, levels, axis=1)
        return ranks

    def joined_by(self, skill: float) -> World:
        """The same world with one more contestant, its skill measured from the others' mean."""
        return World(np.append(self.skills, skill), self.noise, self.noise_scale, self.lapse, self.tie_width)


def gauss(n: int, rng: np.random.Generator, *, sd: float = 200.0 / ELO, lapse: float = 0.05) -> World:
    """Normal skills, 200 Elo standard deviation unless told otherwise."""
    return World(_centred(rng.normal(size=n) * sd), lapse=lapse)


def arena(n: int, rng: np.random.Generator, *, lapse: float = 0.05) -> World:
    """Skills spread as on a public board: neighbours a few Elo apart, a long tail below.

    The quantiles of a Gumbel distribution of minima, dealt out at random: the spread is the
    same whatever the seed.
    """
    quantiles = np.log(-np.log1p(-(np.arange(n) + 0.5) / n))
    return World(_centred(rng.permutation(quantiles) * ARENA_SCALE), lapse=lapse)


def ordinal(n: int, rng: np.random.Generator, *, lapse: float = 0.0) -> World:
    """Only an order, and votes that follow it exactly (K-Sort Arena's own protocol)."""
    return World(_centred(rng.permutation(n).astype(np.float64)), noise_scale=0.0, lapse=lapse)


WORLDS: dict[str, Callable[..., World]] = {"arena": arena, "gauss": gauss, "ordinal": ordinal}


def tastes(world: World, voters: int, sd: float, rng: np.random.Generator) -> World:
    """The same world judged by `voters` voters, each with a taste of its own, N(0, sd^2)."""
    taste = rng.normal(size=(voters, world.n)) * sd
    return World(
        world.skills, world.noise, world.noise_scale, world.lapse, world.tie_width, taste, world.drift
    )


def drifting(world: World, sd: float, rng: np.random.Generator) -> World:
    """The same world whose voters change their minds by N(0, sd^2) in the course of the run."""
    drift = rng.normal(size=world.n) * sd
    return World(
        world.skills, world.noise, world.noise_scale, world.lapse, world.tie_width, world.taste, drift
    )


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean())


@dataclass
class Run:
    """A simulated study as it goes: the votes so far and what they say."""

    world: World
    posterior: Posterior
    groups: list[tuple[int, ...]] = field(default_factory=list)
    ranks: list[list[int]] = field(default_factory=list)
    voters: list[int] = field(default_factory=list)
    propensities: list[float] = field(default_factory=list)

    def refit(self, *, estimate_lapse: bool = False) -> None:
        """Replace the running posterior by the one from all votes."""
        self.posterior = Posterior.refit(
            self.world.n,
            self.groups,
            self.ranks,
            lapse=self.posterior.lapse,
            estimate_lapse=estimate_lapse,
            start=self.posterior,
        )


def play(
    world: World,
    votes: int,
    k: int,
    rng: np.random.Generator,
    *,
    strategy: str = "information",
    aim: Aim = "order",
    explore: float = 0.02,
    start: Posterior | None = None,
    refit_growth: float | None = 0.1,
    first_refit: int = 50,
    stakes_every: int = 10,
    with_propensity: bool = False,
    watch: Callable[[Run], bool] | None = None,
) -> Run:
    """A study of `votes` battles, each drawn, voted on and learnt from before the next.

    The posterior is refitted whenever the votes have grown by `refit_growth` since the last
    time (never with None).  `watch` sees the run after every vote and may end it by returning
    True.
    """
    run = Run(world, start if start is not None else Posterior.prior(world.n))
    stake = None
    next_refit = first_refit
    for at in range(votes):
        # What is at stake changes fast while each contestant has had few votes.
        if strategy == "information" and at % min(stakes_every, 1 + at // world.n) == 0:
            stake = stakes(run.posterior, aim)
        choice = choose(
            run.posterior,
            k,
            rng,
            strategy=strategy,
            aim=aim,
            explore=explore,
            stake=stake,
            with_propensity=with_propensity,
        )
        voter = int(rng.integers(world.voters))
        group = np.array([choice.group])
        ranks = world.votes(group, rng, np.array([voter]), at / votes)[0].tolist()
        run.groups.append(choice.group)
        run.ranks.append(ranks)
        run.voters.append(voter)
        run.propensities.append(choice.propensity)
        run.posterior = run.posterior.updated(choice.group, ranks)
        if refit_growth is not None and at + 1 >= next_refit:
            run.refit()
            next_refit = int((at + 1) * (1.0 + refit_growth)) + 1
        if watch is not None and watch(run):
            break
    return run


def kendall_tau(truth: Floats, estimate: Floats) -> float:
    """Share of pairs in the right order less the share in the wrong one; ties count as neither."""
    upper = np.triu_indices(len(truth), 1)
    right = (
        np.sign(truth[:, None] - truth[None, :])[upper]
        * np.sign(estimate[:, None] - estimate[None, :])[upper]
    )
    return float(right.mean())


def neighbours_in_order(truth: Floats, estimate: Floats, gap: float = 10.0 / ELO) -> float:
    """Share of the neighbours by true skill, more than `gap` apart, whose order is right."""
    order = np.argsort(truth)
    wide = np.diff(truth[order]) > gap
    return float((np.diff(estimate[order])[wide] > 0.0).mean()) if wide.any() else 1.0


def settled_at(checkpoints: Sequence[int], reached: Sequence[bool]) -> int | None:
    """The first checkpoint from which the goal holds to the end, or None."""
    last = None
    for votes, good in zip(checkpoints, reached, strict=True):
        if not good:
            last = None
        elif last is None:
            last = votes
    return last
