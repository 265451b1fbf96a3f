import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from arena.errors import AlreadyVoted, BadInput, BattleClosed, NotAllowed, NotYourBattle, SignInNeeded
from arena.models import AuditEntry, Battle, Vote, VoteRuling
from arena.services.ballots import Ballot
from arena.services.battles import start_battle
from arena.services.voters import voter_of_user
from arena.services.votes import cast_vote, reveal, rule_on_vote
from tests import factories

pytestmark = pytest.mark.django_db

FIRST_IS_BEST = Ballot.parse({"ranks": [1, 2, 3, 4]}, 4)
LAST_IS_BEST = Ballot.parse({"ranks": [4, 3, 2, 1]}, 4)


def test_second_vote_on_the_same_battle_is_refused(open_arena):
    voter = factories.make_voter()
    battle = start_battle(arena=open_arena, voter=voter)
    cast_vote(battle=battle, voter=voter, ballot=FIRST_IS_BEST)

    with pytest.raises(AlreadyVoted):
        cast_vote(battle=battle, voter=voter, ballot=LAST_IS_BEST)

    assert Vote.objects.get().ranks == [1, 2, 3, 4]  # the first vote stands


def test_a_vote_closes_its_battle_and_says_how_long_it_took(open_arena):
    voter = factories.make_voter()
    battle = start_battle(arena=open_arena, voter=voter)

    vote = cast_vote(battle=battle, voter=voter, ballot=FIRST_IS_BEST, facts={"turn": 3})

    battle.refresh_from_db()
    assert battle.closed_at is not None
    assert vote.wall_ms >= 0
    assert vote.active_ms is None  # not told is not zero
    assert vote.details == {"turn": 3}


def test_a_battle_that_ended_without_a_vote_takes_none(open_arena):
    voter = factories.make_voter()
    battle = start_battle(arena=open_arena, voter=voter)
    Battle.objects.update(closed_at=timezone.now())

    with pytest.raises(BattleClosed):
        cast_vote(battle=battle, voter=voter, ballot=FIRST_IS_BEST)

    assert not Vote.objects.exists()


def test_the_battle_of_another_takes_no_vote(open_arena):
    battle = start_battle(arena=open_arena, voter=factories.make_voter())

    with pytest.raises(NotYourBattle):
        cast_vote(battle=battle, voter=factories.make_voter(), ballot=FIRST_IS_BEST)

    battle.refresh_from_db()
    assert battle.closed_at is None


def test_a_session_has_no_vote_in_a_closed_arena(closed_arena, ada):
    stranger, member = factories.make_voter(), voter_of_user(ada)

    with pytest.raises(SignInNeeded):
        start_battle(arena=closed_arena, voter=stranger)

    assert start_battle(arena=closed_arena, voter=member).voter == member
    assert not Battle.objects.filter(voter=stranger).exists()


# The log


@pytest.mark.services
@pytest.mark.parametrize("change", ["kind = 'all_bad', ranks = NULL", "voter_id = voter_id", "wall_ms = 1"])
def test_the_database_itself_refuses_to_change_a_vote(open_arena, change):
    vote = factories.make_vote(open_arena)

    with pytest.raises(DatabaseError, match="rows are added, never changed"), transaction.atomic():
        connection.cursor().execute(f"UPDATE arena_vote SET {change} WHERE id = %s", [vote.pk])

    vote.refresh_from_db()
    assert (vote.kind, vote.wall_ms) == ("ranking", 5000)


@pytest.mark.services
def test_the_database_refuses_to_change_slots_and_rulings(open_arena, grace):
    vote = factories.make_vote(open_arena)
    rule_on_vote(vote=vote, action="quarantined", reason="a bot", by=grace)

    for table, change in (("arena_slot", "position = position"), ("arena_voteruling", "reason = ''")):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
            connection.cursor().execute(f"UPDATE {table} SET {change}")

    assert VoteRuling.objects.get().reason == "a bot"


