"""Serving battles: one open battle per voter and arena, and what the voter may see of it."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from django.db.models import Prefetch, prefetch_related_objects
from django.utils import timezone
from django.utils.translation import gettext as _

from arena.errors import AllSeen, BadInput, NotEnoughResponses
from arena.models import Arena, Battle, Prompt, Slot, Voter
from arena.models.arenas import LARGEST_BATTLE, SMALLEST_BATTLE
from arena.services import access, matchmaking
from arena.services.joint import draw_joint
from arena.services.media import blind_file
from arena.services.rendering import html_of
from arena.services.responses import top_up
from arena.services.standing import check_not_paused
from arena.services.surveys import check_asked

ASIDE = "aside:"


def start_battle(*, arena: Arena, voter: Voter, k: int | None = None) -> Battle:
    """The voter's open battle in this arena, or a new one of `k` responses (None: the arena's K).

    The one open in free voting is served again, so that a reload cannot fish for a contestant; it ends
    by a vote or a skip, or when one of its contestants is retired. Raises BadInput,
    NotEnoughResponses, SignInNeeded and NotAllowed.
    """
    check_voter(arena=arena, voter=voter)
    check_asked(arena=arena, voter=voter)
    if k is not None and not SMALLEST_BATTLE <= k <= LARGEST_BATTLE:
        raise BadInput(
            _("A battle has %(smallest_battle)s to %(largest_battle)s responses, not %(k)s.")
            % {"smallest_battle": SMALLEST_BATTLE, "largest_battle": LARGEST_BATTLE, "k": k}
        )
    battle = _open_battle(arena, voter)
    if battle is not None:
        return battle
    draws = draw_joint if arena.joint else matchmaking.draw_battle
    try:
        draw = draws(arena=arena, voter=voter, k=k or arena.k)
    except AllSeen:
        top_up(arena)
        raise
    try:
        return _store(arena, voter, draw)
    except IntegrityError:
        # Two tabs asked at once and the other one's battle is there.
        battle = _open_battle(arena, voter)
        if battle is None:
            raise
        return battle


def draw_ahead(*, arena: Arena, voter: Voter) -> Battle | None:
    """The battle after the one that the voter is judging, drawn while they do; None where there is none.

    It waits aside and is the next that `start_battle` serves, whether or not this one was asked for.
    """
    if _open_battle(arena, voter) is None:
        return None
    waiting = Battle.objects.open().filter(arena=arena, voter=voter, channel=ASIDE)
    battle = waiting.select_related("arena", "prompt", "draft").first()
    if battle is not None:
        return battle
    draws = draw_joint if arena.joint else matchmaking.draw_battle
    try:
        return _store(arena, voter, draws(arena=arena, voter=voter, k=arena.k), channel=ASIDE)
    except (NotEnoughResponses, IntegrityError):
        return None


def check_voter(*, arena: Arena, voter: Voter) -> None:
    """Raises SignInNeeded or NotAllowed where this voter may not vote here, or is paused.

    Imported, simulated and judging voters act for those who may manage the arena.
    """
    if arena.access != Arena.Access.OPEN and voter.kind == Voter.Kind.PERSON:
        access.may_vote(arena=arena, user=voter.user or AnonymousUser())
    check_not_paused(arena=arena, voter=voter)


def blind_view(battle: Battle) -> dict[str, Any]:
    """All that the voter's browser or client gets before the vote: an allow-list.

    The same for every contestant but for what was written: tokens are random and made for
    this battle, and nothing that says who, when, how fast or with what settings is in it.
    """
    return {
        "id": str(battle.pk),
        "arena": battle.arena.slug,
        "k": battle.k,
        "prompt": _prompt_view(battle.prompt),
        "slots": [
            {
                "token": slot.token,
                "position": slot.position,
                "text": slot.response.text if slot.response else "",
                "html": html_of(slot.response) if slot.response else "",
                "file": blind_file(battle=battle, token=slot.token, response=slot.response),
                # Its own prompt, where the battle has none for all.
                "prompt": None
                if battle.prompt_id or not slot.response
                else _prompt_view(slot.response.prompt),
            }
            for slot in slots_of(battle)
        ],
    }


def slots_of(battle: Battle) -> list[Slot]:
    """The slots in their order with all that is shown of them, read once for each battle that was read."""
    slots = Slot.objects.select_related("response__prompt", "contestant").order_by("position")
    prefetch_related_objects([battle], Prefetch("slots", slots))
    return sorted(battle.slots.all(), key=lambda slot: slot.position)


def _prompt_view(prompt: Prompt | None) -> dict[str, Any]:
    messages = prompt.messages if prompt else []
    return {"messages": [{"role": each["role"], "content": each["content"]} for each in messages]}


def mark_shown(battle: Battle) -> None:
    """The battle is on the voter's screen now: from here its time runs, and the vote before stands."""
    now = timezone.now()
    if battle.shown_at is None and Battle.objects.open().filter(pk=battle.pk, shown_at=None).update(
        shown_at=now
    ):
        battle.shown_at = now
        if battle.channel.startswith(ASIDE):
            take_up_again(arena=battle.arena, voter=battle.voter, channel=battle.channel.removeprefix(ASIDE))


def set_aside(battle: Battle) -> None:
    """Make room for `battle` to be shown anew: what was fetched ahead in its channel waits until then."""
    mine = Battle.objects.open().filter(arena=battle.arena_id, voter=battle.voter_id)
    aside = ASIDE + battle.channel
    if mine.filter(channel=aside).exists():
        # One waits already: there is room for one.
        mine.filter(channel=battle.channel).update(closed_at=timezone.now())
    else:
        mine.filter(channel=battle.channel).update(channel=aside)


def take_up_again(*, arena: Arena, voter: Voter, channel: str = "") -> None:
    """Call before looking for the voter's open battle: what was set aside comes next, if nothing is open."""
    aside = Battle.objects.open().filter(arena=arena, voter=voter, channel=ASIDE + channel)
    if (
        aside.exists()
        and not Battle.objects.open().filter(arena=arena, voter=voter, channel=channel).exists()
    ):
        aside.update(channel=channel)


def _open_battle(arena: Arena, voter: Voter) -> Battle | None:
    mine = Battle.objects.open().filter(arena=arena, voter=voter, channel__in=["", ASIDE])
    # The one of free voting before one that was set aside.
    battle = mine.select_related("arena", "prompt", "draft").order_by("channel").first()
    if battle is None:
        return None
    if battle.channel:
        take_up_again(arena=arena, voter=voter)
        battle.channel = ""
    retired = battle.slots.exclude(contestant__retired_at=None).exists()
    if not retired and (battle.prompt is None or battle.prompt.retired_at is None):
        return battle
    Battle.objects.open().filter(pk=battle.pk).update(closed_at=timezone.now())
    return None


@transaction.atomic
def _store(arena: Arena, voter: Voter, draw: matchmaking.Draw, channel: str = "") -> Battle:
    battle = Battle.objects.create(
        arena=arena,
        channel=channel,
        prompt_id=draw.prompt,
        voter=voter,
        k=len(draw.responses),
        strategy=draw.strategy,
        propensity=draw.propensity,
    )
    Slot.objects.bulk_create(
        Slot(battle=battle, position=position, contestant_id=contestant, response_id=response)
        for position, (contestant, response) in enumerate(zip(draw.contestants, draw.responses, strict=True))
    )
    return battle
