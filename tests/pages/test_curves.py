"""The charts of a training run: what is drawn, where, and in which words."""

from math import nan

import pytest

from arena.views.curves import KINDS, STYLES, Kind, chart, charts_beside, charts_of

PLAIN = Kind("Loss", "Lower is better.", (("loss", "training"),))
SHARE = Kind("Share", "Half is guessing.", (("accuracy", "training"),), (0.0, 1.0))


def titled(charts, title):
    return next(one for one in charts if one.title == title)


def test_a_line_runs_from_corner_to_corner_with_large_values_on_top():
    drawn = chart(PLAIN, [("training", [(1, 3.0), (2, 2.0), (3, 1.0)])])

    assert drawn.lines[0].path == "M0.00 0.00L50.00 50.00L100.00 100.00"
    assert (drawn.high, drawn.low, drawn.lines[0].last) == ("3", "1", "1")
    assert (drawn.first_step, drawn.last_step) == (1, 3)


def test_two_lines_share_one_frame():
    drawn = chart(PLAIN, [("training", [(0, 0.0), (10, 4.0)]), ("held out", [(5, 2.0), (10, 2.0)])])

    assert drawn.lines[0].path == "M0.00 100.00L100.00 0.00"
    assert drawn.lines[1].path == "M50.00 50.00L100.00 50.00"
    assert drawn.lines[1].dots == (("50.00%", "50.00%"), ("100.00%", "50.00%"))  # few: each is seen


def test_what_has_ends_is_drawn_between_them():
    drawn = chart(SHARE, [("training", [(1, 0.5), (2, 0.75)])])

    assert (drawn.low, drawn.high) == ("0", "1")
    assert drawn.lines[0].path == "M0.00 50.00L100.00 25.00"


def test_nought_is_marked_where_it_is_inside():
    assert chart(PLAIN, [("", [(1, -1.0), (2, 3.0)])]).zero == "75.00"
    assert chart(PLAIN, [("", [(1, 1.0), (2, 3.0)])]).zero == ""


def test_a_long_line_is_thinned_keeps_its_ends_and_has_a_running_mean():
    drawn = chart(PLAIN, [("", [(step, float(step % 2)) for step in range(10_001)])])

    line = drawn.lines[0]
    assert line.path.count("L") <= 240
    assert line.path.startswith("M0.00 100.00")
    assert line.mean.endswith("L100.00 50.07")  # of 667 values, 333 of them one
    assert line.dots == ()
    assert line.last == "0.499"  # of the mean: the newest step alone says little


@pytest.mark.parametrize("points", [[], [(1, 2.0)], [(1, nan), (2, 3.0)]])
def test_a_line_of_fewer_than_two_points_is_not_drawn(points):
    assert chart(PLAIN, [("", points)]) is None


def test_a_flat_line_is_drawn():
    assert chart(PLAIN, [("", [(1, 2.0), (2, 2.0)])]).lines[0].path == "M0.00 100.00L100.00 100.00"


def test_rewards_are_drawn_by_the_voters_rank_and_a_rank_that_nobody_had_is_left_out():
    told = [(step, {"rewards_by_place": [step * 1.0, None, -step * 1.0]}) for step in range(3)]

    drawn = titled(charts_of(told, objective="dpo"), "Mean reward by the voters' rank")

    assert [(line.label, line.last) for line in drawn.lines] == [("rank 1", "2"), ("rank 3", "-2")]


def test_a_reward_model_has_no_charts_of_the_probability_of_texts():
    told = [
        (step, {"loss": 1.0, "winner_log_ratio": -3.0, "eval_ranking_accuracy": 0.5}) for step in range(3)
    ]

    assert [one.title for one in charts_of(told, objective="reward-bradley-terry")] == ["Loss"]
    assert len(charts_of(told, objective="dpo")) == 3


def test_runs_beside_each_other_have_a_line_each_in_the_same_chart():
    runs = [
        ("Near", [(0, {"loss": 2.0}), (4, {"loss": 1.0})]),
        ("Far", [(0, {"loss": 2.0}), (2, {"loss": 0.0})]),
        ("Not begun", []),
    ]

    drawn = titled(charts_beside(runs, objectives=["dpo"] * 3), "Loss · training")

    assert [line.label for line in drawn.lines] == ["Near", "Far"]
    assert drawn.lines[1].path == "M0.00 0.00L50.00 100.00"  # it had half as many steps
    assert len({line.style for line in drawn.lines}) == 2


def test_no_chart_of_one_run_has_more_lines_than_there_are_styles():
    assert max(len(kind.lines) for kind in KINDS) <= STYLES
