"""Voters ask the models themselves: blind, all at once, with limits, and on from what they preferred."""

from datetime import timedelta

import pytest
from django.utils import timezone

from arena.errors import BadInput, NotAllowed, NotEnoughResponses, NotFound, TooLate, TooMany
from arena.models import Arena, Battle, Job, Prompt, Turn, Vote
from arena.services import live, matchmaking
from arena.services.ballots import Ballot
from arena.services.battles import blind_view, start_battle
from arena.services.live import ask, best_slots, can_go_on
from arena.services.live_turns import BROKEN, LONGEST_WAIT, look
from arena.services.responses import NewResponse, next_requests, record_responses
from arena.services.undo import undo_vote
from arena.services.votes import cast_vote
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena(db) -> Arena:
    """Five contestants that a worker runs, three a battle, three turns."""
    arena = factories.make_arena("salon", k=3, own_prompts=True, turns=3)
    for number in range(5):
        factories.make_contestant(arena, f"model-{number}", backend="transformers", checkpoint="/nowhere")
    return arena


@pytest.fixture
def voter(db):
    return factories.make_voter()


def jobs_of(turn: Turn) -> list[Job]:
    return list(Job.objects.filter(unique_key__startswith=f"live:{turn.pk}:").order_by("pk"))


def answer(turn: Turn, *contestants: int) -> None:
    """What the workers do: these contestants' responses come in (without names, all that are shown)."""
    turn.refresh_from_db()
    for pk in contestants or turn.contestants["shown"]:
        contestant = turn.conversation.arena.contestants.get(pk=pk)
        record_responses(
            contestant=contestant, items=[NewResponse(turn.prompt_id, 0, f"Answer of {contestant.name}")]
        )
        Job.objects.filter(unique_key=f"live:{turn.pk}:{pk}").update(state=Job.State.DONE)


def vote(turn: Turn, ranks: list[int], **fields) -> Vote:
    return cast_vote(
        battle=turn.battle, voter=turn.conversation.voter, ballot=Ballot.parse({"ranks": ranks}, 3), **fields
    )


def test_a_question_is_put_to_k_contestants_and_kept_from_everybody_else(arena, voter):
    turn = ask(arena=arena, voter=voter, text="  Why is the sky blue?\x00 ")

    assert turn.prompt.messages == [{"role": "user", "content": "Why is the sky blue?"}]
    assert turn.prompt.asked_by == voter
    assert len(turn.contestants["shown"]) == 3
    assert len(turn.contestants["reserve"]) == 1
    assert [job.payload["contestant"] for job in jobs_of(turn)] == turn.contestants["shown"]
    assert all(job.payload["prompts"] == [turn.prompt_id] for job in jobs_of(turn))
    # Nobody else gets it, and no other contestant is asked to answer it.
    assert not Prompt.objects.drawable().filter(pk=turn.prompt_id).exists()
    others = [one for one in arena.contestants.all() if one.pk not in turn.contestants["shown"]]
    assert next_requests(contestant=others[0], samples=1, limit=9) == []
    with pytest.raises(NotEnoughResponses):
        start_battle(arena=arena, voter=factories.make_voter())


def test_nothing_is_shown_until_all_have_answered(arena, voter):
    turn = ask(arena=arena, voter=voter, text="Why?")
    first, second, third = turn.contestants["shown"]

    answer(turn, second)
    assert look(turn).state == Turn.State.WAITING
    answer(turn, third)
    assert look(turn).state == Turn.State.WAITING
    assert not Battle.objects.exists()
    answer(turn, first)

    turn = look(turn)
    assert turn.state == Turn.State.READY
    assert [slot.contestant_id for slot in turn.battle.slots.order_by("position")] == [first, second, third]
    assert "contestant" not in str(blind_view(turn.battle))
    assert look(turn).battle == turn.battle  # looking again makes no second battle
    assert Battle.objects.count() == 1


@pytest.mark.parametrize(
    "state", [Job.State.FAILED, Job.State.CANCELLED, Job.State.QUARANTINED, Job.State.DONE]
)
def test_the_reserve_takes_the_slot_of_whoever_fails(arena, voter, state):
    turn = ask(arena=arena, voter=voter, text="Why?")
    first, second, third = turn.contestants["shown"]
    reserve = turn.contestants["reserve"][0]
    answer(turn, first, third)
    Job.objects.filter(unique_key=f"live:{turn.pk}:{second}").update(state=state)

    assert look(turn).state == Turn.State.WAITING
    assert [job.payload["contestant"] for job in jobs_of(turn)] == [first, second, third, reserve]
    answer(turn, reserve)

    turn = look(turn)
    assert [slot.contestant_id for slot in turn.battle.slots.order_by("position")] == [first, reserve, third]


