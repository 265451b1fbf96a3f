"""The studies of the matchmaking benchmark that are not votes to an order: K-Sort Arena's own
protocol, a newcomer, and what one decision and one update cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from benchmarks.matchmaking_peers import Floats, KSort, best_first, random_orders
from ranking.matchmaking import Posterior, choose, stakes
from ranking.matchmaking.lockstep import Lockstep
from ranking.simulate import World, arena, gauss, ordinal, settled_at

PROTOCOL_N = 50
NEWCOMER_BOARD = 50
NEWCOMER_VOTES_BEFORE = 20_000
NEWCOMER_CHECK = 25


def ksort_protocol(method: str, k: int, seeds: int, budget: int, *, upsets: float = 0.0) -> list[int | None]:
    """Votes until all 50 ordinal labels are in place and stay so, noise-free; by seed.

    `upsets` is the share of votes cast at random.
    """
    rng = np.random.default_rng([k, 50])
    worlds = [ordinal(PROTOCOL_N, rng, lapse=upsets) for _ in range(seeds)]
    truth = np.stack([world.skills for world in worlds]).argsort(axis=1)
    exact: list[np.ndarray] = []
    if method == "ours":
        # Votes without noise: no lapse, no exploration, hardly any noise in the draw.
        studies = Lockstep(
            seeds, PROTOCOL_N, k, lapse=upsets, sd=10.0, explore=0.0, temperature=0.01, stakes_every=1
        )
        for vote in range(budget):
            studies.learn(best_first(worlds, studies.draw(rng), rng))
            if vote >= 10 and vote % 3 == 0:
                studies.refit()
            exact.append((studies.mean.argsort(axis=1) == truth).all(axis=1))
            if len(exact) > 30 and np.all(exact[-30:]):
                break
    else:
        peer = KSort(worlds, k)
        for _ in range(budget):
            peer.advance(1, rng)
            exact.append((peer.scores()["own"].argsort(axis=1) == truth).all(axis=1))
            if len(exact) > 600 and np.all(exact[-600:]):
                break
    points = list(range(1, len(exact) + 1))
    return [settled_at(points, column.tolist()) for column in np.array(exact).T]


def newcomer(method: str, k: int, seeds: int, budget: int) -> int | None:
    """Votes with a newcomer until its rank is within 2 of the truth in 95 % of the studies, and stays.

    It joins 50 contestants ranked by 20,000 votes on random groups of 4.  "ours" draws with the
    aim "newcomers"; "BT" pairs it with random opponents, whose strengths are taken as known.
    """
    rng = np.random.default_rng([k, 51])
    boards = [arena(NEWCOMER_BOARD, rng) for _ in range(seeds)]
    # Any place on the board but the ends of the tail, where there is nobody to be told from.
    skills = [float(rng.choice(np.sort(arena(200, rng).skills)[20:])) for _ in boards]
    worlds = [board.joined_by(skill) for board, skill in zip(boards, skills, strict=True)]
    known = [_ranked_board(board, rng) for board in boards]
    close: list[float] = []
    points = list(range(NEWCOMER_CHECK, budget + 1, NEWCOMER_CHECK))
    scores = (_designed if method == "ours" else _paired)(worlds, known, k, points, rng)
    for board in scores:
        close.append(float((np.abs(_last_ranks(board) - _last_ranks(_truth(worlds))) <= 2).mean()))
    return settled_at(points, [share >= 0.95 for share in close])


def _truth(worlds: list[World]) -> Floats:
    return np.stack([world.skills for world in worlds])


def _last_ranks(scores: Floats) -> Floats:
    return (scores[:, :-1] > scores[:, -1:]).sum(axis=1)


def _ranked_board(board: World, rng: np.random.Generator) -> Posterior:
    orders = random_orders(board, NEWCOMER_VOTES_BEFORE, 4, rng)
    return Posterior.refit(board.n, orders, np.tile([1, 2, 3, 4], (len(orders), 1)))


def _designed(
    worlds: list[World], known: list[Posterior], k: int, points: list[int], rng: np.random.Generator
) -> list[Floats]:
    studies = Lockstep(len(worlds), worlds[0].n, k, aim="newcomers")
    for at, board in enumerate(known):
        joined = board.extended(1)
        studies.mean[at], studies.covariance[at] = joined.mean, joined.covariance
    seen = []
    counted = np.zeros(len(worlds), dtype=np.int64)
    while len(seen) < len(points):
        groups = studies.draw(rng)
        studies.learn(best_first(worlds, groups, rng))
        counted += (groups == worlds[0].n - 1).any(axis=1)
        # The slowest study decides, so that no study has had fewer votes on its newcomer.
        if counted.min() >= points[len(seen)]:
            seen.append(studies.mean.copy())
    return seen


def _paired(
    worlds: list[World], known: list[Posterior], k: int, points: list[int], rng: np.random.Generator
) -> list[Floats]:
    last = worlds[0].n - 1
    rivals = rng.integers(last, size=(len(worlds), points[-1]))
    scores = np.stack([np.append(board.mean, 0.0) for board in known])
    won = np.stack(
        [
            world.votes(np.stack([np.full(points[-1], last), row], axis=1), rng)[:, 0] == 1
            for world, row in zip(worlds, rivals, strict=True)
        ]
    )
    seen = []
    for point in points:
        against = np.take_along_axis(scores, rivals[:, :point], axis=1)
        for _ in range(20):
            chance = 1.0 / (1.0 + np.exp(against - scores[:, -1:]))
            slope = (won[:, :point] - chance).sum(axis=1) - scores[:, -1] / 64.0
            scores[:, -1] += slope / ((chance * (1.0 - chance)).sum(axis=1) + 1.0 / 64.0)
        seen.append(scores.copy())
    return seen


def decision_and_update(n: int, k: int, repeats: int) -> dict[str, float]:
    """Median CPU milliseconds of one decision, one with its propensity, and one update."""
    rng = np.random.default_rng(n)
    world = gauss(n, rng)
    order = random_orders(world, 30 * n, k, rng)
    board = Posterior.refit(n, order, np.tile(np.arange(1, k + 1), (len(order), 1)))
    group, ranks = order[0].tolist(), list(range(1, k + 1))
    stake = stakes(board)
    acts: dict[str, Callable[[], object]] = {
        "decision": lambda: choose(board, k, rng, with_propensity=False),
        "decision, stakes kept": lambda: choose(board, k, rng, stake=stake, with_propensity=False),
        "decision with propensity": lambda: choose(board, k, rng, explore=0.02),
        "update": lambda: board.updated(group, ranks),
    }
    return {name: _milliseconds(act, repeats) for name, act in acts.items()}


def _milliseconds(act: Callable[[], object], repeats: int) -> float:
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        act()
        spent.append(1000.0 * (time.process_time() - start))
    return median(spent)
