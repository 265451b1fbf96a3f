"""The life of one turn of a conversation: its responses are awaited, then shown together in a battle.

Whoever waits asks for the state now and then (`look`), and what is due is done then: a contestant that
failed is replaced by the one in reserve, the battle is made once all responses are there, and what
takes too long is given up. A turn that nobody waits for costs nothing more.
"""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from arena.errors import TooLate
from arena.models import Battle, Job, Response, Slot, Turn, Vote, Voter, VoteRuling
from arena.services import jobs
from arena.services.battles import check_voter

CHANNEL = "talk"
LONGEST_WAIT = timedelta(minutes=3)
TOO_SLOW = gettext_noop("The models took too long to answer. Ask again, or try it later.")
BROKEN = gettext_noop("The models could not answer this. Ask again, or ask something else.")


def look(turn: Turn) -> Turn:
    """The turn as it is now, after what is due has been done."""
    if turn.state != Turn.State.WAITING:
        return turn
    with transaction.atomic():
        turn = Turn.objects.select_for_update().get(pk=turn.pk)
        if turn.state == Turn.State.WAITING:
            _advance(turn)
    return turn


def have_answered(turn: Turn, contestant: int) -> None:
    """Queue the one response of this contestant, ahead of what nobody waits for."""
    conversation = turn.conversation
    jobs.enqueue(
        kind=Job.Kind.GENERATE,
        title="An answer in a conversation",
        arena=conversation.arena,
        payload={"contestant": contestant, "samples": 1, "prompts": [turn.prompt_id], "live": True},
        priority=jobs.LIVE,
        total=1,
        unique_key=_key(turn, contestant),
    )


def is_followed(turn: Turn) -> bool:
    """Whether the conversation has gone on after this turn."""
    later = Turn.objects.filter(conversation=turn.conversation_id, number__gt=turn.number)
    return later.exclude(state=Turn.State.FAILED).exists()


def facts_of(battle: Battle) -> dict[str, Any]:
    """What a vote on this battle keeps of its conversation."""
    if battle.channel.partition(":")[0] != CHANNEL:
        return {}
    turn = Turn.objects.filter(battle=battle).first()
    return {} if turn is None else {"conversation": str(turn.conversation_id), "turn": turn.number}


class TalkKeeper:
    """Keeps a turn with its battle when a vote is undone. See arena/services/channels.py."""

    tells = True

    def check(self, *, battle: Battle, voter: Voter) -> None:
        check_voter(arena=battle.arena, voter=voter)

    def voted(self, *, vote: Vote) -> None:
        """Nothing follows by itself: the voter may go on."""

    def ruled(self, *, ruling: VoteRuling) -> None:
        """The conversation stays as it was held."""

    def served_again(self, *, old: Battle, new: Battle) -> None:
        turn = Turn.objects.filter(battle=old).first()
        if turn is not None and is_followed(turn):
            raise TooLate(_("The conversation has gone on from this vote: it stays."))
        Turn.objects.filter(battle=old).update(battle=new)


def _advance(turn: Turn) -> None:
    ended = _ended(turn)  # before the answers are read: whoever ends in between has answered
    answers = dict(Response.objects.filter(prompt=turn.prompt_id, sample=0).values_list("contestant", "pk"))
    shown, reserve = list(turn.contestants["shown"]), list(turn.contestants["reserve"])
    for place, contestant in enumerate(shown):
        if contestant in answers or contestant not in ended:
            continue
        if not reserve:
            return _give_up(turn, BROKEN)
        # In the same slot: the order was drawn before anybody knew who would fail.
        shown[place] = reserve.pop()
        have_answered(turn, shown[place])
    if shown != turn.contestants["shown"]:
        turn.contestants = {"shown": shown, "reserve": reserve}
        turn.save(update_fields=["contestants"])
    if all(one in answers for one in shown):
        return _serve(turn, shown, answers)
    if timezone.now() - turn.created_at > LONGEST_WAIT:
        _give_up(turn, TOO_SLOW)
    return None


def _serve(turn: Turn, shown: list[int], answers: dict[int, int]) -> None:
    conversation = turn.conversation
    battle = Battle.objects.create(
        arena_id=conversation.arena_id,
        prompt_id=turn.prompt_id,
        voter_id=conversation.voter_id,
        channel=f"{CHANNEL}:{conversation.pk}",
        k=len(shown),
        strategy=turn.strategy,
        propensity=turn.propensity,
    )
    Slot.objects.bulk_create(
        Slot(battle=battle, position=position, contestant_id=contestant, response_id=answers[contestant])
        for position, contestant in enumerate(shown)
    )
    turn.battle, turn.state = battle, Turn.State.READY
    turn.save(update_fields=["battle", "state"])


def _give_up(turn: Turn, problem: str) -> None:
    turn.state, turn.problem = Turn.State.FAILED, problem
    turn.save(update_fields=["state", "problem"])
    for job in _jobs(turn):
        jobs.cancel(job)


def _ended(turn: Turn) -> set[int]:
    """The contestants whose work is over, well or not."""
    working = (Job.State.QUEUED, Job.State.RUNNING)
    return {job.payload["contestant"] for job in _jobs(turn) if job.state not in working}


def _jobs(turn: Turn) -> list[Job]:
    keys = [_key(turn, one) for one in turn.contestants["shown"]]
    return list(Job.objects.filter(unique_key__in=keys).order_by("pk"))


def _key(turn: Turn, contestant: int) -> str:
    return f"live:{turn.pk}:{contestant}"
