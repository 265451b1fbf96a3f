"""Drawing battles: who may come, with what probability, and what the default prefers."""

from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest

from ranking.matchmaking import STRATEGIES, NotEnoughContestants, Posterior, choose, stakes
from ranking.matchmaking.information import ASKED_FOR_TAU, group_worth, pair_weights, pair_worth
from ranking.matchmaking.weak_order import derivatives, expected_information, pattern


def played(n: int = 6, votes: int = 30, k: int = 3) -> Posterior:
    rng = np.random.default_rng(5)
    posterior = Posterior.prior(n)
    for _ in range(votes):
        group = rng.choice(n, size=k, replace=False)
        noisy = -group + rng.gumbel(size=k)
        posterior = posterior.updated(group.tolist(), (1 + np.argsort(np.argsort(-noisy))).tolist())
    return posterior


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("k", [2, 3, 4])
def test_every_strategy_works_from_the_first_vote_on(strategy, k):
    rng = np.random.default_rng(0)
    posterior = Posterior.prior(5)
    for _ in range(12):
        choice = choose(posterior, k, rng, strategy=strategy)
        assert len(set(choice.group)) == k
        assert choice.group == tuple(sorted(choice.group))
        assert 0.0 < choice.propensity <= 1.0
        assert choice.strategy == strategy
        posterior = posterior.updated(choice.group, list(range(1, k + 1)))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_contestants_can_only_meet_each_other(strategy):
    choice = choose(Posterior.prior(2), 2, np.random.default_rng(0), strategy=strategy)

    assert choice.group == (0, 1)
    assert choice.propensity == pytest.approx(1.0)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("weights", [None, [1, 2, 1, 1, 3, 1]])
def test_the_propensity_is_the_frequency_with_which_the_set_is_drawn(strategy, weights):
    posterior = played()
    rng = np.random.default_rng(11)
    draws = 600
    frequency = Counter(
        choose(posterior, 3, rng, strategy=strategy, weights=weights, with_propensity=False).group
        for _ in range(draws)
    )
    stated = {}
    for _ in range(60):
        choice = choose(posterior, 3, rng, strategy=strategy, weights=weights)
        stated[choice.group] = choice.propensity

    assert sum(stated.values()) <= 1.0 + 1e-9
    for group, propensity in stated.items():
        noise = np.sqrt(propensity * (1 - propensity) / draws)
        assert abs(frequency[group] / draws - propensity) < 4.5 * noise + 1e-9


def test_random_draws_every_group_alike():
    choice = choose(Posterior.prior(7), 3, np.random.default_rng(0), strategy="random")

    assert choice.propensity == pytest.approx(1 / 35)


def test_uniform_shows_everyone_equally_often():
    rng = np.random.default_rng(2)
    posterior = Posterior.prior(7)
    for _ in range(35):
        choice = choose(posterior, 3, rng, strategy="uniform")
        posterior = posterior.updated(choice.group, [1, 2, 3])

    assert set(posterior.shown.tolist()) == {15}


def test_ksort_takes_the_contestant_met_least_as_pivot():
    posterior = played().extended(1)
    choice = choose(posterior, 3, np.random.default_rng(0), strategy="ksort", explore=0.0)

    assert 6 in choice.group


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_those_who_are_not_available_or_have_no_weight_never_come(strategy):
    rng = np.random.default_rng(3)
    available = np.array([True, True, False, True, True, True])
    weights = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    for _ in range(60):
        choice = choose(played(), 3, rng, strategy=strategy, available=available, weights=weights)
        assert not {2, 3} & set(choice.group)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_excluded_pairs_never_meet(strategy):
    rng = np.random.default_rng(4)
    posterior = played()
    for _ in range(60):
        choice = choose(posterior, 3, rng, strategy=strategy, exclude=[(0, 1), (4, 5), (2, 3)])
        assert not {(0, 1), (4, 5), (2, 3)} & set(combinations(choice.group, 2))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_too_few_contestants_is_said_in_one_sentence(strategy):
    with pytest.raises(NotEnoughContestants, match="needs 3 contestants, but only 2") as caught:
        choose(
            played(),
            3,
            np.random.default_rng(0),
            strategy=strategy,
            available=[True, True, False, False, False, False],
        )
    assert str(caught.value).count(".") == 1


