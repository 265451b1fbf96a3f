"""What voters ask the models themselves: asked, answered by contestants drawn for it, judged, gone on with.

Each turn is a prompt of its own, which nobody else is shown. Its responses are made at once, ahead of
other work, and shown all together when all are there: when and how fast each came would tell who wrote
it. What becomes of a turn is in arena/services/live_turns.py.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from arena.errors import BadInput, NotEnoughResponses, NotFound, TooMany
from arena.models import Arena, Contestant, Conversation, Prompt, Slot, Turn, Vote, Voter
from arena.services import matchmaking, routing
from arena.services.battles import check_voter
from arena.services.live_turns import LONGEST_WAIT, have_answered, is_followed
from arena.services.prompts import HELD_OUT_SHARE, checked_messages, drawn_split
from arena.services.surveys import check_asked

LONGEST_QUESTION = 8_000  # characters
# What one voter may ask, and how many may wait in one arena at a time.
MOST_ASKED, ASKED_WITHIN = 20, timedelta(minutes=10)
MOST_WAITING = 25


def ask(*, arena: Arena, voter: Voter, text: str, after: Vote | None = None, token: str = "") -> Turn:
    """Put the voter's message to K contestants drawn for it; a first one, or one `after` a vote.

    After a vote the conversation goes on from the response of the slot `token`, one of the voter's
    best; it may be left out where there is only one. Raises BadInput, TooMany, NotEnoughResponses,
    ConsentNeeded, SignInNeeded and NotAllowed.
    """
    if not arena.own_prompts:
        raise BadInput(_("In this arena the prompts are given: nobody asks their own."))
    check_voter(arena=arena, voter=voter)
    check_asked(arena=arena, voter=voter)
    messages = [*_so_far(arena, voter, after, token), {"role": "user", "content": _checked(text)}]
    _check_limits(arena, voter)
    draw, reserve = _drawn(arena, voter, messages)
    with transaction.atomic():
        turn = _store(arena, voter, after, checked_messages(messages))
        turn.strategy, turn.propensity = draw.strategy, draw.propensity
        turn.contestants = {"shown": list(draw.contestants), "reserve": reserve}
        turn.save()
        for contestant in draw.contestants:
            have_answered(turn, contestant)
    return turn


def get_turn(*, arena: Arena, conversation: UUID, voter: Voter | None, number: int | None = None) -> Turn:
    """The voter's own turn, the newest without a number. Raises NotFound, also for other voters' turns."""
    turns = Turn.objects.filter(
        conversation=conversation, conversation__arena=arena, conversation__voter=voter
    )
    if number is not None:
        turns = turns.filter(number=number)
    turn = turns.select_related("conversation__arena", "prompt", "battle").order_by("-number").first()
    if voter is None or turn is None:
        raise NotFound(_("You have no such conversation in this arena."))
    return turn


def conversations_of(*, arena: Arena, voter: Voter | None) -> list[Turn]:
    """The first turns of the voter's latest conversations, newest first."""
    if voter is None:
        return []
    turns = Turn.objects.filter(conversation__arena=arena, conversation__voter=voter, number=1)
    return list(turns.select_related("prompt").order_by("-pk")[:20])


def vote_on(turn: Turn) -> Vote | None:
    """The voter's vote on the turn, if it is judged."""
    votes = Vote.objects.filter(battle=turn.battle_id, voter=turn.conversation.voter_id)
    return votes.select_related("arena", "voter", "battle__arena", "battle__prompt").first()


def vote_before(turn: Turn) -> Vote | None:
    """The vote that the next message follows; None where the conversation begins anew.

    A turn that was given up is asked again: what counts then is the vote before it. Raises BadInput
    where the turn is not judged yet.
    """
    if turn.state == Turn.State.FAILED:
        before = Turn.objects.filter(conversation=turn.conversation_id, number=turn.number - 1).first()
        return None if before is None else vote_on(before)
    vote = vote_on(turn) if turn.battle_id else None
    if vote is None:
        raise BadInput(_("Judge these responses first; then the conversation goes on."))
    return vote


def can_go_on(vote: Vote) -> bool:
    """Whether another turn may follow: the arena allows it, and something was preferred."""
    turn = _turn_of(vote)
    if turn is None or turn.number >= vote.arena.turns or is_followed(turn):
        return False
    return bool(best_slots(vote))


