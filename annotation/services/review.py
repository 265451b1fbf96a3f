"""Review: what people disagree on first, side by side, and an adjudicator's own answer.

An item is a prompt and a set of responses, whoever was shown them in whatever order. The
adjudicated answer is a vote of a voter of its own kind on a battle of its own purpose: it never
counts among people's votes unless somebody asks a leaderboard for it, and it can be taken back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.services.review_queue import queue_of
from arena.errors import BadInput, NotFound
from arena.models import Arena, Battle, Slot, Vote, Voter, VoteRuling
from arena.services import access
from arena.services.ballots import Ballot
from arena.services.votes import cast_vote, rule_on_vote

CHANNEL, STRATEGY = "review", "review"
LETTERS = "ABCDEFGH"
LONGEST_NOTE = 2000
# What went wrong, where somebody did. Kept with the adjudicated answer.
ERROR_TYPES = {
    "": gettext_lazy("Nothing went wrong: people differ"),
    "misread": gettext_lazy("A response or the prompt was misread"),
    "guideline": gettext_lazy("The guidelines were not followed"),
    "careless": gettext_lazy("Careless: too fast, or always the same"),
    "unclear": gettext_lazy("The guidelines do not say"),
    "bad_item": gettext_lazy("The prompt or the responses cannot be judged"),
    "other": gettext_lazy("Something else"),
}


@dataclass(frozen=True)
class Answer:
    """What one person said of the item, in the item's letters."""

    vote: Vote
    order: str
    seconds: float | None
    counted: bool
    adjudicated: bool
    details: Mapping[str, Any]
    error_type: str = ""
    note: str = ""


@dataclass(frozen=True)
class Item:
    """An item whole: its battle that stands for all, the slots in its order, and everybody's answers."""

    battle: Battle
    slots: list[Slot]
    answers: list[Answer]

    @property
    def adjudicated(self) -> list[Answer]:
        return [one for one in self.answers if one.adjudicated and one.counted]


def get_item(*, arena: Arena, battle_id: UUID) -> Item:
    """The item of that battle, with what everybody said of the same responses. Raises NotFound."""
    battle = Battle.objects.filter(arena=arena, pk=battle_id, votes__isnull=False).select_related("prompt")
    first = battle.first()
    if first is None:
        raise NotFound(_("There is no such battle with a vote in this arena."))
    slots = list(first.slots.select_related("response__prompt").order_by("position"))
    same = _same_item(first, slots)
    letters = {slot.response_id: LETTERS[place] for place, slot in enumerate(slots)}
    votes = (
        Vote.objects.filter(battle__in=same)
        .exclude(voter__kind=Voter.Kind.JUDGE)
        .select_related("voter__user", "battle")
        .prefetch_related("battle__slots")
        .order_by("id")
    )
    counted = set(Vote.objects.counted().filter(battle__in=same).values_list("pk", flat=True))
    texts = {LETTERS[place]: slot.response.text for place, slot in enumerate(slots) if slot.response}
    answers = [_answer(vote, letters, texts, vote.pk in counted) for vote in votes]
    return Item(first, slots, answers)


@transaction.atomic
def adjudicate(*, item: Item, ballot: Ballot, by: User, note: str = "", error_type: str = "") -> Vote:
    """Give the item an answer of its own. Who has adjudicated it before replaces that answer.

    `ballot` is in the order of the item's slots. Raises NotAllowed, BadBallot and BadInput.
    """
    arena = item.battle.arena
    access.require_manager(arena=arena, user=by)
    if error_type not in ERROR_TYPES:
        raise BadInput(_("Choose what went wrong from the list."))
    if len(note) > LONGEST_NOTE:
        raise BadInput(_("The note has at most %(most)s characters.") % {"most": LONGEST_NOTE})
    voter, _made = Voter.objects.get_or_create(
        pseudonym=f"adjudicator-{arena.pk}-{by.pk}", defaults={"kind": Voter.Kind.ADJUDICATED}
    )
    for earlier in item.adjudicated:
        if earlier.vote.voter_id == voter.pk:
            _take_back(earlier.vote, by, _("Replaced by a later adjudication"))
    battle = _battle_for(item, voter)
    facts = {"adjudication": {"note": note.strip(), "error_type": error_type, "votes": len(item.answers)}}
    return cast_vote(battle=battle, voter=voter, ballot=ballot, facts=facts)


def take_back(*, item: Item, by: User) -> int:
    """Undo the adjudications of the item. Gives how many there were."""
    access.require_manager(arena=item.battle.arena, user=by)
    for one in item.adjudicated:
        _take_back(one.vote, by, _("The adjudication was taken back"))
    return len(item.adjudicated)