def test_exclusions_that_leave_no_group_are_said_so():
    with pytest.raises(NotEnoughContestants, match="may meet"):
        choose(Posterior.prior(3), 3, np.random.default_rng(0), exclude=[(0, 1)])


def test_unknown_strategy_and_aim_name_the_accepted_ones():
    with pytest.raises(ValueError, match="information, random"):
        choose(Posterior.prior(3), 2, np.random.default_rng(0), strategy="best")
    with pytest.raises(ValueError, match="order, top, newcomers, width"):
        choose(Posterior.prior(3), 2, np.random.default_rng(0), aim="bottom")  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [0, 1, 11])
def test_a_battle_of_a_size_nobody_can_judge_is_refused(k):
    with pytest.raises(ValueError, match="2 to 10"):
        choose(Posterior.prior(20), k, np.random.default_rng(0))


def test_the_same_seed_draws_the_same_battles():
    def groups(seed: int) -> list[tuple[int, ...]]:
        rng = np.random.default_rng(seed)
        return [choose(played(), 4, rng, with_propensity=False).group for _ in range(20)]

    assert groups(1) == groups(1)
    assert groups(1) != groups(2)


def test_exploration_keeps_every_group_possible():
    posterior = played(votes=400)
    rng = np.random.default_rng(0)
    seen = {choose(posterior, 2, rng, explore=0.5, with_propensity=False).group for _ in range(600)}

    assert len(seen) == 15


def clear_but_for(doubtful: tuple[int, int]) -> Posterior:
    """Six contestants two apart, all orders clear but that of one level pair."""
    mean = -2.0 * np.arange(6.0)
    mean[doubtful[1]] = mean[doubtful[0]]
    posterior = Posterior.prior(6)
    return Posterior(mean, np.eye(6) * 0.05, posterior.counts, posterior.shown, 0.05, 1.0)


@pytest.mark.parametrize("doubtful", [(0, 1), (2, 3), (4, 5)])
def test_the_default_asks_about_the_pair_whose_order_is_in_doubt(doubtful):
    rng = np.random.default_rng(0)

    for _ in range(20):
        assert choose(clear_but_for(doubtful), 2, rng, explore=0.0).group == doubtful


def level(n: int = 8) -> Posterior:
    """A ladder with equal doubt everywhere."""
    posterior = Posterior.prior(n)
    return Posterior(-0.2 * np.arange(n), np.eye(n) * 0.04, posterior.counts, posterior.shown, 0.05, 1.0)


def test_aiming_at_the_top_asks_more_about_the_leaders():
    rng = np.random.default_rng(0)
    means = {
        aim: np.mean([choose(level(), 2, rng, aim=aim, explore=0.0).group for _ in range(80)])
        for aim in ("order", "top")
    }

    assert means["top"] < 1.5 < means["order"]


def test_newcomers_first_shows_the_newcomer_in_every_battle():
    rng = np.random.default_rng(0)
    posterior = level().extended(1)

    for _ in range(30):
        assert 8 in choose(posterior, 3, rng, aim="newcomers", explore=0.0).group


def test_a_battle_in_flight_is_worth_less_asked_again():
    rng = np.random.default_rng(0)
    posterior = level(12)
    for _ in range(6):
        group = np.array(choose(posterior, 3, rng, explore=0.0).group)
        block = np.ix_(group, group)
        ahead = posterior.expecting([group.tolist()])
        now, again = (
            float(group_worth(p.mean[group], p.covariance[block], stakes(p)[block], p.lapse))
            for p in (posterior, ahead)
        )
        assert again < now
        posterior = ahead


