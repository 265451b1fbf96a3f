"""Whose votes count where: judges, adjudicators and checks of a voter are never mixed in silently."""

import pytest

from arena.errors import BadInput
from arena.models import Battle, Voter
from arena.services import leaderboards, matchmaking
from arena.services.data_sets.requests import request_data_set
from arena.services.data_sets.votes import VoteReader
from tests import factories


@pytest.fixture
def pair(open_arena):
    return list(open_arena.contestants.order_by("id")[:2])


def vote(arena, pair, *, kind=Voter.Kind.PERSON, purpose=Battle.Purpose.ORDINARY):
    battle = factories.make_battle(arena, factories.make_voter(kind=kind), contestants=pair, purpose=purpose)
    return factories.vote_on(battle)


@pytest.mark.parametrize("kind", [Voter.Kind.JUDGE, Voter.Kind.ADJUDICATED])
def test_votes_of_judges_and_adjudicators_are_counted_only_where_asked_for(open_arena, pair, kind):
    vote(open_arena, pair)
    vote(open_arena, pair, kind=kind)

    board = leaderboards.current_leaderboard(open_arena)
    asked = leaderboards.current_leaderboard(open_arena, sources=[kind])

    assert board.counts["votes"] == 1
    assert board.settings["sources"] == ["person", "imported", "simulated"]
    assert (asked.counts["votes"], asked.settings["sources"]) == (1, [str(kind)])
    assert asked.pk is None  # asked for once, not kept in place of the arena's own
    assert leaderboards.current_leaderboard(open_arena) == board
    assert leaderboards.reproduce(board) == board.rows


@pytest.mark.parametrize("purpose", ["gold", "repeat", "qualification"])
def test_what_checks_a_voter_rates_nobody_teaches_nothing_and_is_not_exported(open_arena, pair, purpose):
    vote(open_arena, pair)
    known = matchmaking.what_is_known(open_arena, [one.pk for one in pair])[1].mean.copy()

    vote(open_arena, pair, purpose=purpose)

    assert leaderboards.current_leaderboard(open_arena).counts["votes"] == 1
    after = matchmaking.what_is_known(open_arena, [one.pk for one in pair])[1].mean
    assert after.tolist() == known.tolist()
    reader = VoteReader(request_data_set(arena=open_arena))
    assert sum(len(page) for page in reader.pages()) == 1
    assert reader.left_out == {"asked to check the voter": 1}


def test_an_adjudicated_vote_is_left_out_of_a_data_set(open_arena, pair):
    vote(open_arena, pair)
    vote(open_arena, pair, kind=Voter.Kind.ADJUDICATED, purpose=Battle.Purpose.ADJUDICATION)

    reader = VoteReader(request_data_set(arena=open_arena))

    assert sum(len(page) for page in reader.pages()) == 1
    assert reader.left_out == {"of judges or adjudicators": 1}


def test_a_board_of_an_unknown_kind_of_voter_is_refused(open_arena):
    with pytest.raises(BadInput, match="no kind of voter 'robot'"):
        leaderboards.current_leaderboard(open_arena, sources=["robot"])


def test_a_board_can_be_asked_for_with_other_sources(open_arena, pair, client):
    vote(open_arena, pair, kind=Voter.Kind.JUDGE)

    usual = client.get("/api/v1/arenas/garden/leaderboard/").json()
    judged = client.get("/api/v1/arenas/garden/leaderboard/", {"sources": "judge, person"}).json()
    file = client.get("/arenas/garden/leaderboard.json", {"sources": "judge"}).json()
    refused = client.get("/api/v1/arenas/garden/leaderboard/", {"sources": "robot"})

    assert [each["counts"]["votes"] for each in (usual, judged, file)] == [0, 1, 1]
    assert refused.status_code == 400
    assert "no kind of voter 'robot'" in refused.json()["error"]
