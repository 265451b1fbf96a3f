"""Taking a vote back: until the next battle is shown or the names are told, whichever is first."""

import pytest
from django.test import Client

from arena.errors import NotAllowed, TooLate
from arena.models import Arena, Battle, Response, Vote, VoteRuling
from arena.services.ballots import Ballot
from arena.services.battles import mark_shown, start_battle
from arena.services.judgement import Judgement
from arena.services.undo import may_undo, undo_vote
from arena.services.votes import cast_vote, reveal
from tests import factories
from tests.judgement.conftest import complete, opened

HTMX = {"HX-Request": "true"}


@pytest.fixture
def silent(db) -> Arena:
    return factories.make_pool("silent", reveal=Arena.Reveal.NEVER, k=3)


def voted(arena: Arena) -> Vote:
    voter = factories.make_voter()
    battle = start_battle(arena=arena, voter=voter)
    mark_shown(battle)
    return cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"best": 0}, battle.k))


def test_an_undone_vote_is_out_of_the_count_and_its_battle_comes_anew(silent):
    vote = voted(silent)

    anew = undo_vote(vote=vote, voter=vote.voter)

    assert not Vote.objects.counted().exists()
    assert VoteRuling.objects.get().reason == "undone by the voter"
    old = vote.battle
    assert anew.replaces == old
    assert (anew.prompt, anew.propensity, anew.strategy) == (old.prompt, old.propensity, old.strategy)
    kept = list(old.slots.order_by("position").values_list("response", flat=True))
    assert list(anew.slots.order_by("position").values_list("response", flat=True)) == kept
    tokens = old.slots.values_list("token", flat=True)
    assert not set(tokens) & set(anew.slots.values_list("token", flat=True))
    assert start_battle(arena=silent, voter=vote.voter) == anew


def test_twice_undone_is_once(silent):
    vote = voted(silent)
    undo_vote(vote=vote, voter=vote.voter)

    with pytest.raises(TooLate):
        undo_vote(vote=vote, voter=vote.voter)

    assert Battle.objects.count() == 2


def test_undo_ends_when_the_next_battle_is_shown_and_not_when_it_is_fetched(silent):
    vote = voted(silent)
    fetched = start_battle(arena=silent, voter=vote.voter)
    assert may_undo(vote)
    mark_shown(fetched)

    assert not may_undo(vote)
    with pytest.raises(TooLate, match="next battle has been shown"):
        undo_vote(vote=vote, voter=vote.voter)


def test_the_battle_fetched_ahead_comes_after_the_one_that_is_judged_again(silent):
    """Otherwise somebody could undo until the draw pleases."""
    vote = voted(silent)
    fetched = start_battle(arena=silent, voter=vote.voter)
    anew = undo_vote(vote=vote, voter=vote.voter)
    cast_vote(battle=anew, voter=vote.voter, ballot=Ballot.parse({"best": 1}, 3))

    assert start_battle(arena=silent, voter=vote.voter) == fetched
    assert Battle.objects.count() == 3


def test_names_that_were_told_end_undo(db):
    arena = factories.make_pool("told", k=3, judgement={"undo": True})
    vote = voted(arena)
    assert may_undo(vote)

    assert reveal(vote)["revealed"]

    vote.battle.refresh_from_db()
    with pytest.raises(TooLate, match="names have been shown"):
        undo_vote(vote=vote, voter=vote.voter)


def test_an_undone_vote_earns_no_names(db):
    arena = factories.make_pool("told", k=3, judgement={"undo": True})
    vote = voted(arena)
    undo_vote(vote=vote, voter=vote.voter)

    assert not reveal(vote)["revealed"]


def test_an_arena_that_reveals_has_no_undo_unless_its_lead_says_so(open_arena):
    assert not may_undo(voted(open_arena))


def test_nobody_undoes_for_another(silent):
    vote = voted(silent)

    with pytest.raises(NotAllowed):
        undo_vote(vote=vote, voter=factories.make_voter())
    assert Vote.objects.counted().exists()


# The page


def test_page_offers_undo_and_fills_the_form_in_again(client, study):
    battle, hidden, tokens = opened(client)
    answer = client.post("/arenas/study/vote/", {**hidden, **complete(tokens)}, follow=True)
    page = answer.content.decode()
    assert "Undo" in page
    assert "Show the names" in page
    for slot in battle.slots.all():
        assert slot.contestant.name not in page

    again = client.post(f"/arenas/study/votes/{battle.pk}/undo/", follow=True).content.decode()

    assert "B says it in the fewest words.</textarea>" in again
    assert again.count(" checked") >= 10
    assert not Response.objects.filter(made_by__author="person").exists()  # its rewrite went with it
    _, hidden, tokens = opened(client)
    client.post("/arenas/study/vote/", {**hidden, **complete(tokens), "confidence": "1"})
    assert Vote.objects.counted().get().details["confidence"] == 1


def test_names_are_shown_on_demand_and_then_there_is_no_undo(client, study):
    battle, hidden, tokens = opened(client)
    client.post("/arenas/study/vote/", {**hidden, **complete(tokens)})

    page = client.post(f"/arenas/study/votes/{battle.pk}/names/", headers=HTMX).content.decode()

    for slot in battle.slots.all():
        assert slot.contestant.name in page
    assert "Undo" not in page
    assert client.post(f"/arenas/study/votes/{battle.pk}/undo/").status_code == 409


def test_the_next_page_ends_undo(client, silent):
    battle, hidden, tokens = opened(client, "silent")
    client.post("/arenas/silent/vote/", {**hidden, "best": tokens[0]})
    client.get("/arenas/silent/next/", headers=HTMX)  # fetched ahead
    assert 'id="undo"' in client.get(f"/arenas/silent/votes/{battle.pk}/").content.decode()

    client.get("/arenas/silent/")

    assert 'id="undo"' not in client.get(f"/arenas/silent/votes/{battle.pk}/").content.decode()
    assert client.post(f"/arenas/silent/votes/{battle.pk}/undo/").status_code == 409


def test_shown_is_told_by_the_page_and_only_for_ones_own_battle(client, silent):
    client.get("/arenas/silent/next/")
    battle = Battle.objects.get()
    assert battle.shown_at is None

    assert Client().post(f"/battles/{battle.pk}/shown/").status_code == 404
    assert client.post(f"/battles/{battle.pk}/shown/").status_code == 204

    battle.refresh_from_db()
    assert battle.shown_at is not None


@pytest.mark.parametrize("path", ["undo", "names"])
def test_undo_and_names_are_for_the_voter_and_by_post(client, silent, path):
    battle, hidden, tokens = opened(client, "silent")
    client.post("/arenas/silent/vote/", {**hidden, "best": tokens[0]})

    assert client.get(f"/arenas/silent/votes/{battle.pk}/{path}/").status_code == 405
    stranger = Client()
    stranger.get("/arenas/silent/")
    assert stranger.post(f"/arenas/silent/votes/{battle.pk}/{path}/").status_code == 404
    assert Vote.objects.counted().count() == 1


def test_a_changed_answer_after_undo_counts_once_in_the_time_of_the_page(client, silent):
    battle, hidden, tokens = opened(client, "silent")
    client.post("/arenas/silent/vote/", {**hidden, "best": tokens[0]})
    client.post(f"/arenas/silent/votes/{battle.pk}/undo/")
    _, hidden, tokens = opened(client, "silent")
    client.post("/arenas/silent/vote/", {**hidden, "best": tokens[2]})

    assert Vote.objects.counted().get().ranks == [None, None, 1]
    assert Judgement().undo_for(silent)
