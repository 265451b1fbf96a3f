"""Real threads with connections of their own, on a database in a file or a server."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from arena.models import Arena, Battle, Leaderboard, Vote, Voter
from arena.services import leaderboards, matchmaking, vote_log
from arena.services.battles import start_battle
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

POSTS = 16


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Do all acts in threads that start together; what they returned, or raised, in their order."""
    ready = threading.Barrier(len(acts))
    results: list[Any] = [None] * len(acts)

    def run(place: int, act: Callable[[], Any]) -> None:
        try:
            ready.wait(timeout=30)
            results[place] = act()
        except Exception as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


def poster(session_key: str, battle: str, best: int, key: str) -> Callable[[], Any]:
    client = APIClient(raise_request_exception=False)
    client.cookies["sessionid"] = session_key
    headers = {"Idempotency-Key": key} if key else {}
    address = f"/api/v1/battles/{battle}/vote/"
    return lambda: client.post(address, {"best": best}, format="json", headers=headers)


def test_of_sixteen_votes_at_once_one_counts():
    factories.make_pool("garden", contestants=5, prompts=8)
    for _ in range(6):
        client = APIClient()
        battle = client.post("/api/v1/battles/", {"arena": "garden"}, format="json").json()["id"]
        session = client.cookies["sessionid"].value
        same = [poster(session, battle, 0, "double-click") for _ in range(POSTS // 2)]
        others = [poster(session, battle, 1 + n % 3, "") for n in range(POSTS // 2)]

        answers = at_once(*same, *others)

        statuses = Counter(answer.status_code for answer in answers)
        assert set(statuses) <= {201, 409}, statuses
        vote = Vote.objects.get(battle=battle)
        # Either all the double clicks got the one vote, or one of the others won alone.
        assert statuses[201] == (POSTS // 2 if vote.idempotency_key else 1)
        told = {answer.json()["vote"] for answer in answers if answer.status_code == 201}
        assert told == {vote.pk}

    assert Vote.objects.count() == 6


def test_a_voter_who_asks_in_many_tabs_at_once_gets_one_battle():
    arena, voter = factories.make_pool(), factories.make_voter()

    battles = at_once(*[lambda: start_battle(arena=arena, voter=voter)] * 8)

    assert {battle.pk for battle in battles} == {Battle.objects.get().pk}


def test_many_voters_at_once_all_get_a_battle():
    arena = factories.make_pool()
    voters = [factories.make_voter() for _ in range(8)]

    at_once(*[lambda voter=voter: start_battle(arena=arena, voter=voter) for voter in voters])

    assert set(Battle.objects.values_list("voter", flat=True)) == {voter.pk for voter in voters}


def test_many_who_look_at_once_cost_one_fit():
    arena = factories.make_pool()
    factories.make_vote(arena)

    boards = at_once(*[lambda: leaderboards.current_leaderboard(Arena.objects.get())] * 8)

    assert {board.pk for board in boards} == {Leaderboard.objects.get().pk}


def test_two_first_requests_of_a_user_make_one_voter():
    from arena.services.voters import voter_of_user

    user = factories.make_user()

    voters = at_once(*[lambda: voter_of_user(user)] * 6)

    assert {voter.pk for voter in voters} == {Voter.objects.get().pk}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time.")
def test_a_snapshot_waits_for_the_votes_below_its_end():
    arena = factories.make_pool()
    slow, fast = (factories.make_battle(arena, closed_at=timezone.now()) for _ in range(2))
    written, may_commit = threading.Event(), threading.Event()

    def vote_slowly() -> int:
        with transaction.atomic():
            vote_log.hold_for_append(arena.pk)
            vote = Vote.objects.create(arena=arena, battle=slow, voter=slow.voter, kind="all_bad")
            written.set()
            assert may_commit.wait(timeout=30)
        return vote.pk

    def meanwhile() -> list[int]:
        assert written.wait(timeout=30)
        later = Vote.objects.create(
            arena=arena, battle=fast, voter=fast.voter, kind="ranking", ranks=[1, 2, 3, 4]
        )
        matchmaking.what_is_known(arena, list(arena.contestants.values_list("id", flat=True)))
        board = leaderboards.fit_leaderboard(arena=arena)  # the end of the log is not settled
        may_commit.set()
        return [later.pk, board.last_vote]

    early, (later, seen) = at_once(vote_slowly, meanwhile)
    assert early < later
    assert seen < early  # nothing is promised about votes whose end is open
    board = leaderboards.current_leaderboard(arena)
    assert board.last_vote == later
    assert board.counts["all_bad"] == 1  # the one that appeared late was read too
    assert leaderboards.reproduce(board) == board.rows
