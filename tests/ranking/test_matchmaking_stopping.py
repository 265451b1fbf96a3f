"""The stopping view: what is settled needs nothing, what is not needs votes that then settle it."""

import numpy as np
import pytest

from ranking.matchmaking import Posterior, votes_needed
from ranking.simulate import World, play


def certain(gap: float = 2.0, n: int = 4, variance: float = 0.01) -> Posterior:
    plain = Posterior.prior(n)
    return Posterior(-gap * np.arange(n), np.eye(n) * variance, plain.counts, plain.shown, 0.05, 1.0)


@pytest.mark.parametrize("goal", ["top", "width", "order"])
def test_a_settled_board_needs_no_more_votes(goal):
    outlook = votes_needed(certain(), 2, np.random.default_rng(0), goal=goal)

    assert outlook.met
    assert (outlook.low, outlook.votes, outlook.high) == (0, 0, 0)


@pytest.mark.parametrize("goal", ["top", "width", "order"])
def test_an_open_board_needs_votes_and_says_a_range(goal):
    outlook = votes_needed(Posterior.prior(6), 3, np.random.default_rng(0), goal=goal)

    assert not outlook.met
    assert outlook.votes is not None
    assert outlook.low is not None
    assert 0 < outlook.low <= outlook.votes
    assert outlook.high is None or outlook.high >= outlook.votes


def test_a_finer_width_needs_about_as_many_more_votes_as_the_square_says():
    wide, fine = (
        votes_needed(Posterior.prior(8), 2, np.random.default_rng(0), goal="width", half_width=width).votes
        for width in (0.2, 0.1)
    )

    assert wide is not None
    assert fine is not None
    assert 3.0 < fine / wide < 5.5


def test_more_contestants_in_a_battle_need_fewer_battles():
    pairs, fours = (
        votes_needed(Posterior.prior(8), k, np.random.default_rng(0), goal="width", half_width=0.2).votes
        for k in (2, 4)
    )

    assert pairs is not None
    assert fours is not None
    assert fours < pairs / 2


def test_equal_leaders_are_not_promised_an_answer():
    level = certain(gap=0.0, n=3, variance=1e-4)
    outlook = votes_needed(level, 2, np.random.default_rng(0), goal="top", limit=2000)

    assert not outlook.met
    assert outlook.high is None


def test_the_forecast_of_the_width_comes_true():
    rng = np.random.default_rng(4)
    world = World(np.linspace(-1.0, 1.0, 6), lapse=0.0)
    early = play(world, 60, 3, rng, aim="width", start=Posterior.prior(6, lapse=0.0)).posterior
    forecast = votes_needed(early, 3, rng, goal="width", half_width=0.2).votes
    assert forecast is not None

    later = play(world, forecast, 3, rng, aim="width", start=early, refit_growth=None).posterior
    after = votes_needed(later, 3, rng, goal="width", half_width=0.2)

    assert after.reached == pytest.approx(0.2, rel=0.15)


def test_a_question_without_sense_is_refused():
    with pytest.raises(ValueError, match="top, width, order"):
        votes_needed(certain(), 2, np.random.default_rng(0), goal="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="top 4 of 4"):
        votes_needed(certain(), 2, np.random.default_rng(0), top=4)
