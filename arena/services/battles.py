"""Serving battles: one open battle per voter and arena, and what the voter may see of it."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from django.utils import timezone

from arena.errors import BadInput
from arena.models import Arena, Battle, Slot, Voter
from arena.models.arenas import LARGEST_BATTLE, SMALLEST_BATTLE
from arena.services import access, matchmaking


def start_battle(*, arena: Arena, voter: Voter, k: int | None = None) -> Battle:
    """The voter's open battle in this arena, or a new one of `k` responses (None: the arena's K).

    An open battle is served again, so that a reload cannot fish for a contestant; it ends
    by a vote or a skip, or when one of its contestants is retired. Raises BadInput,
    NotEnoughResponses, SignInNeeded and NotAllowed.
    """
    check_voter(arena=arena, voter=voter)
    if k is not None and not SMALLEST_BATTLE <= k <= LARGEST_BATTLE:
        raise BadInput(f"A battle has {SMALLEST_BATTLE} to {LARGEST_BATTLE} responses, not {k}.")
    battle = _open_battle(arena, voter)
    if battle is not None:
        return battle
    draw = matchmaking.draw_battle(arena=arena, voter=voter, k=k or arena.k)
    try:
        return _store(arena, voter, draw)
    except IntegrityError:
        # Two tabs asked at once and the other one's battle is there.
        battle = _open_battle(arena, voter)
        if battle is None:
            raise
        return battle


def check_voter(*, arena: Arena, voter: Voter) -> None:
    """Raises SignInNeeded or NotAllowed where this voter may not vote here.

    Imported, simulated and judging voters act for those who may manage the arena.
    """
    if arena.access != Arena.Access.OPEN and voter.kind == Voter.Kind.PERSON:
        access.may_vote(arena=arena, user=voter.user or AnonymousUser())


def blind_view(battle: Battle) -> dict[str, Any]:
    """All that the voter's browser or client gets before the vote: an allow-list.

    The same for every contestant but for what was written: tokens are random and made for
    this battle, and nothing that says who, when, how fast or with what settings is in it.
    """
    messages = battle.prompt.messages if battle.prompt else []
    slots = battle.slots.select_related("response").order_by("position")
    return {
        "id": str(battle.pk),
        "arena": battle.arena.slug,
        "k": battle.k,
        "prompt": {"messages": [{"role": each["role"], "content": each["content"]} for each in messages]},
        "slots": [
            {
                "token": slot.token,
                "position": slot.position,
                "text": slot.response.text if slot.response else "",
                "html": slot.response.html if slot.response else "",
            }
            for slot in slots
        ],
    }


def _open_battle(arena: Arena, voter: Voter) -> Battle | None:
    battle = Battle.objects.open().filter(arena=arena, voter=voter).select_related("arena", "prompt").first()
    if battle is None:
        return None
    retired = battle.slots.exclude(contestant__retired_at=None).exists()
    if not retired and (battle.prompt is None or battle.prompt.retired_at is None):
        return battle
    Battle.objects.open().filter(pk=battle.pk).update(closed_at=timezone.now())
    return None


@transaction.atomic
def _store(arena: Arena, voter: Voter, draw: matchmaking.Draw) -> Battle:
    battle = Battle.objects.create(
        arena=arena,
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
