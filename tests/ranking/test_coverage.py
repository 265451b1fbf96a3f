"""Short studies of coverage with known truth; the long ones belong to the benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from ranking import Votes, fit
from tests.ranking.worlds import NAMES, random_votes

TRUTH = np.linspace(0.8, -0.8, 8)
ROUNDS = 120
# Ratings of one round share votes, so their hits are not independent: about this many effective ones.
EFFECTIVE = ROUNDS * 3
SLACK = 3 * np.sqrt(0.95 * 0.05 / EFFECTIVE)


def hits(fits):
    """Share of ratings whose interval holds the truth, and share of boards whose ranges all do."""
    inside, boards = [], []
    order = np.argsort(np.argsort(-TRUTH)) + 1
    for found in fits:
        rows = {row.model: row for row in found.table(draws=300)}
        reach = found.critical() * found.standard_errors
        inside += (np.abs(found.strengths - TRUTH) < reach).tolist()
        boards.append(
            all(rows[m].rank_lower <= order[i] <= rows[m].rank_upper for i, m in enumerate(found.models))
        )
    return np.mean(inside), np.mean(boards)


@pytest.mark.parametrize(("k", "votes"), [(2, 800), (4, 200)])
def test_independent_votes_are_covered(k, votes):
    rng = np.random.default_rng(k)
    inside, boards = hits(fit(random_votes(rng, 8, votes, k, truth=TRUTH)) for _ in range(ROUNDS))

    assert 0.95 - SLACK < inside < 0.95 + SLACK
    assert boards > 0.93 - 3 * np.sqrt(0.05 / ROUNDS)


def tasteful(rng, *, prompts):
    """40 voters of 30 votes with tastes, and as many prompts with tastes of their own when asked."""
    voters = np.repeat(np.arange(40), 30)
    prompt = rng.integers(0, 40, len(voters))
    groups = np.argsort(rng.random((len(voters), 8)), axis=1)[:, :2]
    score = TRUTH[groups] + rng.gumbel(size=groups.shape)
    score += 0.7 * rng.normal(size=(40, 8))[voters[:, None], groups]
    if prompts:
        score += 0.7 * rng.normal(size=(40, 8))[prompt[:, None], groups]
    # The strengths that a mixture of tastes amounts to are a little smaller; scale the truth of the test.
    return Votes.from_rankings(NAMES[:8], groups, 1 + (score[:, ::-1] > score), voters=voters, prompts=prompt)


@pytest.mark.parametrize(("cluster", "prompts"), [("voter", False), ("both", True)])
def test_votes_of_the_same_voters_and_prompts_are_covered_only_when_clustered(cluster, prompts):
    rng = np.random.default_rng(7)
    spread = 0.7**2 * (2 if prompts else 1) * 2  # variance that tastes add to a difference
    scale = 1 / np.sqrt(1 + spread / (np.pi**2 / 3 * 1.06))
    covered = {None: [], cluster: []}
    for _ in range(40):
        votes = tasteful(rng, prompts=prompts)
        for kind, inside in covered.items():
            found = fit(votes, cluster=kind)
            reach = found.critical() * found.standard_errors
            inside += (np.abs(found.strengths - scale * TRUTH) < reach).tolist()

    assert np.mean(covered[cluster]) > 0.92
    assert np.mean(covered[None]) < 0.85