def best_slots(vote: Vote) -> list[Slot]:
    """The slots that the voter ranked first, in the order they were shown."""
    if vote.kind not in (Vote.Kind.RANKING, Vote.Kind.BEST) or not vote.ranks:
        return []
    first = [place for place, rank in enumerate(vote.ranks) if rank == 1]
    slots = vote.battle.slots.filter(position__in=first).select_related("response")
    return list(slots.order_by("position"))


def _so_far(arena: Arena, voter: Voter, after: Vote | None, token: str) -> list[dict[str, str]]:
    if after is None:
        return []
    if after.voter_id != voter.pk or after.arena_id != arena.pk or _turn_of(after) is None:
        raise NotFound(_("You have no such conversation in this arena."))
    if not can_go_on(after):
        raise BadInput(_("This conversation has ended. Begin another one."))
    best = best_slots(after)
    chosen = [slot for slot in best if slot.token == token or (not token and len(best) == 1)]
    if not chosen or chosen[0].response is None:
        raise BadInput(_("Choose which of your best responses the conversation goes on from."))
    prompt = after.battle.prompt
    before = list(prompt.messages) if prompt is not None else []
    return [*before, {"role": "assistant", "content": chosen[0].response.text}]


def _checked(text: str) -> str:
    text = text.strip()
    if not text:
        raise BadInput(_("Write what you want to ask."))
    if len(text) > LONGEST_QUESTION:
        raise BadInput(
            _("Your message has %(length)s characters; at most %(most)s are taken. Make it shorter.")
            % {"length": len(text), "most": LONGEST_QUESTION}
        )
    return text


def _check_limits(arena: Arena, voter: Voter) -> None:
    since = timezone.now() - ASKED_WITHIN
    if Prompt.objects.filter(asked_by=voter, created_at__gt=since).count() >= MOST_ASKED:
        raise TooMany(
            _("You have asked %(most)s times in ten minutes. Wait a little, then ask again.")
            % {"most": MOST_ASKED}
        )
    waiting = Turn.objects.filter(
        state=Turn.State.WAITING, conversation__arena=arena, created_at__gt=timezone.now() - LONGEST_WAIT
    )
    if waiting.filter(conversation__voter=voter).exists():
        raise TooMany(_("The models are still answering what you asked before. Wait for it, then ask again."))
    if waiting.count() >= MOST_WAITING:
        raise TooMany(_("Many people are asking just now. Try again in a minute."))


def _drawn(
    arena: Arena, voter: Voter, messages: Sequence[dict[str, str]]
) -> tuple[matchmaking.Group, list[int]]:
    """The contestants of the slots in their order, and one in reserve where there is one."""
    running = Contestant.objects.active().filter(arena=arena, weight__gt=0)
    running = running.exclude(backend=Contestant.Backend.UPLOADED)
    ids = [one.pk for one in routing.able(running, messages)]
    k = min(arena.k, len(ids))
    if k < 2:
        raise NotEnoughResponses(
            _("Asking needs two contestants that a worker can run, and this arena has %(count)s.")
            % {"count": len(ids)}
        )
    draw = matchmaking.draw_group(arena=arena, voter=voter, k=k, among=ids)
    rest = [one for one in ids if one not in draw.contestants]
    return draw, matchmaking.shuffled(rest)[:1]


def _store(arena: Arena, voter: Voter, after: Vote | None, messages: Sequence[dict[str, str]]) -> Turn:
    """The turn with its prompt; whoever asks the same turn twice at once gets TooMany."""
    before = None if after is None else _turn_of(after)
    if before is None:
        conversation, number = Conversation.objects.create(arena=arena, voter=voter), 1
        split = drawn_split(list(messages), HELD_OUT_SHARE)
    else:
        # All turns of a conversation stay on one side of the split: they share their beginning.
        conversation, number, split = before.conversation, before.number + 1, before.prompt.split
    prompt = Prompt.objects.create(
        arena=arena, key=f"asked-{uuid4().hex}", messages=list(messages), split=split, asked_by=voter
    )
    Turn.objects.filter(conversation=conversation, number=number, state=Turn.State.FAILED).delete()
    try:
        with transaction.atomic():
            return Turn.objects.create(
                conversation=conversation, number=number, prompt=prompt, contestants={}
            )
    except IntegrityError as error:
        raise TooMany(_("You have asked this already. The answers are on their way.")) from error


def _turn_of(vote: Vote) -> Turn | None:
    return Turn.objects.filter(battle=vote.battle_id).select_related("conversation", "prompt").first()