def test_a_vote_is_not_changed_or_deleted_by_way_of_the_models(open_arena):
    vote = factories.make_vote(open_arena)

    for act in (
        vote.save,
        vote.delete,
        Vote.objects.all().delete,
        lambda: Vote.objects.update(wall_ms=0),
        lambda: Vote.objects.bulk_update([vote], ["wall_ms"]),
    ):
        with pytest.raises(TypeError, match="append-only"), transaction.atomic():
            act()
    for protected in (vote.battle, vote.voter, open_arena):
        with pytest.raises(ProtectedError):
            protected.delete()

    assert Vote.objects.count() == 1


# Rulings


def test_a_lead_takes_a_vote_out_and_puts_it_back_on_the_record(open_arena, grace):
    vote = factories.make_vote(open_arena)

    rule_on_vote(vote=vote, action="quarantined", reason="  faster than\nanybody reads ", by=grace)
    assert not Vote.objects.counted().exists()
    rule_on_vote(vote=vote, action="restored", reason="it was a test of mine", by=grace)

    assert Vote.objects.counted().get() == vote
    assert [ruling.reason for ruling in vote.rulings.all()] == [
        "faster than anybody reads",
        "it was a test of mine",
    ]
    assert list(AuditEntry.objects.values_list("action", "actor").order_by("id")) == [
        ("vote quarantined", grace.pk),
        ("vote restored", grace.pk),
    ]


def test_a_voter_may_withdraw_their_own_vote_and_nothing_else(open_arena, ada):
    own = factories.make_vote(open_arena, voter=voter_of_user(ada))
    other = factories.make_vote(open_arena)

    rule_on_vote(vote=own, action="withdrawn", reason="a slip", by=ada)
    for vote, action in ((own, "restored"), (other, "withdrawn"), (other, "quarantined")):
        with pytest.raises(NotAllowed):
            rule_on_vote(vote=vote, action=action, reason="because", by=ada)

    assert VoteRuling.objects.count() == 1
    assert list(Vote.objects.counted()) == [other]


@pytest.mark.parametrize(
    ("action", "reason"),
    [("deleted", "x"), ("quarantined", "  "), ("quarantined", "x" * 301), ("restored", "x")],
)
def test_a_ruling_that_makes_no_sense_is_refused(open_arena, grace, action, reason):
    vote = factories.make_vote(open_arena)

    with pytest.raises(BadInput):
        rule_on_vote(vote=vote, action=action, reason=reason, by=grace)

    assert not VoteRuling.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_vote_is_not_taken_out_twice(open_arena, grace):
    vote = factories.make_vote(open_arena)
    rule_on_vote(vote=vote, action="quarantined", reason="a bot", by=grace)

    with pytest.raises(BadInput, match="out already"):
        rule_on_vote(vote=vote, action="withdrawn", reason="a slip", by=grace)

    assert VoteRuling.objects.count() == 1


# The reveal


def test_the_reveal_gives_each_slot_its_name_and_rank(open_arena):
    voter = factories.make_voter()
    battle = start_battle(arena=open_arena, voter=voter)
    told = reveal(cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"best": 2}, 4)))

    assert [slot["contestant"] for slot in told["slots"]] == list(
        battle.slots.order_by("position").values_list("contestant__name", flat=True)
    )
    assert [slot["rank"] for slot in told["slots"]] == [None, None, 1, None]
    assert told["slots"][2]["rating"] > told["slots"][0]["rating"]  # the vote counts at once


def test_nobody_is_signed_in_as_the_anonymous_user(open_arena):
    assert AnonymousUser().pk is None  # rulings by nobody are those of commands
    vote = factories.make_vote(open_arena)

    with pytest.raises(NotAllowed):
        rule_on_vote(vote=vote, action="withdrawn", reason="x", by=AnonymousUser())

    assert not VoteRuling.objects.exists()
