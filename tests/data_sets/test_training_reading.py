"""What a run's figures say in sentences: each says it where it holds, and not where it does not."""

from typing import Any

import pytest
from django.utils import timezone

from arena.models import TrainingRun
from arena.services.training_reading import Interval, interval_of, readings, share_interval

FRESH = {"samples": 16, "sequence_kl": 1.0, "length": 20.0, "ended": 1.0, "distinct": 1.0, "repetition": 0.0}


def told(**changes: Any) -> list[tuple[str, bool]]:
    objective = changes.pop("objective", "dpo")
    summary = {
        "before": {"loss": 2.0},
        "after": {"rankings": 40, "accuracy": 0.7, "accuracy_se": 0.05, "loss": 1.5, "winner_log_ratio": 0.0},
        "fresh": FRESH,
    }
    run = TrainingRun(objective=objective, summary={**summary, **changes}, completed_at=timezone.now())
    return [(one.text, one.warns) for one in readings(run)]


def test_a_good_run_gets_one_sentence_that_does_not_warn():
    assert told() == [
        (
            "Of the pairs in 40 held-out rankings it puts 70% in the voters' order "
            "(95 % interval 60% to 80%). That is more than guessing.",
            False,
        )
    ]


@pytest.mark.parametrize(
    ("accuracy", "sentence", "warns"),
    [
        (0.55, "So few cannot tell it from guessing", True),
        (0.3, "That is worse than guessing", True),
        (0.9, "That is more than guessing.", False),
    ],
)
def test_the_interval_decides_whether_it_learnt(accuracy, sentence, warns):
    (text, warned), *_ = told(after={"rankings": 40, "accuracy": accuracy, "accuracy_se": 0.05})

    assert sentence in text
    assert warned is warns


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"before": {"loss": 1.0}}, "learn the votes by heart"),
        ({"after": {"winner_log_ratio": -2.5}}, "became 2.5 nats less likely"),
        ({"fresh": {**FRESH, "sequence_kl": 31.0}}, "31.0 nats from the base per response, which is far"),
        ({"fresh": {**FRESH, "repetition": 0.4}}, "40% of what it writes is repeated"),
        ({"fresh": {**FRESH, "ended": 0.5}}, "Only 50% of the samples came to an end"),
        ({"fresh": {**FRESH, "distinct": 0.25}}, "only 25% of the samples differ"),
        ({"fresh": {**FRESH, "before": {"length": 10.0}}}, "It writes longer: 20 tokens instead of 10."),
    ],
)
def test_what_may_be_wrong_is_said_as_a_warning(changes, sentence):
    if "before" in changes:
        changes = {**changes, "after": {"loss": 1.5}}

    assert [warns for text, warns in told(**changes) if sentence in text] == [True]


def test_what_the_base_did_too_is_not_held_against_the_run():
    base = {"length": 20.0, "ended": 0.5, "distinct": 0.2, "repetition": 0.4}

    assert len(told(fresh={**FRESH, "ended": 0.5, "distinct": 0.25, "repetition": 0.5, "before": base})) == 1


def test_the_reward_model_s_opinion_is_named_as_one():
    texts = [text for text, _ in told(fresh={**FRESH, "win_rate": 0.75, "win_rate_se": 0.05})]

    assert any("75% of its 16 samples" in text and "(95 % interval 65% to 85%)" in text for text in texts)


def test_of_few_nothing_is_read_but_that_they_are_few():
    after = {"rankings": 1, "accuracy": 0.0, "loss": 3.6, "winner_log_ratio": -2.4}
    fresh = {**FRESH, "samples": 1, "repetition": 0.4, "before": {"length": 31.0}}

    assert told(before={"loss": 2.9}, after=after, fresh=fresh) == [
        ("1 held-out ranking is too few to tell what was learnt: vote on more held-out prompts.", True)
    ]


def test_a_loss_that_hardly_moved_has_not_risen():
    after = {"rankings": 40, "loss": 2.005}

    assert told(after=after, fresh=None) == []


def test_a_reward_model_is_not_read_as_if_it_wrote():
    after = {"rankings": 40, "accuracy": 0.7, "accuracy_se": 0.05, "winner_log_ratio": -9.0}

    assert len(told(objective="reward-bradley-terry", after=after, fresh=None)) == 1


def test_nothing_is_read_out_of_a_dry_run():
    assert told(dry_run=True) == []


def test_an_interval_stays_within_what_is_possible_and_is_missing_where_nobody_measured_it():
    assert interval_of({"accuracy": 0.95, "accuracy_se": 0.05}, "accuracy", 0.0, 1.0) == Interval(
        pytest.approx(0.852, abs=1e-3), 1.0
    )
    assert interval_of({"accuracy": 0.95, "accuracy_se": None}, "accuracy") is None
    assert interval_of(None, "accuracy") is None
    assert share_interval(1.0, 16).lower == pytest.approx(0.806, abs=1e-3)  # Wilson's, of 16 of 16
