"""The standard errors of what a run watches: of rankings, whose pairs stand and fall together."""

import pytest
import torch

from gpu_workers.kwise.metrics import by_group, error_of_ratio, watch
from gpu_workers.kwise.objectives import Scores
from gpu_workers.kwise.votes import VoteBatch


def seen(ratios: list[list[float]]) -> tuple[Scores, VoteBatch]:
    """Rankings of which each is 1, 2, 3 in its slots' order."""
    policy = torch.tensor(ratios)
    places = torch.tensor([[1, 2, 3]] * len(ratios))
    scores = Scores(policy, torch.zeros_like(policy), torch.ones_like(policy))
    return scores, VoteBatch(places, torch.ones(len(ratios)))


RIGHT, TURNED, HALF = [3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0]  # 3, 0 and 2 pairs of 3


def test_the_error_of_a_ratio_is_that_of_a_mean_where_all_rows_weigh_alike():
    hits = torch.tensor([1.0, 0.0, 1.0, 1.0])

    assert error_of_ratio(hits, torch.ones(4)) == pytest.approx(float(hits.std()) / 2)


def test_rows_that_weigh_differently_by_hand():
    # The ratio is 4 / 6; what is left over is 1 - 4/3 and 3 - 8/3, so sqrt(2 * (1/9 + 1/9)) / 6.
    assert error_of_ratio(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 4.0])) == pytest.approx(
        1 / 9, abs=1e-6
    )


@pytest.mark.parametrize("rows", [[], [1.0], [1.0, 1.0, 1.0]])
def test_rows_that_cannot_tell_have_no_error(rows):
    assert error_of_ratio(torch.tensor(rows), torch.ones(len(rows))) is None


def test_accuracy_and_tau_come_with_errors_over_rankings():
    told = watch(*seen([RIGHT, TURNED, HALF, RIGHT]), beta=1.0)

    assert told["accuracy"] == pytest.approx(8 / 12)
    shares = torch.tensor([1.0, 0.0, 2 / 3, 1.0])
    assert told["accuracy_se"] == pytest.approx(float(shares.std()) / 2, abs=1e-5)
    assert told["kendall_tau_se"] == pytest.approx(float((2 * shares - 1).std()) / 2, abs=1e-5)


def test_repeating_each_ranking_halves_no_more_than_independent_rankings_would():
    four, sixteen = seen([RIGHT, TURNED, HALF, RIGHT]), seen([RIGHT, TURNED, HALF, RIGHT] * 4)

    ratio = watch(*four, beta=1.0)["accuracy_se"] / watch(*sixteen, beta=1.0)["accuracy_se"]

    assert ratio == pytest.approx((15 / 3) ** 0.5, abs=1e-3)


def test_each_group_has_an_error_of_its_own():
    scores, votes = seen([RIGHT, TURNED, HALF, RIGHT, RIGHT, RIGHT])

    red, blue = by_group(["red"] * 3 + ["blue"] * 3, scores, votes)

    assert (red["accuracy"], blue["accuracy"]) == (pytest.approx(5 / 9, abs=1e-4), 1.0)
    assert red["accuracy_se"] > 0
    assert blue["accuracy_se"] is None  # three that are all right do not say that all will be
