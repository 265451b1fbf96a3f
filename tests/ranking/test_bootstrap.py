"""The bootstrap agrees with the sandwich where both hold, and each path of it with the others."""

from __future__ import annotations

import numpy as np
import pytest

from ranking import BadVotes, Votes, fit
from ranking.bootstrap import bootstrap
from tests.ranking.worlds import NAMES, random_rankings, random_votes

TRUTH = [0.8, 0.4, 0.0, -0.4, -0.8]


def test_bootstrap_of_pairs_agrees_with_the_sandwich():
    votes = random_votes(np.random.default_rng(0), 5, 4000, 2, truth=TRUTH)

    found = bootstrap(votes, rounds=400, seed=1)

    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(fit(votes).standard_errors, rel=0.12)
    assert found.strengths.mean(axis=0) == pytest.approx(fit(votes).strengths, abs=0.02)


@pytest.mark.parametrize("model", ["plackett-luce", "davidson"])
def test_bootstrap_of_rankings_agrees_with_the_sandwich(model):
    votes = random_votes(np.random.default_rng(2), 5, 500, 3, truth=TRUTH, grain=1.0)

    found = bootstrap(votes, rounds=50, model=model, seed=1)

    expected = fit(votes, model=model).standard_errors
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(expected, rel=0.35)


@pytest.mark.parametrize("scheme", ["poisson", "multinomial"])
def test_rounds_solved_together_are_the_same_as_rounds_solved_one_by_one(scheme, monkeypatch):
    votes = random_votes(np.random.default_rng(3), 5, 300, 2, truth=TRUTH)
    together = bootstrap(votes, rounds=8, scheme=scheme, seed=4).strengths

    def never(problem, table, counts, start):
        return np.zeros((len(counts), 5)), np.zeros(len(counts), dtype=bool)

    monkeypatch.setattr("ranking.bootstrap._together", never)
    assert bootstrap(votes, rounds=8, scheme=scheme, seed=4).strengths == pytest.approx(together, abs=1e-6)


def test_resampling_voters_shows_their_taste_and_resampling_votes_does_not():
    rng = np.random.default_rng(5)
    voters = np.repeat(np.arange(40), 50)
    taste = rng.normal(size=(40, 5))
    groups, _ = random_rankings(rng, 5, 2000, 2)
    score = taste[voters[:, None], groups] + rng.gumbel(size=groups.shape)
    votes = Votes.from_rankings(NAMES[:5], groups, 1 + (score[:, ::-1] > score), voters=voters)

    by_voter = np.sqrt(np.diag(bootstrap(votes, rounds=80, unit="voter").covariance))
    by_vote = np.sqrt(np.diag(bootstrap(votes, rounds=80, unit="vote").covariance))

    assert (by_voter > 1.5 * by_vote).all()
    assert by_voter == pytest.approx(fit(votes, cluster="voter").standard_errors, rel=0.4)


def test_a_resample_that_loses_the_only_win_stays_finite():
    votes = Votes.from_pairs(list("AAAB"), list("BBBA"), ["model_a"] * 4)

    found = bootstrap(votes, rounds=60)

    assert np.isfinite(found.strengths).all()
    assert np.abs(found.strengths).max() < 5


def test_the_same_seed_gives_the_same_rounds_and_unknown_units_are_refused():
    votes = random_votes(np.random.default_rng(6), 4, 50, 2)

    assert (
        bootstrap(votes, rounds=3, seed=9).strengths == bootstrap(votes, rounds=3, seed=9).strengths
    ).all()
    with pytest.raises(BadVotes, match="vote, voter, prompt"):
        bootstrap(votes, unit="battle")
    with pytest.raises(BadVotes, match="no voter column"):
        bootstrap(votes, unit="voter")
