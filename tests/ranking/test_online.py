"""Online updates against printed numbers, the trueskill and openskill packages, and their own failures."""

from __future__ import annotations

from math import sqrt

import numpy as np
import openskill.models
import pytest
import trueskill

from ranking import BadVotes, Votes, fit
from ranking.online import (
    GLICKO_SCALE,
    ONLINE_MODELS,
    PRIOR_MEAN,
    PRIOR_SD,
    Ratings,
    _glicko_period,
    elo_update,
    in_order,
    ksort_update,
    plackett_luce_update,
    rate,
)
from ranking.trueskill import trueskill_update
from tests.ranking.worlds import NAMES, random_votes


def fresh(n):
    return Ratings([PRIOR_MEAN] * n, [PRIOR_SD] * n)


def test_trueskill_gives_the_printed_win_draw_and_free_for_all():
    assert np.round(np.transpose(trueskill_update([25, 25], [25 / 3] * 2, [0, 1])), 3).tolist()[0] == [
        29.396,
        7.171,
    ]
    assert np.round(np.transpose(trueskill_update([25, 25], [25 / 3] * 2, [0, 0])), 3).tolist()[0] == [
        25.0,
        6.458,
    ]
    four = np.round(np.transpose(trueskill_update([25] * 4, [25 / 3] * 4, [0, 1, 2, 3])), 3).tolist()
    assert four[0] == [33.207, 6.348]
    assert four[1] == [27.401, 5.787]


@pytest.mark.parametrize("levels", [[0, 1, 2], [2, 0, 0, 1], [0, 0], [1, 0], [0, 1, 1, 1, 4]])
def test_trueskill_agrees_with_the_trueskill_package(levels):
    rng = np.random.default_rng(len(levels))
    mean, sd = rng.normal(25, 4, len(levels)), rng.uniform(1, 8, len(levels))
    groups = [(trueskill.Rating(m, s),) for m, s in zip(mean, sd, strict=True)]
    expected = trueskill.TrueSkill(backend="scipy").rate(groups, ranks=levels, min_delta=1e-9)

    new_mean, new_sd = trueskill_update(mean.tolist(), sd.tolist(), levels)

    assert new_mean == pytest.approx([group[0].mu for group in expected], abs=1e-4)
    assert new_sd == pytest.approx([group[0].sigma for group in expected], abs=1e-4)


def test_trueskill_survives_an_extreme_upset():
    mean, sd = trueskill_update([0.0, 5000.0], [1.0, 1.0], [0, 1])

    assert np.isfinite(mean + sd).all()
    assert 100 < mean[0] < 200  # the posterior is pulled by 5000 times its share of the variance


@pytest.mark.parametrize("levels", [[0, 1, 2, 3], [3, 0, 1, 2]])
def test_plackett_luce_update_agrees_with_openskill(levels):
    model = openskill.models.PlackettLuce(tau=0.0)
    rng = np.random.default_rng(2)
    mean, sd = rng.normal(25, 4, 4), rng.uniform(4, 8, 4)
    teams = [[model.rating(mu=m, sigma=s)] for m, s in zip(mean, sd, strict=True)]
    expected = model.rate(teams, ranks=levels)
    ratings = Ratings(mean.tolist(), sd.tolist())

    plackett_luce_update(ratings, (range(4), levels, 1.0))

    assert ratings.mean == pytest.approx([team[0].mu for team in expected], rel=1e-6)
    assert ratings.sd == pytest.approx([team[0].sigma for team in expected], rel=1e-6)


def test_ksort_update_of_a_pair_is_equation_nine_and_ten():
    ratings = fresh(2)

    ksort_update(ratings, ([0, 1], [0, 1], 1.0))

    c = sqrt(2 * (25 / 6) ** 2 + 2 * PRIOR_SD**2)
    v = sqrt(2 / np.pi)  # phi(0) / Phi(0)
    assert ratings.mean == pytest.approx([25 + PRIOR_SD**2 / c * v, 25 - PRIOR_SD**2 / c * v])
    assert ratings.sd == pytest.approx([PRIOR_SD * sqrt(1 - PRIOR_SD**2 / c**2 * v * v)] * 2)


def test_ksort_bracket_turns_negative_for_four_and_is_floored():
    ratings = Ratings([40.0, 25.0, 25.0, 10.0], [PRIOR_SD] * 4)

    ksort_update(ratings, ([0, 1, 2, 3], [3, 1, 2, 0], 1.0))

    assert all(sd > 0 for sd in ratings.sd)
    assert min(ratings.sd) < 0.1  # the update as published is nearly certain after one upset


def test_elo_conserves_the_sum_and_halves_a_tie():
    ratings = Ratings([1000.0, 1100.0, 900.0], [0.0] * 3)

    elo_update(ratings, ([0, 1, 2], [0, 1, 1], 2.0))

    assert sum(ratings.mean) == pytest.approx(3000)
    even = Ratings([1000.0, 1000.0], [0.0] * 2)
    elo_update(even, ([0, 1], [0, 1], 1.0))
    assert even.mean == [1002.0, 998.0]
    elo_update(even, ([0, 1], [0, 0], 1.0))
    assert even.mean[0] < 1002.0


def test_glicko_gives_glickmans_own_example():
    # Glickman (2013), "Example of the Glicko-2 system": 1500, 200, .06 against 1400, 1550 and 1700.
    rivals = [(1400, 30, 1.0), (1550, 100, 0.0), (1700, 300, 0.0)]
    games = [((r - 1500) / GLICKO_SCALE, d / GLICKO_SCALE, won) for r, d, won in rivals]

    mean, deviation, volatility = _glicko_period(0.0, 200 / GLICKO_SCALE, 0.06, games, 0.5)

    assert round(1500 + GLICKO_SCALE * mean, 2) == 1464.05
    assert round(GLICKO_SCALE * deviation, 2) == 151.52
    assert round(volatility, 5) == 0.06


@pytest.mark.parametrize("method", ONLINE_MODELS)
def test_every_online_method_finds_a_clear_order_and_says_what_it_is(method):
    votes = random_votes(np.random.default_rng(3), 4, 600, 3, truth=[2.0, 0.7, -0.7, -2.0])

    found = fit(votes, model=method)

    assert np.argsort(-found.strengths).tolist() == [0, 1, 2, 3]
    assert found.method == method
    assert "depends on the order" in found.warnings[0]
    assert found.strengths.mean() == pytest.approx(0)
    assert found.log_likelihood < 0


def test_votes_stay_in_their_order_across_widths_and_counts():
    votes = Votes.from_rankings(
        NAMES[:4], [[0, 1, 2], [3, 1], [2, 1, 0]], [[1, 1, 2], [2, 1], [3, 2, 1]], counts=[1, 2, 1]
    )

    stream = [(list(items), list(levels)) for items, levels, _ in in_order(votes)]

    assert stream == [([0, 1, 2], [0, 0, 1]), ([3, 1], [1, 0]), ([3, 1], [1, 0]), ([0, 1, 2], [0, 1, 2])]


def test_unknown_online_methods_and_clusters_are_refused():
    votes = random_votes(np.random.default_rng(4), 3, 9, 2, voters=range(9))
    with pytest.raises(BadVotes, match="no online method"):
        rate(votes, "chess")
    with pytest.raises(BadVotes, match="elo has no scores"):
        fit(votes, model="elo", cluster="voter")
