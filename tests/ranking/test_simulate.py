"""The simulator: votes follow the stated model, and studies are reproducible."""

import numpy as np
import pytest

from ranking.matchmaking.lockstep import Lockstep
from ranking.simulate import (
    ELO,
    WORLDS,
    World,
    arena,
    drifting,
    gauss,
    kendall_tau,
    neighbours_in_order,
    ordinal,
    play,
    settled_at,
    tastes,
)


def wins(world: World, votes: int = 20_000, progress: float = 0.0) -> float:
    groups = np.tile([0, 1], (votes, 1))
    ranks = world.votes(groups, np.random.default_rng(0), progress=progress)
    return float((ranks[:, 0] < ranks[:, 1]).mean())


def test_a_win_is_as_likely_as_bradley_terry_says():
    world = World(np.array([1.0, 0.0]), lapse=0.0)

    assert wins(world) == pytest.approx(1 / (1 + np.exp(-1.0)), abs=0.012)


def test_thurstone_noise_has_the_spread_of_the_logistic():
    world = World(np.array([1.0, 0.0]), noise="thurstone", lapse=0.0)

    # Phi(1 / (pi / sqrt 3)) = .7093
    assert wins(world) == pytest.approx(0.7093, abs=0.012)


def test_random_voters_pull_towards_a_coin():
    world = World(np.array([1.0, 0.0]), lapse=0.4)

    assert wins(world) == pytest.approx(0.6 / (1 + np.exp(-1.0)) + 0.2, abs=0.012)


def test_orders_of_four_are_as_likely_as_plackett_luce_says():
    skills = np.array([0.9, 0.3, -0.2, -1.0])
    groups = np.tile(np.arange(4), (40_000, 1))
    ranks = World(skills, lapse=0.0).votes(groups, np.random.default_rng(1))
    share = float((ranks == [1, 2, 3, 4]).all(axis=1).mean())

    worth = np.exp(skills)
    exact = np.prod([worth[i] / worth[i:].sum() for i in range(4)])
    assert share == pytest.approx(exact, abs=0.01)


def test_without_noise_votes_follow_the_labels():
    rng = np.random.default_rng(2)
    world = ordinal(6, rng)
    groups = np.argsort(rng.random((50, 6)), axis=1)[:, :4]
    ranks = world.votes(groups, rng)

    assert np.array_equal(np.argsort(ranks, axis=1), np.argsort(-world.skills[groups], axis=1))


def test_those_who_look_alike_are_tied():
    groups = np.tile(np.arange(3), (4000, 1))
    rng = np.random.default_rng(3)
    strict = World(np.zeros(3), lapse=0.0).votes(groups, rng)
    loose = World(np.zeros(3), lapse=0.0, tie_width=0.5).votes(groups, rng)

    assert set(map(tuple, np.sort(strict, axis=1))) == {(1, 2, 3)}
    assert {(1, 1, 1), (1, 1, 2), (1, 2, 2), (1, 2, 3)} == set(map(tuple, np.sort(loose, axis=1)))


def test_voters_drift_in_the_course_of_the_run():
    world = World(np.array([1.0, 0.0]), lapse=0.0)
    moved = drifting(world, 3.0, np.random.default_rng(0))

    assert moved.drift is not None
    assert wins(moved, progress=0.0) == pytest.approx(wins(world), abs=0.02)
    gap = 1.0 + moved.drift[0] - moved.drift[1]
    assert wins(moved, progress=1.0) == pytest.approx(1 / (1 + np.exp(-gap)), abs=0.02)


def test_each_voter_has_a_taste_of_its_own():
    world = tastes(World(np.zeros(2), lapse=0.0), 3, 2.0, np.random.default_rng(0))
    assert world.taste is not None
    rng = np.random.default_rng(1)
    for voter in range(3):
        groups = np.tile([0, 1], (4000, 1))
        ranks = world.votes(groups, rng, np.full(4000, voter))
        gap = world.taste[voter, 0] - world.taste[voter, 1]
        assert float((ranks[:, 0] == 1).mean()) == pytest.approx(1 / (1 + np.exp(-gap)), abs=0.03)


