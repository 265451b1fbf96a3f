"""Agreement against worked examples, and reasons where it is undefined."""

from __future__ import annotations

import numpy as np
import pytest

from ranking import BadVotes, Votes
from ranking.agreement import agreement, agreement_of_votes, cohen_kappa, kendall_w

# Krippendorff (2011), "Computing Krippendorff's alpha-reliability", section E: four observers, twelve units.
KRIPPENDORFF = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def krippendorff_units():
    rows = [line.split() for line in KRIPPENDORFF.strip().splitlines()]
    return [
        {rater: float(row[unit]) for rater, row in enumerate(rows) if row[unit] != "."} for unit in range(12)
    ]


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_krippendorffs_for_his_own_example(level, alpha):
    found = agreement(krippendorff_units(), level=level)

    assert round(found.alpha.value, 3) == alpha
    assert found.alpha.lower < alpha < found.alpha.upper
    assert found.items == 11  # the unit with one judgement tells nothing
    assert found.judgements == 40
    assert found.fleiss.value is None
    assert "different numbers" in found.fleiss.reason


def test_fleiss_kappa_is_that_of_his_psychiatrists_in_the_textbook_table():
    # The example reproduced with Fleiss (1971): 14 raters, 10 subjects, 5 categories.
    table = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    units = [dict(enumerate(np.repeat(np.arange(5.0), row))) for row in table]

    assert round(agreement(units).fleiss.value, 3) == 0.210


def test_cohens_kappa_of_the_grant_readers():
    # 50 proposals, two readers: both yes 20, yes/no 5, no/yes 10, both no 15; kappa .4.
    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15

    found = cohen_kappa(first, second)

    assert found.value == pytest.approx(0.4)
    assert found.lower < 0.4 < found.upper


def test_ac1_does_not_collapse_when_one_answer_dominates():
    units = [{0: 1.0, 1: 1.0}] * 118 + [{0: 1.0, 1: 0.0}] * 5 + [{0: 0.0, 1: 1.0}] * 2

    found = agreement(units)

    assert found.percent.value == pytest.approx(118 / 125)
    assert found.alpha.value < 0.1
    assert found.ac1.value == pytest.approx(0.9408, abs=2e-4)  # by Gwet's formula with a share of .972


def test_unanimity_is_undefined_with_a_reason_and_not_an_exception():
    found = agreement([{0: 1.0, 1: 1.0}] * 5)

    assert found.percent.value == 1.0
    assert found.alpha.value is None
    assert "same answer everywhere" in found.alpha.reason
    assert agreement([{0: 1.0}]).alpha.reason == "No item was judged by two people."
    assert cohen_kappa([1, 1], [1, 1]).reason is not None
    assert cohen_kappa([1], []).reason is not None


def test_kendalls_w_is_one_for_the_same_order_and_corrects_for_ties():
    assert kendall_w([[1, 2, 3], [1, 2, 3]]).value == pytest.approx(1)
    assert kendall_w([[1, 2, 3], [3, 2, 1]]).value == pytest.approx(0)
    assert kendall_w([[1, 2, 2], [1, 2, 2], [1, 2, 2]]).value == pytest.approx(1)
    assert kendall_w([[1, 1], [1, 1]]).reason == "Every rater tied all items."
    assert kendall_w([[1, 2, 3]]).value is None


def test_agreement_is_on_contestants_and_not_on_slots():
    # Both voters prefer A on every prompt, each having seen it in another slot.
    votes = Votes.from_rankings(
        ["A", "B", "C"],
        [[0, 1, 2], [2, 1, 0], [0, 1, 2], [1, 0, 2]],
        [[1, 2, 3], [3, 2, 1], [1, 2, 3], [2, 1, 3]],
        voters=["x", "y", "x", "y"],
        prompts=[0, 0, 1, 1],
    )

    found = agreement_of_votes(votes)

    assert found.percent.value == 1.0
    assert found.items == 6
    assert found.alpha.value is None  # nobody ever preferred a later model: no chance agreement


def test_opposite_tastes_have_negative_alpha():
    votes = Votes.from_pairs(
        ["A", "B", "B", "A"], ["B", "A", "A", "B"], ["model_a"] * 4, voters=[0, 1, 0, 1], prompts=[0, 0, 1, 1]
    )

    assert agreement_of_votes(votes).alpha.value == pytest.approx(-0.5)
    with pytest.raises(BadVotes, match="voter and the prompt"):
        agreement_of_votes(Votes.from_pairs(["A"], ["B"], ["tie"]))
    with pytest.raises(BadVotes, match="no level"):
        agreement([], level="cardinal")
