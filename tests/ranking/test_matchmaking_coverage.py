"""Spreading battles over prompts."""

import numpy as np
import pytest

from ranking.matchmaking import NoPromptLeft, choose_prompt, coverage


def test_battles_go_round_all_prompts_before_one_comes_again():
    shown = np.zeros((5, 3), dtype=int)
    rng = np.random.default_rng(0)
    used = []
    for _ in range(5):
        choice = choose_prompt(shown, [0, 2], rng)
        shown[choice.prompt, [0, 2]] += 1
        used.append(choice.prompt)

    assert sorted(used) == [0, 1, 2, 3, 4]
    assert shown[:, 1].sum() == 0


def test_the_propensity_counts_the_prompts_that_tie():
    shown = np.array([[1, 1], [0, 0], [0, 0], [2, 0]])

    choice = choose_prompt(shown, [0, 1], np.random.default_rng(0))

    assert choice.prompt in (1, 2)
    assert choice.propensity == pytest.approx(0.5)


def test_prompts_without_a_response_or_seen_by_the_voter_are_left_out():
    shown = np.zeros((4, 2), dtype=int)
    answered = np.array([[True, True], [True, False], [True, True], [True, True]])
    seen = np.array([True, False, False, False])
    rng = np.random.default_rng(0)

    drawn = {choose_prompt(shown, [0, 1], rng, answered=answered, seen=seen).prompt for _ in range(40)}

    assert drawn == {2, 3}


def test_no_prompt_left_is_said_in_one_sentence():
    with pytest.raises(NoPromptLeft, match="No prompt is left"):
        choose_prompt(np.zeros((2, 2)), [0, 1], np.random.default_rng(0), seen=[True, True])


def test_coverage_tells_even_use_from_one_prompt_used_over_and_over():
    even = np.ones((4, 1))
    one = np.array([[4.0], [0.0], [0.0], [0.0]])

    assert coverage(even).effective[0] == pytest.approx(4.0)
    assert coverage(even).share[0] == 1.0
    assert coverage(one).effective[0] == pytest.approx(1.0)
    assert coverage(one).unused.tolist() == [1, 2, 3]


def test_coverage_of_nothing_is_nothing():
    empty = coverage(np.zeros((3, 2)))

    assert empty.effective.tolist() == [0.0, 0.0]
    assert empty.unused.tolist() == [0, 1, 2]
