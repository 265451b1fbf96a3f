"""Agreement from columns beside the slow honest one, and shares beside published figures."""

import numpy as np
import pytest

from ranking.agreement import agreement
from ranking.annotators import median_and_spread, panel_agreement, wilson


def panel(seed=0, prompts=40, voters=6, k=3, lapse=0.3):
    """Every voter ranks the same three responses of every prompt, mostly in the order of their ids."""
    rng = np.random.default_rng(seed)
    groups, ranks, where, who = [], [], [], []
    for prompt in range(prompts):
        for voter in range(voters):
            group = rng.permutation(k)
            order = np.argsort(np.argsort(group)) + 1
            if rng.random() < lapse:
                order = rng.integers(1, k + 1, size=k)
            groups.append(group.tolist())
            ranks.append(order.tolist())
            where.append(prompt)
            who.append(voter)
    return groups, ranks, where, who


def units_of(groups, ranks, where, who):
    units = {}
    for group, order, prompt, voter in zip(groups, ranks, where, who, strict=True):
        for c in range(len(group)):
            for d in range(c + 1, len(group)):
                i, j = sorted((group[c], group[d]))
                first, second = (order[c], order[d]) if group[c] == i else (order[d], order[c])
                units.setdefault((prompt, i, j), {})[voter] = float(np.sign(first - second))
    return units.values()


def test_alpha_and_percent_are_those_of_the_slow_way():
    data = panel()
    slow = agreement(units_of(*data))

    found = panel_agreement(*data)

    assert found.alpha.value == pytest.approx(slow.alpha.value, rel=1e-12)
    assert found.percent == pytest.approx(slow.percent.value, rel=1e-12)
    assert (found.items, found.judgements) == (slow.items, slow.judgements)
    assert found.alpha.lower < found.alpha.value < found.alpha.upper


def test_the_order_of_the_slots_does_not_matter():
    groups, ranks, where, who = panel()
    turned = [group[::-1] for group in groups], [order[::-1] for order in ranks]

    assert panel_agreement(*turned, where, who).alpha == panel_agreement(groups, ranks, where, who).alpha


def test_a_rater_who_answers_at_random_stands_out_from_the_rest():
    groups, ranks, where, who = panel(lapse=0.05)
    rng = np.random.default_rng(1)
    ranks = [rng.permutation([1, 2, 3]).tolist() if voter == 4 else order
             for order, voter in zip(ranks, who, strict=True)]  # fmt: skip

    raters = panel_agreement(groups, ranks, where, who).raters

    assert min(raters, key=lambda voter: raters[voter].value) == 4
    assert raters[4].upper < min(raters[voter].lower for voter in (0, 1, 2, 3, 5))


def test_of_a_pair_judged_twice_by_the_same_person_the_last_counts():
    groups, where = [[0, 1]] * 3, [1, 1, 1]

    found = panel_agreement(groups, [[1, 2], [2, 1], [1, 2]], where, [1, 1, 2])

    assert (found.items, found.judgements, found.percent) == (1, 2, 0.0)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (([], [], [], []), "No pair of responses"),
        (([[0, 1]], [[1, 2]], [1], [1]), "No pair of responses"),
        (([[0, 1]] * 2, [[1, 2]] * 2, [1, 1], [1, 2]), "the same answer everywhere"),
    ],
)
def test_where_agreement_is_undefined_it_says_why(data, sentence):
    found = panel_agreement(*data)

    assert found.alpha.value is None
    assert sentence in found.alpha.reason


def test_an_interval_resamples_prompts():
    """Saying the same thing on more pairs of one prompt must not make the interval narrower."""
    few = panel_agreement(*panel(prompts=4))

    assert few.alpha.value is not None
    assert "5 prompts" in few.alpha.reason


def test_wilson_is_wilsons():
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20 and 1 of 29."""
    for hits, total, lower, upper in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        share = wilson(hits, total)
        assert (round(share.lower, 4), round(share.upper, 4)) == (lower, upper)
    assert wilson(0, 0).value is None


def test_the_median_lies_within_its_interval():
    assert median_and_spread([]) is None
    assert median_and_spread([3.0]) == (3.0, 3.0, 3.0)
    middle, low, high = median_and_spread(range(1, 102))
    assert (middle, low, high) == (51.0, 41.0, 62.0)
