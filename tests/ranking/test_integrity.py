"""The evidence against voters: by hand, by enumeration, and its promise about the honest."""

from itertools import permutations

import numpy as np
import pytest

from ranking.errors import BadVotes
from ranking.integrity import HONEST_SKIPS, assess, skip_evidence
from ranking.simulate import World
from ranking.surplus import scores


def plackett_luce(theta, order):
    left, probability = list(order), 1.0
    while len(left) > 1:
        weights = np.exp(theta[left])
        probability *= weights[0] / weights.sum()
        left.pop(0)
    return probability


def test_expectation_variance_and_slope_are_those_of_every_order_counted_through():
    theta = np.array([0.7, -0.2, 0.1, -0.6])
    mean, square = np.zeros(4), np.zeros(4)
    for order in permutations(range(4)):
        beaten = np.empty(4)
        beaten[list(order)] = np.arange(3, -1, -1) / 3
        chance = plackett_luce(theta, order)
        mean, square = mean + chance * beaten, square + chance * beaten**2

    found = scores([[0, 1, 2, 3]], [[1, 2, 3, 4]], [0], theta)

    np.testing.assert_allclose(np.array([3, 2, 1, 0]) / 3 - found.surplus, mean, rtol=1e-12)
    np.testing.assert_allclose(found.variance, square - mean**2, rtol=1e-12)


def test_a_vote_for_the_best_only_counts_as_a_choice_among_all():
    theta = np.log([1.0, 2.0, 5.0])

    found = scores([[0, 1, 2]], [[None, 1, None]], [0], theta)

    np.testing.assert_allclose(found.surplus, [-1 / 8, 1 - 2 / 8, -5 / 8])
    np.testing.assert_allclose(found.variance, [7 / 64, 12 / 64, 15 / 64])


def world_of_votes(seed, votes=3000, voters=60, k=3, n=8):
    rng = np.random.default_rng(seed)
    world = World(rng.normal(size=n) * 0.5)
    groups = np.array([rng.choice(n, k, replace=False) for _ in range(votes)])
    return world, groups, world.votes(groups, rng), rng.integers(voters, size=votes)


def test_naming_the_contestants_otherwise_changes_nothing():
    world, groups, ranks, voters = world_of_votes(1)
    other = np.random.default_rng(2).permutation(world.n)
    before = assess(groups.tolist(), ranks.tolist(), voters, world.skills, voter_count=60)

    skills = np.empty(world.n)
    skills[other] = world.skills
    after = assess(other[groups].tolist(), ranks.tolist(), voters, skills, voter_count=60)

    np.testing.assert_allclose(after.total, before.total, rtol=1e-9)
    assert (after.favourite == other[before.favourite]).all()


def test_of_honest_voters_the_mean_e_value_is_at_most_about_one():
    values = []
    for seed in range(6):
        world, groups, ranks, voters = world_of_votes(seed, votes=6000, voters=400)
        found = assess(groups.tolist(), ranks.tolist(), voters, world.skills, voter_count=400)
        values.append(np.stack(list(found.evidence.values())))

    means = np.exp(np.concatenate(values, axis=1)).mean(axis=1)
    assert (means <= 1.25).all(), means


def test_who_always_takes_the_first_slot_is_found_and_the_slot_is_named():
    world, groups, ranks, voters = world_of_votes(3)
    mine = voters == 7
    ranks[mine] = [1, 2, 3]

    found = assess(groups.tolist(), ranks.tolist(), voters, world.skills, voter_count=60)

    assert found.suspects().tolist() == [7]
    assert found.slot[7] == 0
    assert found.evidence["position"][7] == max(test[7] for test in found.evidence.values())


def test_who_favours_one_contestant_is_found_and_it_is_named():
    world, groups, ranks, voters = world_of_votes(4, voters=30)
    for row in np.flatnonzero((voters == 5) & (groups == 2).any(axis=1)):
        ranks[row] = np.where(groups[row] == 2, 1, 2)

    found = assess(groups.tolist(), ranks.tolist(), voters, world.skills, voter_count=30)

    assert found.suspects().tolist() == [5]
    assert (found.favourite[5], found.favour_z[5] > 3) == (2, True)


def test_who_votes_against_everybody_is_found_by_the_likelihood():
    world, groups, ranks, voters = world_of_votes(5)
    mine = voters == 9
    ranks[mine] = 4 - ranks[mine]

    found = assess(groups.tolist(), ranks.tolist(), voters, world.skills, voter_count=60)

    assert 9 in found.suspects()
    assert found.likelihood_z[9] < -3


def test_skipping_up_to_the_honest_share_is_no_evidence():
    served = np.array([10.0, 100.0, 1000.0, 200.0])
    skipped = np.array([4.0, 40.0, 400.0, 170.0])

    found = skip_evidence(served, skipped)

    assert (found[:3] <= 0.0).all()
    assert found[3] > np.log(1000)
    assert HONEST_SKIPS == 0.4


def test_nobodys_votes_are_no_evidence():
    found = assess([], [], [], [0.0, 0.0], voter_count=2)

    assert found.suspects().tolist() == []
    np.testing.assert_allclose(found.total, 0.0, atol=1e-9)


def test_rankings_that_do_not_belong_to_the_groups_are_refused():
    with pytest.raises(BadVotes, match="2 groups but 1 rankings"):
        assess([[0, 1], [0, 1]], [[1, 2]], [0, 0], [0.0, 0.0], voter_count=1)
