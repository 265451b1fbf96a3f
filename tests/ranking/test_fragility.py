"""A claim of fragility is checked by doing it: take the votes away and fit again."""

from __future__ import annotations

import numpy as np
import pytest

from ranking import Votes, fit
from ranking.fragility import fragility
from tests.ranking.worlds import NAMES, random_rankings, random_votes


def without(groups, ranks, rows):
    kept = np.setdiff1d(np.arange(len(groups)), rows)
    return Votes.from_rankings(NAMES[:6], groups[kept], ranks[kept])


@pytest.mark.parametrize("grain", [None, 1.5])
def test_taking_the_named_votes_away_turns_the_pair_and_one_fewer_does_not(grain):
    groups, ranks = random_rankings(
        np.random.default_rng(1), 6, 400, 4, truth=[0.6, 0.5, 0.2, 0.0, -0.3, -1.0], grain=grain
    )
    votes = Votes.from_rankings(NAMES[:6], groups, ranks)

    flips = fragility(votes)

    assert len(flips) == 5
    for flip in flips:
        after = fit(without(groups, ranks, flip.rows))
        gap = after.strengths[after.index(flip.behind)] - after.strengths[after.index(flip.ahead)]
        assert gap > 0
        one_fewer = fit(without(groups, ranks, flip.rows[:-1]))
        assert (
            one_fewer.strengths[one_fewer.index(flip.behind)]
            <= one_fewer.strengths[one_fewer.index(flip.ahead)]
        )


def test_ten_wins_to_eight_turn_when_three_wins_go():
    votes = Votes.from_pairs(["A"] * 10 + ["B"] * 8, ["B"] * 10 + ["A"] * 8, ["model_a"] * 18)

    (flip,) = fragility(votes)

    assert (flip.ahead, flip.behind, flip.votes) == ("A", "B", 3)
    assert flip.share == pytest.approx(3 / 18)


def test_counted_pairs_need_as_many_votes_as_the_votes_one_by_one():
    rng = np.random.default_rng(2)
    votes = random_votes(rng, 5, 300, 2, truth=[0.5, 0.3, 0.0, -0.3, -0.5])
    one_by_one = random_votes(
        np.random.default_rng(2), 5, 300, 2, truth=[0.5, 0.3, 0.0, -0.3, -0.5], weights=np.ones(300)
    )

    assert [flip.votes for flip in fragility(votes)] == [flip.votes for flip in fragility(one_by_one)]


def test_no_votes_and_one_model_have_nothing_to_turn():
    assert fragility(Votes.from_pairs([], [], [], models=["A", "B"])) == []
    assert fragility(Votes.from_pairs([], [], [], models=["A"])) == []
