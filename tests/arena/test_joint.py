"""Battles across prompts: each slot shows its own."""

import itertools

import pytest

from arena.errors import AllSeen, NotEnoughResponses
from arena.models import Arena, Battle, Prompt
from arena.services.ballots import Ballot
from arena.services.battles import blind_view, start_battle
from arena.services.joint import one_prompt_each
from arena.services.leaderboards import current_leaderboard
from arena.services.votes import cast_vote
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena(db) -> Arena:
    return factories.make_pool("atlas", contestants=4, prompts=8, k=3, joint=True)


def test_each_slot_shows_a_prompt_of_its_own(arena):
    battle = start_battle(arena=arena, voter=factories.make_voter())
    view = blind_view(battle)

    assert battle.prompt is None
    assert view["prompt"] == {"messages": []}
    asked = [slot["prompt"]["messages"][-1]["content"] for slot in view["slots"]]
    assert len(set(asked)) == 3
    for slot, shown in zip(battle.slots.order_by("position"), view["slots"], strict=True):
        assert slot.response.prompt.text == shown["prompt"]["messages"][-1]["content"]
        assert slot.response.contestant == slot.contestant


def test_an_ordinary_battle_has_one_prompt_for_all(open_arena):
    view = blind_view(start_battle(arena=open_arena, voter=factories.make_voter()))

    assert [slot["prompt"] for slot in view["slots"]] == [None] * 4
    assert view["prompt"]["messages"]


def test_all_prompts_of_a_battle_are_on_one_side_of_the_split(arena):
    Prompt.objects.filter(pk__in=list(arena.prompts.values_list("pk", flat=True)[:4])).update(
        split="held_out"
    )

    for _ in range(12):
        battle = start_battle(arena=arena, voter=factories.make_voter())
        assert len({slot.response.prompt.split for slot in battle.slots.all()}) == 1


def test_no_response_comes_twice_and_the_end_is_told(arena):
    voter, seen = factories.make_voter(), []
    for _ in range(40):
        try:
            battle = start_battle(arena=arena, voter=voter)
        except AllSeen:
            break
        seen += battle.slots.values_list("response_id", flat=True)
        cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"ranks": [1, 2, 3]}, 3))
    else:
        pytest.fail("It never ended.")
    assert len(seen) == len(set(seen)) >= 18


def test_without_enough_prompts_it_says_what_is_missing():
    arena = factories.make_pool("small", contestants=4, prompts=2, k=3, joint=True)

    with pytest.raises(NotEnoughResponses, match="as many prompts"):
        start_battle(arena=arena, voter=factories.make_voter())

    assert not Battle.objects.exists()


def test_the_leaderboard_counts_joint_votes(arena):
    for _ in range(4):
        voter = factories.make_voter()
        battle = start_battle(arena=arena, voter=voter)
        order = [slot.contestant_id for slot in battle.slots.order_by("position")]
        ranks = [sorted(order).index(one) + 1 for one in order]
        cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"ranks": ranks}, 3))

    board = current_leaderboard(arena)

    assert board.rows[0]["contestant"] == arena.contestants.order_by("pk").first().pk
    assert sum(row["votes"] for row in board.rows) == 12


@pytest.mark.parametrize("seed", range(3))
def test_an_assignment_is_found_whenever_there_is_one(seed):
    import random

    dice = random.Random(seed)
    for _ in range(200):
        choices = [[(dice.randrange(4), n) for n in range(dice.randrange(1, 4))] for _ in range(3)]
        possible = any(len({prompt for prompt, _ in picked}) == 3 for picked in itertools.product(*choices))

        found = one_prompt_each(choices)

        assert (found is not None) == possible
        if found is not None:
            prompts = [
                {answer: prompt for prompt, answer in slot}[one]
                for slot, one in zip(choices, found, strict=True)
            ]
            assert len(set(prompts)) == 3
