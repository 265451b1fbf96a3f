"""The list of arenas says of each what its leaderboard says."""

import re

import pytest

from arena.models import Arena, Battle, Voter
from arena.services.leaderboards import current_leaderboard
from arena.services.votes import rule_on_vote
from tests import factories

pytestmark = pytest.mark.django_db


def listed(client) -> int:
    found = re.search(r"(\d+)\s+votes?\b", client.get("/").content.decode())
    assert found
    return int(found.group(1))


def test_gold_qualification_judges_and_what_was_taken_out_are_no_votes_of_the_list(client, open_arena, grace):
    kept = [factories.make_vote(open_arena) for _vote in range(4)]
    for purpose in (Battle.Purpose.GOLD, Battle.Purpose.QUALIFICATION, Battle.Purpose.REPEAT):
        battle = factories.make_battle(open_arena, purpose=purpose)
        factories.vote_on(battle)
    factories.make_vote(open_arena, voter=factories.make_voter(kind=Voter.Kind.JUDGE))
    rule_on_vote(vote=kept[0], action="quarantined", reason="asleep", by=grace)

    assert listed(client) == 3  # no snapshot yet
    assert current_leaderboard(open_arena).counts["votes"] == 3
    assert listed(client) == 3


def test_votes_since_the_newest_snapshot_count_too(client, open_arena):
    factories.make_vote(open_arena)
    current_leaderboard(open_arena)
    factories.make_vote(open_arena)
    factories.vote_on(factories.make_battle(open_arena, purpose=Battle.Purpose.GOLD))

    assert listed(client) == 2


def test_the_list_takes_one_query_for_all_arenas(client, django_assert_max_num_queries, open_arena):
    for number in range(3):
        arena = factories.make_pool(f"pool-{number}", access=Arena.Access.OPEN)
        factories.make_vote(arena)
        current_leaderboard(arena)

    with django_assert_max_num_queries(3):
        client.get("/")