def test_two_failures_are_told_in_a_sentence(arena, voter):
    turn = ask(arena=arena, voter=voter, text="Why?")
    Job.objects.filter(arena=arena).update(state=Job.State.FAILED)

    turn = look(turn)

    assert (turn.state, turn.problem) == (Turn.State.FAILED, BROKEN)
    assert not Battle.objects.exists()


def test_what_takes_too_long_is_given_up_and_its_jobs_end(arena, voter):
    turn = ask(arena=arena, voter=voter, text="Why?")
    Turn.objects.update(created_at=timezone.now() - LONGEST_WAIT - timedelta(seconds=1))

    turn = look(turn)

    assert turn.state == Turn.State.FAILED
    assert "too long" in turn.problem
    assert {job.state for job in jobs_of(turn)} == {Job.State.CANCELLED}
    ask(arena=arena, voter=voter, text="Again?")  # and it stands in nobody's way


def test_the_conversation_goes_on_from_the_preferred_response(arena, voter):
    turn = ask(arena=arena, voter=voter, text="Why?")
    answer(turn)
    turn = look(turn)
    taken = vote(turn, [2, 1, 3])

    later = ask(arena=arena, voter=voter, text="And then?", after=taken)

    best = turn.battle.slots.get(position=1)
    assert later.prompt.messages == [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": best.response.text},
        {"role": "user", "content": "And then?"},
    ]
    assert (later.number, later.conversation) == (2, turn.conversation)
    assert later.prompt.split == turn.prompt.split
    answer(later)
    assert look(later).battle != turn.battle


def test_among_tied_best_the_voter_chooses(arena, voter):
    turn = ask(arena=arena, voter=voter, text="Why?")
    answer(turn)
    turn = look(turn)
    taken = vote(turn, [1, 2, 1])
    first, third = best_slots(taken)

    with pytest.raises(BadInput, match="Choose which"):
        ask(arena=arena, voter=voter, text="And?", after=taken)
    worst = turn.battle.slots.get(position=1)
    with pytest.raises(BadInput, match="Choose which"):
        ask(arena=arena, voter=voter, text="And?", after=taken, token=worst.token)
    later = ask(arena=arena, voter=voter, text="And?", after=taken, token=third.token)

    assert later.prompt.messages[1]["content"] == third.response.text != first.response.text


def test_a_vote_keeps_its_conversation_and_turn(arena, voter):
    turn = ask(arena=arena, voter=voter, text="Why?")
    answer(turn)
    turn = look(turn)

    taken = vote(turn, [1, 2, 3])

    assert taken.details["conversation"] == str(turn.conversation_id)
    assert taken.details["turn"] == 1


def test_a_conversation_ends_at_the_arena_s_limit(arena, voter):
    Arena.objects.update(turns=1)
    arena.refresh_from_db()
    turn = ask(arena=arena, voter=voter, text="Why?")
    answer(turn)
    taken = vote(look(turn), [1, 2, 3])

    assert not can_go_on(taken)
    with pytest.raises(BadInput, match="has ended"):
        ask(arena=arena, voter=voter, text="And?", after=taken)


def test_one_turn_has_one_next_turn(arena, voter):
    turn = ask(arena=arena, voter=voter, text="Why?")
    answer(turn)
    taken = vote(look(turn), [1, 2, 3])
    ask(arena=arena, voter=voter, text="And?", after=taken)

    with pytest.raises(BadInput, match="has ended"):
        ask(arena=arena, voter=voter, text="Or?", after=taken)

    assert Turn.objects.filter(number=2).count() == 1


def test_after_all_bad_there_is_nothing_to_go_on_from(arena, voter):
    turn = ask(arena=arena, voter=voter, text="Why?")
    answer(turn)
    battle = look(turn).battle
    taken = cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"all_bad": True}, 3))

    assert not can_go_on(taken)


def test_nobody_goes_on_with_another_voter_s_conversation(arena, voter):
    turn = ask(arena=arena, voter=voter, text="Why?")
    answer(turn)
    taken = vote(look(turn), [1, 2, 3])
    mallory = factories.make_voter()

    with pytest.raises(NotFound):
        ask(arena=arena, voter=mallory, text="And?", after=taken)
    with pytest.raises(NotFound):
        live.get_turn(arena=arena, conversation=turn.conversation_id, voter=mallory)