@pytest.mark.parametrize("name", WORLDS)
def test_worlds_are_centred_and_follow_their_seed(name):
    one, same, other = (WORLDS[name](20, np.random.default_rng(seed)).skills for seed in (1, 1, 2))

    assert abs(one.mean()) < 1e-9
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_arena_is_dense_with_a_long_tail_below_whatever_the_seed():
    one, other = (np.sort(arena(50, np.random.default_rng(seed)).skills) * ELO for seed in (1, 2))
    gaps = np.diff(one)

    assert np.allclose(one, other)
    assert np.median(gaps) < 8
    assert gaps[0] > 5 * np.median(gaps)
    assert -one[0] > 1.5 * one[-1]


def test_gauss_has_the_spread_it_is_told():
    skills = gauss(5000, np.random.default_rng(0)).skills * ELO

    assert np.std(skills) == pytest.approx(200, rel=0.05)


def test_joining_a_world_leaves_the_others_as_they_were():
    world = gauss(5, np.random.default_rng(0))
    joined = world.joined_by(0.3)

    assert np.array_equal(joined.skills[:5], world.skills)
    assert joined.n == 6


def test_the_same_seed_plays_the_same_study():
    def study(seed: int) -> list[tuple[int, ...]]:
        rng = np.random.default_rng(seed)
        return play(gauss(6, rng), 60, 3, rng).groups

    assert study(1) == study(1)
    assert study(1) != study(2)


@pytest.mark.parametrize("strategy", ["information", "random", "uniform", "lmarena", "ksort"])
def test_every_strategy_finds_the_order_of_a_clear_board(strategy):
    rng = np.random.default_rng(5)
    world = World(np.linspace(-3.0, 3.0, 6))
    run = play(world, 150, 3, rng, strategy=strategy)

    assert kendall_tau(world.skills, run.posterior.mean) > 0.8


def mean_tau(explore: float) -> float:
    rng = np.random.default_rng(5)
    worlds = [gauss(15, rng) for _ in range(12)]
    studies = Lockstep(12, 15, 3, explore=explore)
    for _ in range(250):
        groups = studies.draw(rng)
        ranks = np.concatenate([world.votes(groups[[at]], rng) for at, world in enumerate(worlds)])
        studies.learn(np.take_along_axis(groups, np.argsort(ranks, axis=1), axis=1))
    return float(np.mean([kendall_tau(w.skills, m) for w, m in zip(worlds, studies.mean, strict=True)]))


def test_the_default_orders_better_than_as_many_votes_on_random_groups():
    designed, random = mean_tau(explore=0.02), mean_tau(explore=1.0)

    assert 1.0 - designed < 0.85 * (1.0 - random)


def test_watching_can_end_a_study():
    rng = np.random.default_rng(0)
    run = play(gauss(5, rng), 100, 2, rng, watch=lambda run: len(run.groups) == 7)

    assert len(run.groups) == len(run.ranks) == len(run.voters) == 7


def test_tau_counts_pairs():
    truth = np.array([3.0, 2.0, 1.0])

    assert kendall_tau(truth, truth) == 1.0
    assert kendall_tau(truth, -truth) == -1.0
    assert kendall_tau(truth, np.array([3.0, 1.0, 2.0])) == pytest.approx(1 / 3)


def test_neighbours_closer_than_the_gap_do_not_count():
    truth = np.array([0.0, 0.01, 1.0, 2.0])
    estimate = np.array([0.1, 0.0, 2.0, 1.0])

    assert neighbours_in_order(truth, estimate, gap=0.05) == pytest.approx(0.5)


def test_a_goal_counts_from_where_it_holds_to_the_end():
    assert settled_at([1, 2, 3, 4], [True, False, True, True]) == 3
    assert settled_at([1, 2], [True, False]) is None