def as_rows(arena: Arena) -> list[dict[str, Any]]:
    """Every adjudicated item for export: everybody's answer beside the adjudicated one, by response id."""
    done, _count = queue_of(arena, show="done", count=10**9)
    return [_exported(get_item(arena=arena, battle_id=one.battle)) for one in done if one.battle]


def _exported(item: Item) -> dict[str, Any]:
    prompt = item.battle.prompt
    return {
        "prompt": None if prompt is None else prompt.key,
        "messages": None if prompt is None else prompt.messages,
        "responses": {
            LETTERS[place]: {
                "id": slot.response_id,
                "contestant": slot.contestant_id,
                "text": slot.response.text,
            }
            for place, slot in enumerate(item.slots)
            if slot.response is not None
        },
        "answers": [
            {
                "voter": one.vote.voter_id,
                "order": one.order,
                "kind": one.vote.kind,
                "seconds": one.seconds,
                "counted": one.counted,
                "adjudicated": one.adjudicated,
                "note": one.note,
                "error_type": one.error_type,
            }
            for one in item.answers
        ],
    }


def _same_item(first: Battle, slots: Sequence[Slot]) -> list[UUID]:
    """The voted battles of the same prompt with exactly the same responses."""
    wanted = {slot.response_id for slot in slots}
    others = Slot.objects.filter(
        battle__arena=first.arena_id, battle__prompt=first.prompt_id, battle__votes__isnull=False
    ).values_list("battle", "response")
    shown: dict[UUID, set[int | None]] = {}
    for battle, response in others:
        shown.setdefault(battle, set()).add(response)
    return [battle for battle, responses in shown.items() if responses == wanted] or [first.pk]


def _answer(vote: Vote, letters: Mapping[int | None, str], texts: Mapping[str, str], counted: bool) -> Answer:
    slots = sorted(vote.battle.slots.all(), key=lambda slot: slot.position)
    by_slot = [letters.get(slot.response_id, "?") for slot in slots]
    told = vote.details.get("adjudication", {})
    adjudicated = vote.voter.kind == Voter.Kind.ADJUDICATED
    time = vote.active_ms if vote.active_ms is not None else vote.wall_ms
    if adjudicated:
        time = None  # its battle is made when the answer is sent: nobody timed it
    return Answer(
        vote=vote,
        order=_order(vote, by_slot),
        seconds=None if time is None else time / 1000.0,
        counted=counted,
        adjudicated=adjudicated,
        details=_in_letters(vote.details, by_slot, texts),
        error_type=str(told.get("error_type", "")),
        note=str(told.get("note", "")),
    )


def _order(vote: Vote, letters: Sequence[str]) -> str:
    """ "A > B = C": best first; what is not ranked is left out."""
    if vote.ranks is None:
        return ""
    levels: dict[int, list[str]] = {}
    for rank, letter in zip(vote.ranks, letters, strict=True):
        if rank is not None:
            levels.setdefault(rank, []).append(letter)
    return " > ".join(" = ".join(sorted(levels[rank])) for rank in sorted(levels))


def _in_letters(
    details: Mapping[str, Any], letters: Sequence[str], texts: Mapping[str, str]
) -> dict[str, Any]:
    """Reason, confidence, marked spans and criteria, with the item's letters in place of slots."""
    reason = details.get("reason") or {}
    spans = [
        {
            "letter": letters[span["slot"]],
            # Offsets are in code points, and so are Python's.
            "text": texts.get(letters[span["slot"]], "")[span["start"] : span["end"]],
            "label": span.get("label", ""),
        }
        for span in details.get("spans") or []
    ]
    criteria = {}
    for key, said in (details.get("criteria") or {}).items():
        ranks = said.get("ranks") or []
        pairs = sorted((rank, letter) for rank, letter in zip(ranks, letters, strict=False) if rank)
        criteria[key] = ", ".join(f"{letter} {rank}" for rank, letter in pairs)
    return {
        "confidence": details.get("confidence"),
        "tags": reason.get("tags") or [],
        "text": reason.get("text") or "",
        "spans": spans,
        "criteria": criteria,
    }


def _battle_for(item: Item, voter: Voter) -> Battle:
    """The adjudicator's own battle of the item, in the item's order."""
    battle = Battle.objects.create(
        arena=item.battle.arena,
        prompt=item.battle.prompt,
        voter=voter,
        k=len(item.slots),
        strategy=STRATEGY,
        channel=CHANNEL,
        purpose=Battle.Purpose.ADJUDICATION,
    )
    Slot.objects.bulk_create(
        Slot(battle=battle, position=place, contestant_id=slot.contestant_id, response_id=slot.response_id)
        for place, slot in enumerate(item.slots)
    )
    return battle


def _take_back(vote: Vote, by: User, reason: str) -> None:
    rule_on_vote(vote=vote, action=VoteRuling.Action.WITHDRAWN, reason=reason, by=by)
