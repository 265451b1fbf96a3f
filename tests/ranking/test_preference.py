"""Circles are found where they are, and not where chance draws them."""

from __future__ import annotations

import numpy as np
import pytest

from ranking import BadVotes, Votes
from ranking.preference import compare_preference, cycles, fit_preference, minimax, win_table
from tests.ranking.worlds import NAMES, random_votes

ROCK_PAPER_SCISSORS = np.array([[0.5, 0.2, 0.8], [0.8, 0.5, 0.2], [0.2, 0.8, 0.5]])


def circle(rng, votes=900):
    first = rng.integers(0, 3, votes)
    second = (first + rng.integers(1, 3, votes)) % 3
    won = rng.random(votes) < ROCK_PAPER_SCISSORS[first, second]
    return Votes.from_pairs(first, second, np.where(won, 0, 1), models=["rock", "paper", "scissors"])


def test_rock_paper_scissors_is_a_circle_and_has_an_even_mixture():
    votes = circle(np.random.default_rng(1))

    (found,) = cycles(votes)
    assert found.models == ("rock", "scissors", "paper")
    assert found.z > 3
    assert compare_preference(votes).better
    fitted = fit_preference(votes)
    assert fitted.unbeatable() == pytest.approx([1 / 3] * 3, abs=0.08)
    assert fitted.logits == pytest.approx(-fitted.logits.T)
    assert 1 / (1 + np.exp(-fitted.logits)) == pytest.approx(ROCK_PAPER_SCISSORS, abs=0.08)


def test_a_line_has_no_circles_and_needs_no_cyclic_part():
    votes = random_votes(np.random.default_rng(2), 8, 4000, 2, truth=np.linspace(0.6, -0.6, 8))

    assert cycles(votes) == []
    assert not compare_preference(votes).better
    line = fit_preference(votes, rank=0)
    assert line.unbeatable()[line.strengths.argmax()] == pytest.approx(1)


def test_chance_draws_circles_in_raw_counts_that_do_not_survive():
    votes = random_votes(np.random.default_rng(3), 10, 900, 2)
    raw = win_table(votes)
    beats = raw > raw.T

    assert np.trace(np.linalg.matrix_power(beats.astype(int), 3)) > 0
    assert cycles(votes) == []


def test_the_minimax_winner_is_the_condorcet_winner_when_there_is_one():
    preferred = np.array([[0.5, 0.6, 0.55], [0.4, 0.5, 0.9], [0.45, 0.1, 0.5]])

    assert minimax(preferred) == pytest.approx([1, 0, 0])


def test_rankings_count_as_their_pairs():
    votes = Votes.from_rankings(NAMES[:4], [[0, 1, 2, 3]], [[1, 2, 2, None]], weights=[2.0])

    assert win_table(votes).tolist() == [[0, 2, 2, 2], [0, 0, 1, 2], [0, 1, 0, 2], [0, 0, 0, 0]]
    with pytest.raises(BadVotes, match="at least 10 votes"):
        compare_preference(votes)
