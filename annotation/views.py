"""The voting page: one battle at a time, and the names after the vote."""

import secrets
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.ballot_form import SKIP_REASONS, active_ms, answer_in, chosen_ranks
from annotation.services import voting
from arena.api.errors import status_of
from arena.errors import (
    AlreadyVoted,
    ArenaError,
    BattleClosed,
    NotEnoughResponses,
    NotFound,
    NotYourBattle,
)
from arena.models import Arena, Battle, Vote, Voter
from arena.services import access
from arena.services.ballots import Ballot
from arena.services.battles import blind_view, start_battle
from arena.services.voters import known_voter, voter_for
from arena.services.votes import cast_vote, reveal
from arena.views.entry import PageRequest, arena_page
from arena.views.outputs import shown

LETTERS = "ABCDEFGH"
BATTLE, REVEAL, WAITING = (f"annotation/_{name}.html" for name in ("battle", "reveal", "waiting"))


@never_cache
@require_GET
def vote(request: PageRequest, slug: str) -> HttpResponse:
    """The page with the voter's open battle, or the next one."""
    arena = _enter(request, slug)
    return _page(request, arena, next_stage(arena, voter_for(request)))


@never_cache
@require_GET
def next_battle(request: PageRequest, slug: str) -> HttpResponse:
    """What the page shows next, fetched ahead while the voter reads the names."""
    arena = _enter(request, slug)
    stage = next_stage(arena, voter_for(request))
    return render(request, stage["stage"], {"arena": arena, **stage})


@never_cache
@require_POST
def cast(request: PageRequest, slug: str) -> HttpResponse:
    """Take the vote: the reveal for the script, a redirect to it for the plain form.

    Where the vote is refused the plain form is shown again as it was filled in, with the reason.
    """
    arena = _enter(request, slug)
    voter = voter_for(request)
    battle = voting.get_battle(arena=arena, pk=_battle_id(request))
    if battle.voter_id != voter.pk:
        raise NotYourBattle("This battle was served to somebody else. Start your own to vote.")
    blind = blind_view(battle)
    tokens = [slot["token"] for slot in blind["slots"]]
    form = request.POST.dict()
    try:
        taken = cast_vote(
            battle=battle,
            voter=voter,
            ballot=Ballot.parse(answer_in(form, tokens), battle.k),
            idempotency_key=form.get("idempotency_key"),
            active_ms=active_ms(form),
        )
    except ArenaError as error:
        over = isinstance(error, AlreadyVoted | BattleClosed)
        stage = battle_stage(blind, ranks=chosen_ranks(form, tokens), problem=str(error), over=over)
        stage["idempotency_key"] = form.get("idempotency_key", "")
        if request.htmx:
            return render(request, BATTLE, {"arena": arena, **stage}, status=status_of(error))
        return _page(request, arena, stage, status=status_of(error))
    if request.htmx:
        return render(request, REVEAL, {"arena": arena, **reveal_stage(taken, blind)})
    return redirect("voted", slug=slug, battle_id=battle.pk)


@never_cache
@require_GET
def voted(request: PageRequest, slug: str, battle_id: UUID) -> HttpResponse:
    """The voter's own vote, with the names where the arena tells them."""
    arena = _enter(request, slug)
    taken = voting.get_vote(arena=arena, battle_id=battle_id, voter=known_voter(request))
    return _page(request, arena, reveal_stage(taken, blind_view(taken.battle)))


def next_stage(arena: Arena, voter: Voter) -> dict[str, Any]:
    """The context of the voter's next battle, or of why there is none."""
    try:
        battle: Battle = start_battle(arena=arena, voter=voter)
    except NotEnoughResponses as error:
        return {"stage": WAITING, "waiting": voting.why_waiting(arena=arena, error=error)}
    return battle_stage(blind_view(battle))


def battle_stage(
    blind: dict[str, Any], *, ranks: list[int | None] | None = None, problem: str = "", over: bool = False
) -> dict[str, Any]:
    """The context of a battle before the vote: made of the blind view and nothing else."""
    k = blind["k"]
    cards = _cards(blind)
    for card, rank in zip(cards, ranks or [None] * k, strict=True):
        card["choices"] = [{"value": value, "checked": value == rank} for value in range(1, k + 1)]
    return {
        "stage": BATTLE,
        "battle": blind,
        "cards": cards,
        "idempotency_key": secrets.token_urlsafe(16),
        "skip_reasons": SKIP_REASONS,
        "problem": problem,
        "over": over,
    }


def reveal_stage(taken: Vote, blind: dict[str, Any]) -> dict[str, Any]:
    """The context after the vote: the same cards in the same order, with what may be told."""
    told = reveal(taken)
    cards = [
        {**card, **slot, "is_best": slot["rank"] == 1}
        for card, slot in zip(_cards(blind), told["slots"], strict=True)
    ]
    if taken.kind == Vote.Kind.SKIP:
        title = "Skipped. Thank you for saying so."
    elif not told["revealed"]:
        title = "Your vote is in. Thank you."
    else:
        title = "Your vote is in. These are the models and their ratings now."
    return {
        "stage": REVEAL,
        "battle": blind,
        "cards": cards,
        "title": title,
        "best_only": taken.kind == Vote.Kind.BEST,
    }


def _cards(blind: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "letter": LETTERS[slot["position"]],
            "token": slot["token"],
            "html": shown(slot["text"], slot["html"]),
        }
        for slot in blind["slots"]
    ]


def _enter(request: PageRequest, slug: str) -> Arena:
    arena = access.get_arena(slug=slug, user=request.user)
    access.may_vote(arena=arena, user=request.user)
    return arena


def _battle_id(request: PageRequest) -> UUID:
    try:
        return UUID(request.POST.get("battle", ""))
    except ValueError:
        raise NotFound("The form names no battle. Start the next one.") from None


def _page(request: PageRequest, arena: Arena, stage: dict[str, Any], status: int = 200) -> HttpResponse:
    guidelines = shown(arena.guidelines)
    context = {**arena_page(request, arena, "vote"), "guidelines": guidelines, **stage}
    return render(request, "annotation/vote.html", context, status=status)
