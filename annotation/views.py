"""The voting page of an arena: one battle at a time, and the names after the vote."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.ballot_form import fields_of, tokens_of
from annotation.services import voting
from annotation.stages import Stage, after_stage, arena_places, battle_stage, cast_form
from annotation.words import words
from arena.errors import ConsentNeeded, NotEnoughResponses, NotFound, NotYourBattle
from arena.models import Arena, Voter
from arena.services import access
from arena.services.battles import blind_view, draw_ahead, mark_shown, start_battle
from arena.services.drafts import save_draft
from arena.services.standing import standing_of
from arena.services.surveys import Question, has_answers, questions_of, waiting_survey
from arena.services.undo import undo_vote
from arena.services.voters import known_voter, voter_for
from arena.services.votes import reveal
from arena.views.entry import PageRequest, arena_page, person
from arena.views.outputs import shown

WAITING, SURVEY = "annotation/_waiting.html", "annotation/_survey.html"


@never_cache
@require_GET
def vote(request: PageRequest, slug: str) -> HttpResponse:
    """The page with the voter's open battle, or the next one."""
    arena = enter_to_vote(request, slug)
    voter = voter_for(request)
    stage = next_stage(arena, voter, seen=True)
    return page(request, arena, {**stage, "standing": standing_of(arena=arena, voter=voter)})


@never_cache
@require_GET
def next_battle(request: PageRequest, slug: str) -> HttpResponse:
    """What the page shows next, fetched ahead: `?ahead` while a battle is judged, else after the vote."""
    arena = enter_to_vote(request, slug)
    if "ahead" in request.GET:
        battle = draw_ahead(arena=arena, voter=voter_for(request))
        if battle is None:
            return HttpResponse(status=204)
        stage = battle_stage(battle, arena_places(arena))
        return render(request, stage["stage"], {"arena": arena, **stage})
    stage = next_stage(arena, voter_for(request), seen=False)
    return render(request, stage["stage"], {"arena": arena, **stage})


@never_cache
@require_POST
def cast(request: PageRequest, slug: str) -> HttpResponse:
    """Take the vote: what comes after it for the script, a redirect to it for the plain form.

    Where the vote is refused the plain form is shown again as it was filled in, with the reason.
    """
    arena = enter_to_vote(request, slug)
    voter = voter_for(request)
    battle = voting.get_battle(arena=arena, pk=battle_id(request))
    if battle.voter_id != voter.pk:
        raise NotYourBattle(_("This battle was served to somebody else. Start your own to vote."))
    outcome = cast_form(form=request.POST, battle=battle, voter=voter, places=arena_places(arena))
    if request.htmx:
        stage = outcome.stage
        return render(request, stage["stage"], {"arena": arena, **stage}, status=outcome.status)
    if outcome.vote is None:
        return page(request, arena, outcome.stage, status=outcome.status)
    return redirect("voted", slug=slug, battle_id=battle.pk)


@never_cache
@require_GET
def votes(request: PageRequest, slug: str) -> HttpResponse:
    """The address that those of single votes begin with: back to voting."""
    enter_to_vote(request, slug)
    return redirect("vote", slug=slug)


@never_cache
@require_GET
def voted(request: PageRequest, slug: str, battle_id: UUID) -> HttpResponse:
    """The voter's own vote, with the names where the arena tells them."""
    arena = enter_to_vote(request, slug)
    taken = voting.get_vote(arena=arena, battle_id=battle_id, voter=known_voter(request))
    return page(request, arena, after_stage(taken, arena_places(arena)))


@never_cache
@require_POST
def names(request: PageRequest, slug: str, battle_id: UUID) -> HttpResponse:
    """Show the names of a vote that could be undone until now."""
    arena = enter_to_vote(request, slug)
    taken = voting.get_vote(arena=arena, battle_id=battle_id, voter=known_voter(request))
    reveal(taken)
    if request.htmx:
        taken.battle.refresh_from_db(fields=["revealed_at"])
        stage = after_stage(taken, arena_places(arena))
        return render(request, stage["stage"], {"arena": arena, **stage})
    return redirect("voted", slug=slug, battle_id=battle_id)


@never_cache
@require_POST
def undo(request: PageRequest, slug: str, battle_id: UUID) -> HttpResponse:
    """Take the vote back: the same battle again, filled in as it was."""
    arena = enter_to_vote(request, slug)
    voter = voter_for(request)
    taken = voting.get_vote(arena=arena, battle_id=battle_id, voter=voter)
    anew = undo_vote(vote=taken, voter=voter, by=person(request))
    save_draft(battle=anew, voter=voter, form=fields_of(taken, tokens_of(blind_view(anew))))
    if request.htmx:
        return render(request, "annotation/_battle.html", {
            "arena": arena, **battle_stage(anew, arena_places(arena)),
        })  # fmt: skip
    return redirect("vote", slug=slug)


def next_stage(arena: Arena, voter: Voter, *, seen: bool) -> Stage:
    """The context of the voter's next battle, or of why there is none.

    `seen`: it is on the screen now. What is fetched ahead is marked when it is shown.
    """
    places = arena_places(arena)
    try:
        battle = start_battle(arena=arena, voter=voter)
    except ConsentNeeded:
        return survey_stage(arena, voter)
    except NotEnoughResponses as error:
        waiting = voting.why_waiting(arena=arena, error=error)
        return {"stage": WAITING, "waiting": waiting, "places": places, "voter": voter}
    if seen:
        mark_shown(battle)
    return {**battle_stage(battle, places), "voter": voter}


def survey_stage(
    arena: Arena,
    voter: Voter,
    *,
    given: Mapping[str, str | list[str]] | None = None,
    agreed: bool = False,
    problem: str = "",
) -> Stage:
    """What is asked before the first battle, with the answers `given` by key where it is asked again."""
    survey = waiting_survey(arena=arena, voter=voter)
    answers = given or {}
    return {
        "stage": SURVEY,
        "survey_at": reverse("survey", args=[arena.slug]),
        "survey": survey,
        "questions": [_asked(one, answers.get(one.key, "")) for one in questions_of(survey)]
        if survey
        else [],
        "consent": shown(survey.consent) if survey and survey.consent else "",
        "agreed": agreed,
        "problem": problem,
    }


def _asked(question: Question, answer: str | list[str]) -> dict[str, Any]:
    """A question as its form shows it: each choice with whether it is ticked."""
    ticked = [answer] if isinstance(answer, str) else answer
    return {
        "key": question.key,
        "label": question.label,
        "kind": question.kind,
        "choices": [(choice, choice in ticked) for choice in question.choices],
        "text": answer if question.kind == "text" else "",
    }


def enter_to_vote(request: PageRequest, slug: str) -> Arena:
    arena = access.get_arena(slug=slug, user=request.user)
    access.may_vote(arena=arena, user=request.user)
    return arena


def battle_id(request: PageRequest) -> UUID:
    try:
        return UUID(request.POST.get("battle", ""))
    except ValueError:
        raise NotFound(_("The form names no battle. Start the next one.")) from None


def page(request: PageRequest, arena: Arena, stage: Stage, status: int = 200) -> HttpResponse:
    """The whole voting page around a stage."""
    context = {
        **arena_page(request, arena, "vote"),
        "guidelines": shown(arena.guidelines),
        "words": words(),
        "places": arena_places(arena),
        "answers_at": reverse("my_answers", args=[arena.slug]),
        "answered_survey": has_answers(arena=arena, voter=stage.get("voter")),
        **stage,
    }
    return render(request, "annotation/vote.html", context, status=status)
