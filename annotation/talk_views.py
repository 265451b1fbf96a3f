"""Conversations: ask the models, judge their answers, and go on from the best one."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.ballot_form import fields_of, tokens_of
from annotation.services import voting
from annotation.stages import Places, Stage, after_stage, battle_stage, cast_form
from annotation.views import enter_to_vote, next_stage, page
from arena.api.errors import status_of
from arena.errors import ArenaError, ConsentNeeded, NotFound
from arena.models import Arena, Turn, Vote, Voter
from arena.services import live
from arena.services.battles import blind_view, mark_shown
from arena.services.details import LETTERS
from arena.services.drafts import save_draft
from arena.services.live_turns import look
from arena.services.undo import undo_vote
from arena.services.voters import known_voter, voter_for
from arena.services.votes import reveal
from arena.views.entry import PageRequest, arena_page, person

ASKING, FAILED = "annotation/_asking.html", "annotation/_ask_failed.html"


@never_cache
@require_http_methods(["GET", "POST"])
def ask(request: PageRequest, slug: str) -> HttpResponse:
    """Where a conversation begins; POST asks."""
    arena = enter_to_vote(request, slug)
    if not arena.own_prompts:
        raise NotFound(_("In this arena the prompts are given: nobody asks their own."))
    text, problem, status = "", "", 200
    if request.method == "POST":
        text = request.POST.get("text", "")
        try:
            turn = live.ask(arena=arena, voter=voter_for(request), text=text)
        except ConsentNeeded:
            return redirect("vote", slug=slug)
        except ArenaError as error:
            problem, status = str(error), status_of(error)
        else:
            return redirect("talk", slug=slug, talk=turn.conversation_id)
    context = {
        **arena_page(request, arena, "ask"),
        "text": text,
        "problem": problem,
        "longest": live.LONGEST_QUESTION,
        "conversations": live.conversations_of(arena=arena, voter=known_voter(request)),
    }
    return render(request, "annotation/ask.html", context, status=status)


@never_cache
@require_GET
def talk(request: PageRequest, slug: str, talk: UUID) -> HttpResponse:
    """The newest turn: awaited, to be judged, judged, or given up."""
    arena = enter_to_vote(request, slug)
    turn = look(live.get_turn(arena=arena, conversation=talk, voter=known_voter(request)))
    return page(request, arena, turn_stage(arena, turn, seen=True))


@never_cache
@require_GET
def following(request: PageRequest, slug: str, talk: UUID) -> HttpResponse:
    """What the page shows next: the turn as it is now, and once it is judged the next battle of the arena."""
    arena = enter_to_vote(request, slug)
    voter = voter_for(request)
    turn = look(live.get_turn(arena=arena, conversation=talk, voter=voter))
    judged = turn.battle is not None and turn.battle.closed_at is not None
    stage = next_stage(arena, voter, seen=False) if judged else turn_stage(arena, turn, seen=False)
    return render(request, stage["stage"], {"arena": arena, **stage})


@never_cache
@require_POST
def cast(request: PageRequest, slug: str, talk: UUID) -> HttpResponse:
    """Take the vote on the newest turn."""
    arena = enter_to_vote(request, slug)
    voter = voter_for(request)
    turn = live.get_turn(arena=arena, conversation=talk, voter=voter)
    if turn.battle is None or request.POST.get("battle") != str(turn.battle_id):
        raise NotFound(_("The form names no battle of this conversation. Open it again."))
    outcome = cast_form(form=request.POST, battle=turn.battle, voter=voter, places=talk_places(turn))
    stage = outcome.stage
    if outcome.vote is not None:
        if not request.htmx:
            return redirect("talk", slug=slug, talk=talk)
        stage = judged_stage(turn, outcome.vote)
    if request.htmx:
        return render(request, stage["stage"], {"arena": arena, **stage}, status=outcome.status)
    return page(request, arena, stage, status=outcome.status)


@never_cache
@require_POST
def go_on(request: PageRequest, slug: str, talk: UUID) -> HttpResponse:
    """Ask the next message, on from the preferred response; or ask once more what could not be answered."""
    arena = enter_to_vote(request, slug)
    voter = voter_for(request)
    turn = live.get_turn(arena=arena, conversation=talk, voter=voter)
    text = request.POST.get("text", "")
    try:
        before = live.vote_before(turn)
        asked = live.ask(
            arena=arena, voter=voter, text=text, after=before, token=request.POST.get("from", "")
        )
    except ArenaError as error:
        stage = turn_stage(arena, turn, seen=True)
        stage["talk"] = {**stage["talk"], "text": text, "problem": str(error)}
        return page(request, arena, stage, status=status_of(error))
    return redirect("talk", slug=slug, talk=asked.conversation_id)


@never_cache
@require_GET
def votes(request: PageRequest, slug: str, talk: UUID) -> HttpResponse:
    """The address that those of single votes begin with: back to the conversation."""
    enter_to_vote(request, slug)
    return redirect("talk", slug=slug, talk=talk)


@never_cache
@require_POST
def names(request: PageRequest, slug: str, talk: UUID, battle: UUID) -> HttpResponse:
    """Show the names of a vote that could be undone until now."""
    arena, turn, vote = _judged(request, slug, talk, battle)
    reveal(vote)
    if not request.htmx:
        return redirect("talk", slug=slug, talk=talk)
    vote.battle.refresh_from_db(fields=["revealed_at"])
    stage = judged_stage(turn, vote)
    return render(request, stage["stage"], {"arena": arena, **stage})


@never_cache
@require_POST
def undo(request: PageRequest, slug: str, talk: UUID, battle: UUID) -> HttpResponse:
    """Take the vote back: the same battle again, filled in as it was."""
    arena, turn, vote = _judged(request, slug, talk, battle)
    anew = undo_vote(vote=vote, voter=vote.voter, by=person(request))
    save_draft(battle=anew, voter=vote.voter, form=fields_of(vote, tokens_of(blind_view(anew))))
    if not request.htmx:
        return redirect("talk", slug=slug, talk=talk)
    stage = battle_stage(anew, talk_places(turn))
    return render(request, stage["stage"], {"arena": arena, **stage})


def turn_stage(arena: Arena, turn: Turn, *, seen: bool) -> Stage:
    """The context of a turn in whatever state it is."""
    places = talk_places(turn)
    if turn.state == Turn.State.WAITING:
        return {"stage": ASKING, "places": places, "talk": _talk(turn), "waiting": True}
    if turn.state == Turn.State.FAILED or turn.battle is None:
        before = live.vote_before(turn)
        said = {"text": turn.prompt.text, "problem": _(turn.problem), "best": _best(before) if before else []}
        return {"stage": FAILED, "places": places, "talk": {**_talk(turn), **said}}
    vote = live.vote_on(turn)
    if vote is not None:
        return judged_stage(turn, vote)
    if seen:
        mark_shown(turn.battle)
    return {**battle_stage(turn.battle, places), "talk": _talk(turn)}


def judged_stage(turn: Turn, vote: Vote) -> Stage:
    """After the vote: what may be told, and the form to go on with while the conversation may."""
    arena = vote.arena
    places = talk_places(turn, home=reverse("vote", args=[arena.slug]))
    told = {"goes_on": live.can_go_on(vote), "best": _best(vote)}
    return {**after_stage(vote, places), "talk": {**_talk(turn), **told}}


def talk_places(turn: Turn, home: str = "") -> Places:
    """The addresses of a conversation."""
    slug, talk = turn.conversation.arena.slug, turn.conversation_id
    return Places(
        home=home or reverse("talk", args=[slug, talk]),
        next=reverse("talk_next", args=[slug, talk]),
        cast=reverse("talk_cast", args=[slug, talk]),
        votes=reverse("talk_votes", args=[slug, talk]),
        board=reverse("leaderboard", args=[slug]),
    )


def _best(vote: Vote) -> list[tuple[str, str]]:
    """Token and letter of the responses that the conversation may go on from."""
    return [(slot.token, LETTERS[slot.position]) for slot in live.best_slots(vote)]


def _talk(turn: Turn) -> dict[str, Any]:
    slug = turn.conversation.arena.slug
    return {
        "number": turn.number,
        "turns": turn.conversation.arena.turns,
        "go_on": reverse("talk_go_on", args=[slug, turn.conversation_id]),
        "messages": turn.prompt.messages,
        "longest": live.LONGEST_QUESTION,
        "text": "",
        "problem": "",
        "goes_on": False,
    }


def _judged(request: PageRequest, slug: str, talk: UUID, battle: UUID) -> tuple[Arena, Turn, Vote]:
    arena = enter_to_vote(request, slug)
    voter: Voter | None = known_voter(request)
    turn = live.get_turn(arena=arena, conversation=talk, voter=voter)
    return arena, turn, voting.get_vote(arena=arena, battle_id=battle, voter=voter)
