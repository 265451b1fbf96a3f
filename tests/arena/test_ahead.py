"""The battle after the one on the screen is drawn while that one is judged; it is no second chance."""

import pytest

from arena.models import Battle, Slot
from arena.services.ballots import Ballot
from arena.services.battles import draw_ahead, mark_shown, start_battle
from arena.services.undo import may_undo, undo_vote
from arena.services.votes import cast_vote
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def voter(db):
    return factories.make_voter()


def judge(battle, voter):
    return cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"ranks": [1, 2, 3, 4]}, 4))


def test_what_was_drawn_ahead_is_what_comes_next(open_arena, voter):
    first = start_battle(arena=open_arena, voter=voter)
    ahead = draw_ahead(arena=open_arena, voter=voter)

    assert start_battle(arena=open_arena, voter=voter) == first  # it does not take its place
    assert draw_ahead(arena=open_arena, voter=voter) == ahead  # asking again fishes for nothing
    judge(first, voter)

    assert start_battle(arena=open_arena, voter=voter) == ahead
    assert Battle.objects.count() == 2


def test_it_shows_no_response_of_the_battle_before(open_arena, voter):
    first = start_battle(arena=open_arena, voter=voter)
    ahead = draw_ahead(arena=open_arena, voter=voter)

    shown = Slot.objects.filter(battle__in=[first, ahead]).values_list("response_id", flat=True)
    assert len(set(shown)) == 8


def test_nothing_is_drawn_ahead_of_nothing(open_arena, voter):
    assert draw_ahead(arena=open_arena, voter=voter) is None
    assert not Battle.objects.exists()


def test_where_there_is_nothing_more_there_is_nothing_ahead(voter):
    arena = factories.make_pool("small", contestants=4, prompts=1)
    start_battle(arena=arena, voter=voter)

    assert draw_ahead(arena=arena, voter=voter) is None


def test_once_it_is_on_the_screen_the_vote_before_it_stands(open_arena, voter):
    open_arena.reveal = "never"
    open_arena.save()
    first = start_battle(arena=open_arena, voter=voter)
    ahead = draw_ahead(arena=open_arena, voter=voter)
    vote = judge(first, voter)
    assert may_undo(vote)

    mark_shown(ahead)  # the page had it, and asked for nothing

    assert not may_undo(vote)
    assert start_battle(arena=open_arena, voter=voter) == ahead


def test_after_an_undone_vote_the_same_battle_is_still_ahead(open_arena, voter):
    open_arena.reveal = "never"
    open_arena.save()
    first = start_battle(arena=open_arena, voter=voter)
    ahead = draw_ahead(arena=open_arena, voter=voter)
    vote = judge(first, voter)

    anew = undo_vote(vote=vote, voter=voter)

    assert start_battle(arena=open_arena, voter=voter) == anew
    assert draw_ahead(arena=open_arena, voter=voter) == ahead
    judge(anew, voter)
    assert start_battle(arena=open_arena, voter=voter) == ahead


def test_a_battle_ahead_can_be_voted_on_before_anybody_asks_for_it(open_arena, voter):
    """The script shows it from what it fetched, and the vote may be the next thing the server hears."""
    first = start_battle(arena=open_arena, voter=voter)
    ahead = draw_ahead(arena=open_arena, voter=voter)
    judge(first, voter)

    vote = judge(ahead, voter)

    assert vote.battle == ahead
    assert start_battle(arena=open_arena, voter=voter) not in (first, ahead)


def test_the_page_gets_it_as_a_fragment_and_204_where_there_is_none(open_arena, client):
    assert client.get("/arenas/garden/next/?ahead").status_code == 204
    client.get("/arenas/garden/")

    fragment = client.get("/arenas/garden/next/?ahead")

    assert fragment.status_code == 200
    assert 'id="battle"' in fragment.content.decode()
    assert "<html" not in fragment.content.decode()
