"""What people wrote themselves: the rewrite of a response becomes a response of its own."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from django.db import models

from arena.models import Arena, Battle, Contestant, Response, Slot, Vote, Voter
from arena.services.rendering import rendered

NAME = "People's rewrites"
AUTHOR = {"author": "person"}


def keep_rewrite(*, battle: Battle, slot: int, text: str) -> Response:
    """Store the rewrite of what stands in `slot`. Call in the transaction that stores the vote.

    Its contestant is made with the first one and is drawn for battles only where the lead
    lets rewrites compete.
    """
    original = battle.slots.select_related("response__prompt").get(position=slot).response
    if original is None:
        raise ValueError(f"Slot {slot} of battle {battle.pk} shows no text.")
    contestant = _contestant(battle.arena)
    newest = Response.objects.filter(prompt=original.prompt, contestant=contestant).aggregate(
        newest=models.Max("sample")
    )["newest"]
    return Response.objects.create(
        prompt=original.prompt,
        contestant=contestant,
        sample=0 if newest is None else newest + 1,
        text=text,
        **rendered(text=text),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        made_by={**AUTHOR, "battle": str(battle.pk), "rewrite_of": original.pk},
    )


def own_rewrites(*, arena: Arena, voter: Voter, prompts: Sequence[int]) -> set[int]:
    """Ids of the responses to these prompts that this voter wrote: nobody judges their own."""
    if not arena.judgement.get("rewrites_compete"):
        return set()
    rows = Response.objects.filter(prompt_id__in=prompts, contestant__in=_rewriters(arena))
    written = {made_by.get("battle", ""): pk for pk, made_by in rows.values_list("id", "made_by")}
    own = Battle.objects.filter(voter=voter, pk__in=[UUID(battle) for battle in written if battle])
    return {written[str(battle)] for battle in own.values_list("pk", flat=True)}


def take_back_rewrite(vote: Vote) -> None:
    """The vote was undone: what was written with it goes, unless somebody has judged it already."""
    made = vote.details.get("rewrite", {}).get("response")
    if made and not Slot.objects.filter(response=made).exists():
        Response.objects.filter(pk=made, made_by__author=AUTHOR["author"]).delete()


def let_compete(*, arena: Arena, compete: bool) -> None:
    """Whether rewrites are drawn for battles beside the models' responses."""
    _rewriters(arena).exclude(weight=float(compete)).update(weight=float(compete))


def _rewriters(arena: Arena) -> models.QuerySet[Contestant]:
    return Contestant.objects.filter(arena=arena, backend=Contestant.Backend.UPLOADED, name=NAME)


def _contestant(arena: Arena) -> Contestant:
    compete = bool(arena.judgement.get("rewrites_compete"))
    contestant, _ = _rewriters(arena).get_or_create(
        arena=arena,
        name=NAME,
        defaults={
            "backend": Contestant.Backend.UPLOADED,
            "description": "Written by voters who improved the response they judged best.",
            "weight": float(compete),
        },
    )
    return contestant
