"""One cell of the matchmaking benchmark: a method plays many studies of one world side by side."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binom

from benchmarks.matchmaking_peers import (
    Floats,
    Ints,
    KSort,
    LMArenaPairs,
    Player,
    RandomElo,
    RandomGroups,
    best_first,
)
from ranking.matchmaking.lockstep import Lockstep
from ranking.simulate import WORLDS, World, kendall_tau, neighbours_in_order, settled_at

GOAL = 0.95
REFIT_GROWTH = 0.1
CHECK_GROWTH = 0.02
FIRST_CHECK = 50


@dataclass(frozen=True)
class Cell:
    """One method in one world: what is played, for how long, and how often."""

    method: str
    world: str
    n: int
    budget: int
    seeds: int
    lapse: float = 0.05

    @property
    def key(self) -> str:
        return f"{self.method}|{self.world}|{self.n}|{self.budget}|{self.seeds}|{self.lapse}"


@dataclass
class Outcome:
    """For each board the cell keeps: votes to each goal by seed (None: not reached)."""

    tau: dict[str, list[int | None]] = field(default_factory=dict)
    neighbours: dict[str, list[int | None]] = field(default_factory=dict)
    last_tau: dict[str, float] = field(default_factory=dict)
    coverage: dict[str, float] = field(default_factory=dict)  # votes -> share of intervals that hold
    mean_tau: dict[str, list[list[float]]] = field(default_factory=dict)  # [votes, mean over the seeds]

    def mean_reaches(self, board: str, goal: float) -> float:
        """Votes from which the mean tau over the seeds stays at the goal; it jumps less than their median."""
        points, means = zip(*self.mean_tau[board], strict=True)
        found = settled_at([int(point) for point in points], [mean >= goal for mean in means])
        return math.inf if found is None else float(found)


class Ours:
    """The information design, refitted whenever the votes have grown by a tenth."""

    def __init__(self, worlds: list[World], k: int, studies: Lockstep | None = None) -> None:
        self.worlds = worlds
        self.studies = studies or Lockstep(len(worlds), worlds[0].n, k)
        self.next_refit = FIRST_CHECK

    def advance(self, votes: int, rng: np.random.Generator) -> None:
        for _ in range(votes):
            self.studies.learn(best_first(self.worlds, self.studies.draw(rng), rng))
            cast = len(self.studies.orders)
            if cast >= self.next_refit:
                self.studies.refit()
                self.next_refit = int(cast * (1.0 + REFIT_GROWTH)) + 1

    def scores(self) -> dict[str, Floats]:
        return {"ours": self.studies.mean}

    def coverage(self) -> float:
        """Share of the 95 % intervals, around the board's mean, that hold the true skill."""
        covariance = self.studies.covariance
        variance = np.diagonal(covariance, axis1=1, axis2=2) - 2.0 * covariance.mean(axis=2)
        sd = np.sqrt(variance + covariance.mean(axis=(1, 2))[:, None])
        truth = np.stack([world.skills for world in self.worlds])
        error = self.studies.mean - self.studies.mean.mean(axis=1, keepdims=True) - truth
        return float((np.abs(error) <= 1.96 * sd).mean())


class InFlight(Ours):
    """The same with `at_once` voters who all get their battle before any of them has voted."""

    def __init__(self, worlds: list[World], k: int, at_once: int, *, counted: bool) -> None:
        super().__init__(worlds, k)
        self.at_once, self.counted = at_once, counted
        self.open: list[Ints] = []

    def advance(self, votes: int, rng: np.random.Generator) -> None:
        for _ in range(votes):
            if not self.open:
                self._draw_for_all(rng)
            self.studies.learn(best_first(self.worlds, self.open.pop(0), rng))
            cast = len(self.studies.orders)
            if cast >= self.next_refit:
                self.studies.refit()
                self.next_refit = int(cast * (1.0 + REFIT_GROWTH)) + 1

    def _draw_for_all(self, rng: np.random.Generator) -> None:
        known = self.studies.covariance
        for _ in range(self.at_once):
            groups = self.studies.draw(rng)
            if self.counted:
                self.studies.expect(groups)
            self.open.append(groups)
        self.studies.covariance = known


