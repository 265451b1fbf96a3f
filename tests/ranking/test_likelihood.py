"""Every gradient and information against finite differences, every sum against a slow honest one."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest

from ranking import Votes
from ranking.likelihood.gather import row_sums
from ranking.likelihood.pair_table import count_pairs
from tests.ranking.worlds import NAMES, random_rankings, random_votes


def cases():
    rng = np.random.default_rng(1)
    yield "pairs", random_votes(rng, 5, 60, 2), ()
    yield "pairs with ties", random_votes(rng, 5, 60, 2, grain=2.0), (2,)
    yield "pairs, shared ties", random_votes(rng, 5, 60, 2, grain=2.0), ()
    yield "fours", random_votes(rng, 6, 60, 4), ()
    yield "fours, shared ties", random_votes(rng, 6, 60, 4, grain=1.5), ()
    yield "fours with ties", random_votes(rng, 6, 60, 4, grain=1.5), (2, 3, 4)
    groups, ranks = random_rankings(rng, 6, 60, 4, grain=1.0)
    partly = np.where(rng.random(ranks.shape) < 0.3, np.nan, ranks)
    partly[:, 0] = ranks[:, 0]
    yield "unranked, ties", Votes.from_rankings(NAMES[:6], groups, partly), (2, 3, 4)
    yield "unranked, shared ties", Votes.from_rankings(NAMES[:6], groups, partly), ()
    styles = {"length": rng.normal(size=(60, 4)), "bold": rng.normal(size=(60, 4))}
    weights, counts = rng.random(60), rng.integers(1, 4, 60)
    styled = Votes.from_rankings(NAMES[:6], groups, partly, covariates=styles, weights=weights, counts=counts)
    yield "everything", styled, (2, 3, 4)
    mixed_groups = [*groups.tolist(), [0, 1], [2, 3], [1, 4]]
    mixed_ranks = [*ranks.tolist(), [1, 2], [1, 1], [2, 1]]
    length = [rng.normal(size=len(group)).tolist() for group in mixed_groups]
    mixed = Votes.from_rankings(NAMES[:6], mixed_groups, mixed_ranks, covariates={"length": length})
    yield "mixed widths", mixed, (2, 3, 4)


CASES = list(cases())
assert CASES


@pytest.mark.parametrize(("name", "votes", "ties"), CASES, ids=[case[0] for case in CASES])
def test_gradient_and_information_are_the_derivatives(name, votes, ties):
    sums = row_sums(votes, ties)
    phi = np.random.default_rng(2).normal(size=sums.layout.size) * 0.5
    terms = sums.evaluate(phi)
    h = 1e-5
    for place in range(len(phi)):
        step = np.zeros_like(phi)
        step[place] = h
        up, down = sums.evaluate(phi + step), sums.evaluate(phi - step)
        slope = (up.log_likelihood - down.log_likelihood) / (2 * h)
        assert terms.gradient[place] == pytest.approx(slope, abs=1e-5)
        curvature = -(up.gradient - down.gradient) / (2 * h)
        assert terms.information[place] == pytest.approx(curvature, abs=1e-5)


@pytest.mark.parametrize(("name", "votes", "ties"), CASES, ids=[case[0] for case in CASES])
def test_meat_is_the_sum_of_squared_scores(name, votes, ties):
    sums = row_sums(votes, ties)
    phi = np.random.default_rng(3).normal(size=sums.layout.size) * 0.5
    each = sums.scores(phi, np.arange(votes.total), votes.total).toarray()  # (votes, P), weighted
    counts = np.ones(votes.total) if votes.counts is None else votes.counts
    slow = np.einsum("vp,vq,v->pq", each, each, 1.0 / counts)  # scores carry the count once, the meat too

    assert sums.meat(phi) == pytest.approx(slow, abs=1e-9)
    assert each.sum(axis=0) == pytest.approx(sums.evaluate(phi).gradient, abs=1e-9)


def slow_davidson_luce(utility, sizes, tau, tie_sizes):
    """The probability of one weak order, written as the paper writes it."""
    total, start = 0.0, 0
    allowed = {1: 0.0} | dict(zip(tie_sizes, tau, strict=True))
    for size in sizes:
        left = range(start, len(utility))
        if len(left) < 2:
            break
        worth = {
            chosen: np.exp(allowed[len(chosen)] + sum(utility[c] for c in chosen) / len(chosen))
            for count in allowed
            for chosen in combinations(left, count)
        }
        total += np.log(worth[tuple(range(start, start + size))] / sum(worth.values()))
        start += size
    return total


def test_davidson_luce_agrees_with_the_definition():
    rng = np.random.default_rng(4)
    votes = random_votes(rng, 6, 40, 4, grain=1.5)
    sums = row_sums(votes, (2, 3, 4))
    phi = rng.normal(size=sums.layout.size)
    slow = 0.0
    for block in votes.blocks:
        for items in block.items.T:
            slow += slow_davidson_luce(phi[items], block.sizes, phi[6:], (2, 3, 4))

    assert sums.evaluate(phi).log_likelihood == pytest.approx(slow)


def slow_shared_wins(utility, sizes):
    """The mean over all orders a tied vote could have had of the log of Plackett-Luce."""
    groups, start = [], 0
    for size in sizes:
        groups.append(list(permutations(range(start, start + size))))
        start += size
    orders = [[]]
    for group in groups:
        orders = [order + list(more) for order in orders for more in group]
    rest = list(range(start, len(utility)))
    values = []
    for order in orders:
        value = 0.0
        for place, chosen in enumerate(order):
            value += utility[chosen] - np.log(np.exp(utility[order[place:] + rest]).sum())
        values.append(value)
    return np.mean(values)


def test_shared_wins_are_the_mean_over_the_orders_of_a_tie():
    rng = np.random.default_rng(5)
    groups, ranks = random_rankings(rng, 6, 40, 4, grain=1.5)
    ranks = np.where(ranks == 4, np.nan, ranks)
    votes = Votes.from_rankings(NAMES[:6], groups, ranks)
    phi = rng.normal(size=6)
    slow = sum(slow_shared_wins(phi[items], block.sizes) for block in votes.blocks for items in block.items.T)

    assert row_sums(votes, ()).evaluate(phi).log_likelihood == pytest.approx(slow)


@pytest.mark.parametrize("ties", [(), (2,)])
def test_the_table_of_counts_agrees_with_the_votes_one_by_one(ties):
    rng = np.random.default_rng(6)
    votes = random_votes(rng, 5, 200, 2, grain=2.0, weights=rng.random(200), counts=rng.integers(1, 4, 200))
    table, rows = count_pairs(votes, davidson=bool(ties)), row_sums(votes, ties)
    phi = rng.normal(size=rows.layout.size)
    flagged = np.array([True, False, False, False, False])
    one, other = table.evaluate(phi), rows.evaluate(phi)

    assert one.log_likelihood == pytest.approx(other.log_likelihood)
    assert one.gradient == pytest.approx(other.gradient)
    assert one.information == pytest.approx(other.information)
    assert table.meat(phi) == pytest.approx(rows.meat(phi))
    assert table.one_sided(phi, flagged) == pytest.approx(rows.one_sided(phi, flagged))
