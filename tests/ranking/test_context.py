"""Contexts shrink to the global board, composites know that criteria go together."""

from __future__ import annotations

import numpy as np
import pytest

from ranking import BadVotes, Votes, fit
from ranking.context import fit_composite, fit_contexts
from tests.ranking.worlds import NAMES, random_rankings, random_votes

TRUTH = np.array([0.8, 0.3, 0.0, -0.4, -0.7])


def tasks(rng, spread, *, each=400, k=2, count=12):
    contexts = np.repeat(np.arange(count), each)
    offsets = spread * rng.normal(size=(count, 5))
    groups = np.argsort(rng.random((len(contexts), 5)), axis=1)[:, :k]
    score = (TRUTH + offsets)[contexts[:, None], groups] + rng.gumbel(size=groups.shape)
    ranks = 1 + (score[:, None, :] > score[:, :, None]).sum(axis=2)
    return Votes.from_rankings(NAMES[:5], groups, ranks), contexts, offsets


@pytest.mark.parametrize("k", [2, 3])
def test_the_spread_of_tasks_is_found_and_offsets_are_recovered(k):
    votes, contexts, offsets = tasks(np.random.default_rng(1), 0.5, k=k)

    found = fit_contexts(votes, contexts)

    assert found.spread == pytest.approx(0.5, rel=0.25)
    assert found.fit.converged
    centred = offsets - offsets.mean(axis=1, keepdims=True)
    estimated = found.offsets - found.offsets.mean(axis=1, keepdims=True)
    assert np.corrcoef(centred.ravel(), estimated.ravel())[0, 1] > 0.85
    # Twelve tasks are a sample of tasks: the global board is less sure than the votes alone would say.
    assert (found.fit.standard_errors > 1.5 * fit(votes).standard_errors).all()


def test_without_task_effects_the_offsets_vanish():
    votes, contexts, _ = tasks(np.random.default_rng(2), 0.0)

    found = fit_contexts(votes, contexts)

    assert found.spread < 0.12
    assert found.fit.strengths == pytest.approx(fit(votes).strengths, abs=0.03)
    assert found.strengths(3) == pytest.approx(found.fit.strengths, abs=0.15)


def test_a_task_with_few_votes_stays_near_the_global_board():
    votes, contexts, _ = tasks(np.random.default_rng(3), 0.4, each=300)
    rare = contexts.copy()
    rare[rare == 0] = 1
    rare[0] = 0  # one vote is left of the first task

    found = fit_contexts(votes, rare)

    assert np.abs(found.offsets[0]).max() < 0.25
    assert found.offset_errors[0].min() > 0.7 * found.spread


def test_contexts_that_do_not_fit_the_votes_are_refused():
    votes = random_votes(np.random.default_rng(4), 3, 10, 2)
    with pytest.raises(BadVotes, match="10 votes but 1 contexts"):
        fit_contexts(votes, ["x"])
    with pytest.raises(BadVotes, match="Vote 9 has no context"):
        fit_contexts(votes, ["x"] * 9 + [None])


def test_criteria_that_go_together_count_once():
    rng = np.random.default_rng(5)
    groups, ranks = random_rankings(rng, 4, 500, 2)
    votes = Votes.from_rankings(NAMES[:4], groups, ranks)
    _, other_ranks = random_rankings(rng, 4, 500, 2)
    other = Votes.from_rankings(NAMES[:4], groups, other_ranks)
    half = {"quality": 0.5, "safety": 0.5}
    plain = fit(votes)

    same = fit_composite({"quality": votes, "safety": votes}, half)
    mixed = fit_composite({"quality": votes, "safety": other}, half)

    assert same.strengths == pytest.approx(plain.strengths)
    assert same.standard_errors == pytest.approx(plain.standard_errors, rel=0.02)
    assert mixed.standard_errors == pytest.approx(plain.standard_errors / np.sqrt(2), rel=0.2)
    with pytest.raises(BadVotes, match="a weight for every criterion"):
        fit_composite({"quality": votes}, half)
    with pytest.raises(BadVotes, match="same battles"):
        fit_composite({"quality": votes, "safety": random_votes(rng, 4, 9, 2)}, half)


def test_few_votes_of_a_task_do_not_rule_differences_out():
    rng = np.random.default_rng(8)
    inside = []
    for _ in range(40):
        votes, contexts, offsets = tasks(rng, 0.3, each=300, k=3, count=2)
        kept = (contexts == 0) | (np.arange(len(contexts)) < 330)
        difference, errors = fit_contexts(votes.taken(kept), contexts).difference(1, 0)
        told = difference - difference.mean()
        true = offsets[1] - offsets[0]
        inside += (np.abs(told - (true - true.mean())) < 1.96 * errors).tolist()

    # Spread estimated without a prior falls to nothing in most of these, and the intervals with it.
    assert np.mean(inside) > 0.9