METHODS: dict[str, Callable[[list[World]], Player]] = {
    "ours K=2": lambda worlds: Ours(worlds, 2),
    "ours K=4": lambda worlds: Ours(worlds, 4),
    "ours K=6": lambda worlds: Ours(worlds, 6),
    "ours K=4, 50 at once": lambda worlds: InFlight(worlds, 4, 50, counted=True),
    "ours K=4, 300 at once": lambda worlds: InFlight(worlds, 4, 300, counted=True),
    "ours K=4, 300 at once, not counted": lambda worlds: InFlight(worlds, 4, 300, counted=False),
    "Elo k=4, random pairs": RandomElo,
    "BT, random pairs": lambda worlds: RandomGroups(worlds, 2),
    "PL, random groups K=4": lambda worlds: RandomGroups(worlds, 4),
    "BT, LMArena sampling": LMArenaPairs,
    "K-Sort K=2": lambda worlds: KSort(worlds, 2),
    "K-Sort K=4": lambda worlds: KSort(worlds, 4, refit=True),
}


def checkpoints(budget: int) -> list[int]:
    """50, 51, ... growing by 2 % (at least 10 votes), up to the budget."""
    points = [FIRST_CHECK]
    while points[-1] < budget:
        points.append(min(max(int(points[-1] * (1.0 + CHECK_GROWTH)), points[-1] + 10), budget))
    return points


def play_cell(cell: Cell) -> Outcome:
    """All seeds of one cell side by side; stops early once both goals have long held everywhere."""
    rng = np.random.default_rng([zlib.crc32(cell.world.encode()), cell.n])
    worlds = [WORLDS[cell.world](cell.n, rng, lapse=cell.lapse) for _ in range(cell.seeds)]
    rng = np.random.default_rng([zlib.crc32(cell.method.encode()), cell.n])
    player = METHODS[cell.method](worlds)
    outcome = Outcome()
    points: list[int] = []
    taus: dict[str, list[list[float]]] = {}
    neighbours: dict[str, list[list[float]]] = {}
    for point in checkpoints(cell.budget):
        player.advance(point - (points[-1] if points else 0), rng)
        points.append(point)
        for board, scores in player.scores().items():
            pairs = list(zip(worlds, scores, strict=True))
            taus.setdefault(board, []).append([kendall_tau(w.skills, s) for w, s in pairs])
            neighbours.setdefault(board, []).append([neighbours_in_order(w.skills, s) for w, s in pairs])
        if isinstance(player, Ours):
            outcome.coverage[str(point)] = player.coverage()
        if all(_long_settled(points, rows) for rows in (*taus.values(), *neighbours.values())):
            break
    for board in taus:
        outcome.tau[board] = _settled(points, taus[board])
        outcome.neighbours[board] = _settled(points, neighbours[board])
        means = np.mean(taus[board], axis=1).tolist()
        outcome.mean_tau[board] = [list(pair) for pair in zip(map(float, points), means, strict=True)]
        outcome.last_tau[board] = float(np.median(taus[board][-1]))
    return outcome


def _settled(points: list[int], rows: list[list[float]]) -> list[int | None]:
    reached = np.array(rows) >= GOAL
    return [settled_at(points, column.tolist()) for column in reached.T]


def _long_settled(points: list[int], rows: list[list[float]]) -> bool:
    """Whether every study has met the goal at all checkpoints since two thirds of the votes."""
    since = np.searchsorted(points, points[-1] * 2 / 3)
    return len(points) > 40 and bool((np.array(rows[since:]) >= GOAL).all())


@dataclass(frozen=True)
class Median:
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, votes: list[int | None]) -> Median:
        ordered = sorted(math.inf if v is None else float(v) for v in votes)
        count = len(ordered)
        below = int(binom.ppf(0.025, count, 0.5))
        return cls(
            float(np.median(ordered)) if math.isfinite(ordered[count // 2]) else math.inf,
            ordered[max(below - 1, 0)],
            ordered[min(count - below, count - 1)],
        )
