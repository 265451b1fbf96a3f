"""Drawing battles: who may come, with what probability, and what the default prefers."""

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest

from ranking.matchmaking import STRATEGIES, NotEnoughContestants, Posterior, choose


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
    draws = 1200
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


def test_voters_at_the_same_moment_are_not_asked_the_same():
    rng = np.random.default_rng(0)
    posterior = level(12)
    together = []
    for _ in range(6):
        choice = choose(posterior, 2, rng, explore=0.0)
        together.append(choice.group)
        posterior = posterior.expecting([choice.group])

    assert all(one != following for one, following in pairwise(together))