def test_voters_at_the_same_moment_are_spread_over_the_board():
    rng = np.random.default_rng(0)
    posterior = level(12)
    shown = set()
    for _ in range(12):
        choice = choose(posterior, 2, rng, explore=0.0)
        shown |= set(choice.group)
        posterior = posterior.expecting([choice.group])

    assert len(shown) >= 10


@pytest.mark.parametrize("lapse", [0.0, 0.05, 0.3])
def test_the_worth_of_a_pair_is_that_of_a_group_of_two(lapse):
    posterior = played()
    stake = stakes(posterior)
    pairs = pair_worth(posterior.mean, posterior.covariance, stake, lapse)
    for one, other in combinations(range(6), 2):
        both = np.ix_([one, other], [one, other])
        group = group_worth(posterior.mean[[one, other]], posterior.covariance[both], stake[both], lapse)
        assert pairs[one, other] == pytest.approx(float(group), rel=1e-9)


def test_expected_information_is_the_mean_over_all_orders():
    strengths = np.array([0.7, -0.1, 0.2, -1.3])
    expected = np.zeros((4, 4))
    for order in permutations(range(4)):
        value, gradient, _ = derivatives(strengths[list(order)], pattern((1, 2, 3, 4)))
        local = np.zeros(4)
        local[list(order)] = gradient
        expected += np.exp(value) * np.outer(local, local)

    assert np.allclose(expected_information(strengths), expected, atol=1e-12)


def test_the_worth_of_a_group_is_the_doubt_it_removes():
    posterior = played()
    weight = pair_weights(posterior.mean, posterior.covariance)
    laplacian = np.diag(weight.sum(axis=1)) - weight
    group = [0, 2, 5]
    block = np.ix_(group, group)
    worth = group_worth(posterior.mean[group], posterior.covariance[block], stakes(posterior)[block], 0.05)

    after = posterior.expecting([group])

    removed = np.trace(laplacian @ posterior.covariance) - np.trace(laplacian @ after.covariance)
    assert float(worth) == pytest.approx(removed, rel=1e-9)


def test_pairs_as_clear_as_numbers_can_say_are_worth_nothing_and_never_nan():
    mean = np.array([0.0, 500.0, 1000.0])

    worth = pair_worth(mean, np.eye(3), np.eye(3), 0.0)

    assert np.isfinite(worth).all()
    assert worth[0, 2] == 0.0


def with_a_crowd(others):
    """Five equals, two other equals, and `others` whom everybody is told from; all known to 0.1."""
    mean = np.concatenate([np.zeros(5), np.full(2, 20.0), 40.0 + 10.0 * np.arange(others)])
    return mean, 0.01 * np.eye(len(mean))


def test_once_the_order_is_clear_a_crowd_weighs_no_more_than_a_lone_pair():
    mean, covariance = with_a_crowd(others=40)

    weight = pair_weights(mean, covariance)

    assert weight[5, 6] == pytest.approx(4.0 * weight[0, 1])  # each of the five has four others
    assert weight[:5, :5].sum() / 5 == pytest.approx(weight[5:7, 5:7].sum() / 2)


@pytest.mark.parametrize(("others", "aim"), [(3, "order"), (40, "newcomers")])
def test_before_that_and_for_other_aims_all_pairs_in_doubt_weigh_alike(others, aim):
    mean, covariance = with_a_crowd(others)

    weight = pair_weights(mean, covariance, aim)

    assert weight[5, 6] == pytest.approx(weight[0, 1])


def test_a_few_of_a_large_board_tell_how_clear_its_order_is():
    mean, covariance = with_a_crowd(others=3 * ASKED_FOR_TAU)

    weight = pair_weights(mean, covariance)

    assert weight[5, 6] == pytest.approx(4.0 * weight[0, 1])
