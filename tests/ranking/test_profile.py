"""Profile intervals agree with Wald's where the likelihood is a parabola and are honest where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from ranking import Votes, fit
from ranking.profile import profile_interval
from tests.ranking.worlds import NAMES, random_votes


@pytest.mark.parametrize(("k", "grain"), [(2, None), (3, 1.0)])
def test_with_many_votes_profile_and_wald_agree(k, grain):
    votes = random_votes(np.random.default_rng(1), 4, 2000, k, grain=grain)
    found = fit(votes, covariance="model")

    for place in range(4):
        lower, upper = profile_interval(votes, place)
        reach = 1.96 * found.standard_errors[place]
        assert lower == pytest.approx(found.strengths[place] - reach, abs=0.05 * reach)
        assert upper == pytest.approx(found.strengths[place] + reach, abs=0.05 * reach)


def test_three_wins_of_three_are_open_upwards():
    votes = Votes.from_pairs(["A"] * 3, ["B"] * 3, ["model_a"] * 3)

    lower, upper = profile_interval(votes, "A", prior="none")

    # 2 * 3 * log(1 / p) = 3.84 at p = .527: the lower end is half the log odds of that.
    p = np.exp(-3.841459 / 6)
    assert lower == pytest.approx(0.5 * np.log(p / (1 - p)), abs=1e-3)
    assert upper == np.inf


def test_ghosts_close_the_interval_and_leave_it_lopsided():
    votes = Votes.from_pairs(["A"] * 3, ["B"] * 3, ["model_a"] * 3)

    lower, upper = profile_interval(votes, "A")

    best = fit(votes).strengths[0]
    assert np.isfinite(upper)
    assert upper - best > 1.2 * (best - lower)
    assert NAMES[0] not in votes.models