@pytest.mark.parametrize(
    ("text", "sentence"), [("", "Write what"), ("   ", "Write what"), ("x" * 8001, "8001 characters")]
)
def test_a_message_that_cannot_be_asked(arena, voter, text, sentence):
    with pytest.raises(BadInput, match=sentence):
        ask(arena=arena, voter=voter, text=text)

    assert not Prompt.objects.exists()


def test_asking_is_off_unless_the_arena_allows_it(arena, voter):
    arena.own_prompts = False

    with pytest.raises(BadInput, match="prompts are given"):
        ask(arena=arena, voter=voter, text="Why?")


def test_asking_in_a_closed_arena_is_for_its_members(arena, voter):
    arena.access = Arena.Access.CLOSED
    arena.save()

    with pytest.raises(NotAllowed):
        ask(arena=arena, voter=voter, text="Why?")


def test_asking_needs_two_contestants_that_a_worker_can_run(voter):
    arena = factories.make_pool("files", own_prompts=True)  # all uploaded

    with pytest.raises(NotEnoughResponses, match="has 0"):
        ask(arena=arena, voter=voter, text="Why?")


def test_one_question_at_a_time_and_so_many_in_ten_minutes(arena, voter, monkeypatch):
    ask(arena=arena, voter=voter, text="Why?")
    with pytest.raises(TooMany, match="still answering"):
        ask(arena=arena, voter=voter, text="Why not?")

    Turn.objects.update(state=Turn.State.FAILED)
    monkeypatch.setattr(live, "MOST_ASKED", 1)
    with pytest.raises(TooMany, match="ten minutes"):
        ask(arena=arena, voter=voter, text="Why not?")

    monkeypatch.setattr(live, "MOST_WAITING", 0)
    with pytest.raises(TooMany, match="Many people"):
        ask(arena=arena, voter=factories.make_voter(), text="Why?")


def test_a_conversation_leaves_the_voter_s_open_battle_alone(open_arena, voter):
    open_arena.own_prompts = True
    open_arena.save()
    open_arena.contestants.update(backend="openai", endpoint="http://127.0.0.1/v1", endpoint_model="x")
    battle = start_battle(arena=open_arena, voter=voter)

    turn = ask(arena=open_arena, voter=voter, text="Why?")
    answer(turn)
    turn = look(turn)

    assert start_battle(arena=open_arena, voter=voter) == battle
    assert turn.battle.channel == f"talk:{turn.conversation_id}"


def test_contestants_are_drawn_as_for_any_battle(arena, voter, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        matchmaking,
        "choose",
        lambda *args, **options: drawn.append(options["strategy"]) or real_choose(*args, **options),
    )

    turn = ask(arena=arena, voter=voter, text="Why?")

    assert drawn == [turn.strategy] == [arena.strategy]
    assert 0 < turn.propensity <= 1


real_choose = matchmaking.choose


def test_what_could_not_be_answered_is_asked_again_in_its_place(arena, voter):
    turn = ask(arena=arena, voter=voter, text="Why?")
    answer(turn)
    taken = vote(look(turn), [1, 2, 3])
    second = ask(arena=arena, voter=voter, text="And?", after=taken)
    Job.objects.filter(unique_key__startswith=f"live:{second.pk}:").update(state=Job.State.FAILED)
    look(second)

    again = ask(arena=arena, voter=voter, text="And now?", after=live.vote_before(look(second)))

    assert (again.number, again.conversation) == (2, turn.conversation)
    assert Turn.objects.filter(number=2).count() == 1


def test_an_undone_vote_leaves_its_turn_with_the_battle_served_anew(arena, voter):
    Arena.objects.update(reveal="never")
    turn = ask(arena=arena, voter=voter, text="Why?")
    answer(turn)
    taken = vote(look(turn), [1, 2, 3])

    anew = undo_vote(vote=taken, voter=voter)

    turn.refresh_from_db()
    assert turn.battle == anew != taken.battle
    assert live.vote_on(turn) is None


def test_a_vote_that_the_conversation_went_on_from_stays(arena, voter):
    Arena.objects.update(reveal="never")
    turn = ask(arena=arena, voter=voter, text="Why?")
    answer(turn)
    taken = vote(look(turn), [1, 2, 3])
    ask(arena=arena, voter=voter, text="And?", after=taken)

    with pytest.raises(TooLate, match="gone on"):
        undo_vote(vote=taken, voter=voter)

    assert Vote.objects.counted().filter(pk=taken.pk).exists()
