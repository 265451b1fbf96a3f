"""Two crowds are told apart, and one crowd is left whole."""

from __future__ import annotations

import numpy as np
import pytest

from ranking import BadVotes, Votes
from ranking.mixture import choose_mixture, fit_mixture
from tests.ranking.worlds import NAMES, random_votes

BOARDS = np.array([[1.0, 0.3, -0.3, -1.0], [-1.0, 0.5, 1.0, -0.5]])


def crowds(rng, shares, *, k=3, units=60, each=25):
    kind = (np.arange(units) >= shares * units).astype(int)
    voters = np.repeat(np.arange(units), each)
    groups = np.argsort(rng.random((len(voters), 4)), axis=1)[:, :k]
    score = BOARDS[kind[voters][:, None], groups] + rng.gumbel(size=groups.shape)
    ranks = 1 + (score[:, None, :] > score[:, :, None]).sum(axis=2)
    return Votes.from_rankings(NAMES[:4], groups, ranks, voters=voters, prompts=voters), kind


@pytest.mark.parametrize("by", ["voter", "prompt"])
def test_two_crowds_are_found_with_their_boards(by):
    votes, kind = crowds(np.random.default_rng(1), 0.65)

    found = choose_mixture(votes, by=by, most=3)

    assert found.groups == 2
    assert found.shares == pytest.approx([0.65, 0.35], abs=0.06)
    assert found.strengths == pytest.approx(BOARDS, abs=0.3)
    assert (found.membership.argmax(axis=1) == kind).mean() > 0.95
    assert found.worst == pytest.approx(BOARDS.min(axis=0), abs=0.3)


def test_one_crowd_is_enough_for_one_board():
    votes, _ = crowds(np.random.default_rng(2), 1.0)

    found = choose_mixture(votes, most=2)

    assert found.groups == 1
    assert found.worst.tolist() == found.strengths[0].tolist()


def test_more_groups_never_fit_worse_and_bad_requests_are_refused():
    votes, _ = crowds(np.random.default_rng(3), 0.5, units=20)

    assert fit_mixture(votes, 2).log_likelihood >= fit_mixture(votes, 1).log_likelihood - 1.0
    with pytest.raises(BadVotes, match="one group or more"):
        fit_mixture(votes, 0)
    with pytest.raises(BadVotes, match="voters or prompts"):
        fit_mixture(votes, 2, by="both")
    with pytest.raises(BadVotes, match="no voter column"):
        fit_mixture(random_votes(np.random.default_rng(4), 3, 9, 2), 2)
