"""The studies of the matchmaking benchmark that are not votes to an order: K-Sort Arena's own
protocol, a newcomer, and what one decision and one update cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
from scipy.special import ndtr

from benchmarks.matchmaking_peers import Floats, KSort, best_first, random_orders
from ranking.matchmaking import Posterior, choose, stakes
from ranking.matchmaking.lockstep import Lockstep
from ranking.matchmaking.weak_order import expected_information
from ranking.simulate import World, arena, gauss, ordinal, settled_at

PROTOCOL_N = 50
NEWCOMER_BOARD = 50
NEWCOMER_VOTES_BEFORE = 20_000
NEWCOMER_CHECK = 25
NEIGHBOURS = 2
LAPSE = 0.05


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


def newcomer(method: str, k: int, seeds: int, budget: int) -> list[tuple[int, float]]:
    """Share of the studies whose newcomer is within 2 of its true rank, by votes with the newcomer.

    It joins 50 contestants ranked by 20,000 votes on random groups of 4.  "ours" draws with the
    aim "newcomers"; "BT" pairs it with random opponents, whose strengths are taken as known.
    """
    rng = np.random.default_rng([k, 51])
    boards = [arena(NEWCOMER_BOARD, rng) for _ in range(seeds)]
    # Any place on the board but the ends of the tail, where there is nobody to be told from.
    skills = [float(rng.choice(np.sort(arena(200, rng).skills)[20:])) for _ in boards]
    worlds = [board.joined_by(skill) for board, skill in zip(boards, skills, strict=True)]
    known = [_ranked_board(board, rng) for board in boards]
    points = list(range(NEWCOMER_CHECK, budget + 1, NEWCOMER_CHECK))
    scores = (_designed if method == "ours" else _paired)(worlds, known, k, points, rng)
    true_ranks = _last_ranks(_truth(worlds))
    close = [float((np.abs(_last_ranks(board) - true_ranks) <= 2).mean()) for board in scores]
    return list(zip(points, close, strict=True))


def reached_at(curve: list[tuple[int, float]], share: float) -> float:
    """The first point from which the curve, averaged over its neighbours, keeps to the share; else infinite.

    A share of forty studies jumps by its own noise; the mean of five checkpoints does so less.
    """
    points, values = zip(*curve, strict=True)
    ends = np.pad(np.array(values), NEIGHBOURS, mode="edge")
    smooth = np.convolve(ends, np.full(2 * NEIGHBOURS + 1, 1.0 / (2 * NEIGHBOURS + 1)), mode="valid")
    found = settled_at(list(points), (smooth >= share - 1e-9).tolist())
    return float("inf") if found is None else float(found)


def newcomer_limit(k: int, votes: int) -> float:
    """The expected share within two ranks if everybody else were known exactly and always just as strong.

    No draw of k tells more about one contestant: it is the Fisher information of a ranking among equals,
    and the error of the estimate is normal with that information times the votes.
    """
    rng = np.random.default_rng([k, 51])
    board = np.sort(arena(NEWCOMER_BOARD, rng).skills)
    newcomers = np.sort(arena(200, rng).skills)[20:]
    sd = (votes * expected_information(np.zeros(k), LAPSE)[0, 0]) ** -0.5
    rank = np.searchsorted(board, newcomers)
    open_ended = np.concatenate([np.full(3, -np.inf), board, np.full(3, np.inf)])
    below, above = open_ended[rank], open_ended[rank + 5]
    return float((ndtr((above - newcomers) / sd) - ndtr((below - newcomers) / sd)).mean())


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
