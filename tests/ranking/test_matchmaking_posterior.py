"""The posterior after votes: shapes, meaning, and agreement with slow honest integration."""

from itertools import permutations

import numpy as np
import pytest

from ranking.matchmaking import Posterior
from ranking.matchmaking.information import difference_variance
from ranking.matchmaking.weak_order import derivatives, pattern


def board(n: int = 5, votes: int = 40, seed: int = 1) -> Posterior:
    rng = np.random.default_rng(seed)
    posterior = Posterior.prior(n)
    for _ in range(votes):
        group = rng.choice(n, size=min(3, n), replace=False)
        noisy = -group + rng.gumbel(size=len(group))
        posterior = posterior.updated(group.tolist(), (1 + np.argsort(np.argsort(-noisy))).tolist())
    return posterior


def test_a_win_raises_the_winner_and_lowers_the_loser_by_as_much():
    before = Posterior.prior(3)

    after = before.updated([2, 0], [1, 2])

    assert after.mean[2] == pytest.approx(-after.mean[0])
    assert after.mean[2] > 0
    assert after.mean[1] == 0.0
    assert after.counts.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert before.mean.tolist() == [0.0, 0.0, 0.0]  # the old posterior is untouched
    assert before.counts.sum() == 0


def test_one_vote_on_two_agrees_with_integration_on_a_grid():
    grid = np.linspace(-6, 6, 601)
    one, two = np.meshgrid(grid, grid, indexing="ij")
    likelihood = 0.95 / (1 + np.exp(two - one)) + 0.05 / 2
    density = np.exp(-(one**2 + two**2) / 2) * likelihood
    density /= density.sum()
    exact = np.array([(density * one).sum(), (density * two).sum()])

    after = Posterior.prior(2, sd=1.0, lapse=0.05).updated([0, 1], [1, 2])

    # The Laplace step finds the mode; for a skewed density it lies within a tenth of the mean.
    assert np.abs(after.mean - exact).max() < 0.1
    spread = np.array([(density * (one - exact[0]) ** 2).sum(), (density * (two - exact[1]) ** 2).sum()])
    assert np.abs(np.diag(after.covariance) - spread).max() < 0.08


def test_a_tie_pulls_together_and_moves_nobody_who_is_level():
    level = Posterior.prior(2).updated([0, 1], [1, 1])
    assert np.abs(level.mean).max() < 1e-9
    assert difference_variance(level.covariance)[0, 1] < 2.0  # yet something was learnt

    apart = Posterior.prior(2).updated([0, 1], [1, 2]).updated([0, 1], [1, 2])
    tied = apart.updated([0, 1], [3, 3])
    assert 0.0 < tied.mean[0] < apart.mean[0]


def test_unranked_contestants_fall_below_the_ranked_and_stay_level_with_each_other():
    after = Posterior.prior(4).updated([3, 1, 0, 2], [1, None, None, None])

    assert after.mean[3] > 0 > after.mean[0]
    assert after.mean[0] == pytest.approx(after.mean[1])
    assert after.mean[1] == pytest.approx(after.mean[2])


def test_a_vote_that_ranks_nobody_teaches_nothing_but_is_counted():
    after = Posterior.prior(3).updated([0, 1, 2], [None, None, None])

    assert np.abs(after.mean).max() == 0.0
    assert np.array_equal(after.covariance, np.eye(3))
    assert after.shown.tolist() == [1, 1, 1]


def test_relabelling_the_contestants_relabels_the_posterior():
    for shuffle in permutations(range(4)):
        plain = Posterior.prior(4)
        moved = Posterior.prior(4)
        for group, ranks in [([0, 1, 2], [1, 2, 2]), ([3, 1], [1, 2]), ([0, 3, 2, 1], [2, None, 1, 3])]:
            plain = plain.updated(group, ranks)
            moved = moved.updated([shuffle[i] for i in group], ranks)
        assert np.allclose(plain.mean, moved.mean[list(shuffle)], atol=1e-9)
        assert np.allclose(plain.covariance, moved.covariance[np.ix_(shuffle, shuffle)], atol=1e-9)


def test_the_order_of_the_slots_does_not_matter():
    one = Posterior.prior(4).updated([0, 1, 2, 3], [2, 1, None, 2])
    other = Posterior.prior(4).updated([3, 2, 1, 0], [2, None, 1, 2])

    assert np.allclose(one.mean, other.mean, atol=1e-9)
    assert np.allclose(one.covariance, other.covariance, atol=1e-9)


def test_updates_keep_the_covariance_positive_and_shrinking():
    posterior = board(votes=0)
    for seed in range(8):
        following = board(votes=25 * (seed + 1), seed=3)
        assert np.linalg.eigvalsh(following.covariance).min() > 0
        assert np.allclose(following.covariance, following.covariance.T, atol=1e-12)
        assert np.trace(following.covariance) < np.trace(posterior.covariance)
        posterior = following


