"""The peers of the benchmark do what their papers say, or the comparison means nothing."""

import math

import numpy as np
import pytest

from benchmarks.matchmaking_peers import KSort, LMArenaPairs, RandomElo, RandomGroups
from ranking.simulate import World, kendall_tau

# Two newcomers on TrueSkill's scale: c^2 = 2 (25/6)^2 + 2 (25/3)^2, V(0) = sqrt(2 / pi), W(0) = 2 / pi.
C2 = 2 * (25 / 6) ** 2 + 2 * (25 / 3) ** 2


def clear(n: int = 6) -> list[World]:
    return [World(np.linspace(3.0, -3.0, n), lapse=0.0) for _ in range(2)]


def test_one_win_moves_two_newcomers_as_equations_9_and_10_say():
    peer = KSort(clear(2), 2)

    peer._learn(np.array([[0, 1], [1, 0]]))

    up = (25 / 3) ** 2 / math.sqrt(C2) * math.sqrt(2 / math.pi)
    assert peer.mu[0] == pytest.approx([25 + up, 25 - up])
    assert peer.mu[1] == pytest.approx([25 - up, 25 + up])
    left = (25 / 3) ** 2 * (1 - (25 / 3) ** 2 / C2 * 2 / math.pi)
    assert peer.variance[0] == pytest.approx([left, left])
    assert peer.met[0].tolist() == [[0, 1], [1, 0]]


def test_four_newcomers_move_by_the_sum_over_those_above_and_below():
    peer = KSort(clear(4), 4)

    peer._learn(np.array([[0, 1, 2, 3], [0, 1, 2, 3]]))

    one = (25 / 3) ** 2 / math.sqrt(C2) * math.sqrt(2 / math.pi)
    assert peer.mu[0] == pytest.approx([25 + 3 * one, 25 + one, 25 - one, 25 - 3 * one])
    assert (peer.variance > 0).all()


@pytest.mark.parametrize("k", [2, 4])
def test_ksort_takes_the_least_met_as_pivot_and_keeps_the_load_even(k):
    peer = KSort(clear(8), k)

    peer.advance(60, np.random.default_rng(0))

    shown = peer.met.sum(axis=2)
    assert shown.min() > 0
    assert shown.max() <= 3 * shown.min()


@pytest.mark.parametrize(
    "make",
    [
        RandomElo,
        LMArenaPairs,
        lambda worlds: RandomGroups(worlds, 2),
        lambda worlds: RandomGroups(worlds, 4),
        lambda worlds: KSort(worlds, 4, refit=True),
    ],
    ids=["elo", "lmarena", "bt", "pl", "ksort"],
)
def test_every_peer_finds_the_order_of_a_clear_board(make):
    worlds = clear()
    peer = make(worlds)
    rng = np.random.default_rng(1)
    peer.advance(300, rng)
    peer.scores()
    peer.advance(300, rng)

    for scores in peer.scores().values():
        assert all(kendall_tau(world.skills, row) > 0.8 for world, row in zip(worlds, scores, strict=True))


def test_elo_moves_a_win_between_equals_by_half_of_k():
    peer = RandomElo(clear(2))
    peer.advance(1, np.random.default_rng(0))

    assert sorted(peer.rating[0].tolist()) == [998.0, 1002.0]
