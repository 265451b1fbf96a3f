"""Random voters are heard less, partisans hardly, and honest people are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from ranking import BadVotes, Votes, fit
from ranking.raters import fit_with_raters, weak_orders
from tests.ranking.worlds import NAMES

TRUTH = np.linspace(1.2, -1.2, 8)


def world(seed, *, k, honest=60, random=0, partisans=0, each=40, target=5):
    """Votes of honest voters first, then random ones, then partisans of the target."""
    rng = np.random.default_rng(seed)
    voters = np.repeat(np.arange(honest + random + partisans), each)
    groups = np.argsort(rng.random((len(voters), 8)), axis=1)[:, :k]
    strength = np.where(voters[:, None] < honest, TRUTH[groups], 0.0)
    score = strength + rng.gumbel(size=groups.shape)
    score[(voters >= honest + random)[:, None] & (groups == target)] += 50
    ranks = 1 + (score[:, None, :] > score[:, :, None]).sum(axis=2)
    return Votes.from_rankings(NAMES[:8], groups, ranks, voters=voters)


@pytest.mark.parametrize("k", [2, 4])
def test_random_voters_no_longer_flatten_the_board(k):
    votes = world(1, k=k, random=20)

    plain, rated = fit(votes), fit_with_raters(votes)

    assert np.ptp(plain.strengths) < 0.9 * np.ptp(TRUTH)
    assert np.ptp(rated.fit.strengths) == pytest.approx(np.ptp(TRUTH), rel=0.12)
    assert (rated.honest[60:] < 0.5).mean() > 0.8
    assert (rated.honest[:60] > 0.5).mean() > 0.95


@pytest.mark.parametrize("k", [2, 4])
def test_partisans_lift_their_contestant_only_without_the_rater_model(k):
    votes = world(2, k=k, partisans=8)

    plain, rated = fit(votes), fit_with_raters(votes)

    assert plain.strengths[5] > TRUTH[5] + 0.1
    honest_only = fit(votes.taken(votes.voters < 60))
    assert rated.fit.strengths[5] == pytest.approx(honest_only.strengths[5], abs=0.1)
    assert set(rated.suspects().tolist()) >= set(range(60, 68))
    assert (rated.favourite[60:] == 5).all()
    assert len(rated.suspects()) <= 10


def test_honest_voters_are_believed_and_the_ratings_stay():
    votes = world(3, k=3)

    rated = fit_with_raters(votes)

    assert len(rated.suspects()) <= 1
    assert rated.lapse.max() < 0.2
    # Some lapse is always allowed for, which stretches the scale a little.
    assert rated.fit.strengths == pytest.approx(fit(votes).strengths, rel=0.2, abs=0.1)
    assert (rated.fit.standard_errors > 0.9 * fit(votes).standard_errors).all()


def test_without_voters_only_the_common_lapse_is_fitted():
    votes = world(4, k=4, random=20)
    nameless = Votes(votes.models, votes.blocks, votes.total, None, None, None, None)

    rated = fit_with_raters(nameless)

    assert rated.honest.tolist() == [1.0]
    assert 0.1 < rated.lapse[0] < 0.4  # a quarter of the votes are random
    with pytest.raises(BadVotes, match="no firth"):
        fit_with_raters(Votes.from_pairs(["A"], ["B"], ["model_a"]), prior="firth")


def test_weak_orders_are_counted_by_the_ordered_bell_numbers():
    assert [weak_orders(width) for width in range(6)] == [1, 1, 3, 13, 75, 541]