def test_expecting_lowers_the_variance_and_leaves_the_mean():
    before = board()
    after = before.expecting([(0, 1, 2), (0, 3)])

    assert np.array_equal(after.mean, before.mean)
    assert difference_variance(after.covariance)[0, 1] < difference_variance(before.covariance)[0, 1]
    assert after.counts[0, 3] == before.counts[0, 3] + 1
    assert np.linalg.eigvalsh(after.covariance).min() > 0


def test_new_contestants_start_from_the_prior_and_change_nobody_else():
    before = board()
    after = before.extended(2)

    assert after.n == before.n + 2
    assert np.array_equal(after.mean[: before.n], before.mean)
    assert np.array_equal(after.covariance[: before.n, : before.n], before.covariance)
    assert after.mean[before.n :].tolist() == [0.0, 0.0]
    assert after.covariance[-1, -1] == pytest.approx(before.prior_sd**2)
    assert after.updated([before.n, 0], [1, 2]).mean[before.n] > 0


def test_refit_agrees_with_the_updates_when_the_prior_is_the_same():
    rng = np.random.default_rng(7)
    groups, ranks = [], []
    online = Posterior.prior(6, sd=1.0, lapse=0.05)
    for _ in range(300):
        group = rng.choice(6, size=3, replace=False).tolist()
        noisy = [0.4 * i + rng.gumbel() for i in group]
        vote = (1 + np.argsort(np.argsort(-np.array(noisy)))).tolist()
        groups.append(group)
        ranks.append(vote)
        online = online.updated(group, vote)

    refitted = Posterior.refit(6, groups, ranks, sd=1.0, lapse=0.05)

    assert np.abs(online.mean - refitted.mean).max() < 0.05
    assert np.allclose(np.diag(online.covariance), np.diag(refitted.covariance), rtol=0.15)
    assert np.array_equal(online.counts, refitted.counts)
    assert np.array_equal(online.shown, refitted.shown)


def test_refit_starts_from_an_older_board_with_fewer_contestants():
    groups, ranks = [[0, 1, 2], [2, 3], [1, 0]] * 10, [[1, 2, 2], [1, 2], [1, 2]] * 10

    fresh = Posterior.refit(5, groups, ranks)
    warm = Posterior.refit(5, groups, ranks, start=board(n=3))

    assert np.allclose(fresh.mean, warm.mean, atol=1e-3)
    assert fresh.prior_sd == pytest.approx(warm.prior_sd, rel=0.01)
    assert fresh.mean[4] == pytest.approx(0.0, abs=1e-9)  # never shown, so nothing is known


def test_a_large_tie_is_close_to_all_its_orders():
    rng = np.random.default_rng(0)
    strengths = rng.normal(size=7) * 0.5
    everyone = pattern((1,) * 7)  # summed by expectation: more than LARGEST_EXACT_TIE
    strict = pattern(tuple(range(1, 8)))
    orders = np.array([rng.permutation(7) for _ in range(4000)])

    value, gradient, _ = derivatives(strengths, everyone)
    each, each_gradient, _ = derivatives(strengths[orders], strict)
    mean_gradient = np.zeros(7)
    np.add.at(mean_gradient, orders, each_gradient / len(orders))

    assert value == pytest.approx(each.mean(), abs=0.2)
    assert np.allclose(gradient, mean_gradient, atol=0.15)


def test_refit_without_votes_is_the_prior():
    refitted = Posterior.refit(4, [], [])

    assert np.array_equal(refitted.mean, np.zeros(4))
    assert np.allclose(refitted.covariance, np.eye(4))


def test_the_prior_spread_is_learnt_from_the_votes():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=30) * 2.5
    groups = [rng.choice(30, size=4, replace=False).tolist() for _ in range(4000)]
    ranks = [(1 + np.argsort(np.argsort(-(truth[group] + rng.gumbel(size=4))))).tolist() for group in groups]

    refitted = Posterior.refit(30, groups, ranks, lapse=0.0)

    assert refitted.prior_sd == pytest.approx(np.std(truth), rel=0.1)
    assert np.abs(refitted.mean - (truth - truth.mean())).max() < 0.7  # three standard errors of the extremes


@pytest.mark.parametrize(
    ("group", "ranks", "fault"),
    [
        ([0, 0], [1, 2], "twice"),
        ([0, 9], [1, 2], "outside"),
        ([0, -1], [1, 2], "outside"),
        ([0, 1], [1], "ranks"),
        ([0], [1], "two"),
    ],
)
def test_a_vote_that_makes_no_sense_is_refused(group, ranks, fault):
    before = Posterior.prior(3)

    with pytest.raises(ValueError, match=fault):
        before.updated(group, ranks)
    with pytest.raises(ValueError, match=fault):
        Posterior.refit(3, [group], [ranks])

    assert before.shown.sum() == 0
