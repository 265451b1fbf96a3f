"""Consent and questions before the first battle, and the voter's way to have the answers deleted."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotation.stages import Stage
from annotation.views import enter_to_vote, page, survey_stage
from arena.errors import BadInput
from arena.models import Arena, Voter
from arena.services.surveys import answer_survey, delete_answers, has_answers, questions_of, waiting_survey
from arena.services.voters import known_voter, voter_for
from arena.views.entry import PageRequest, arena_page


@never_cache
@require_POST
def survey(request: PageRequest, slug: str) -> HttpResponse:
    """Keep what the voter agreed to and answered, and go on to the first battle."""
    arena = enter_to_vote(request, slug)
    again = keep_answers(request, arena, voter_for(request))
    return page(request, arena, again, status=400) if again else redirect("vote", slug=slug)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def my_answers(request: PageRequest, slug: str) -> HttpResponse:
    """Asks once more, then deletes what the voter said of themselves in this arena."""
    arena = enter_to_vote(request, slug)
    frame = {**arena_page(request, arena, "vote"), "back": reverse("vote", args=[slug])}
    return show_answers(request, arena, known_voter(request), frame)


def keep_answers(request: PageRequest, arena: Arena, voter: Voter) -> Stage:
    """Keep what was sent. Empty, or the form again with what is wrong with it."""
    asked = waiting_survey(arena=arena, voter=voter)
    if asked is None:
        return {}
    agreed = request.POST.get("agree") == "yes"
    passed_over = request.POST.get("answer") == "pass"
    answers = {
        one.key: request.POST.getlist(f"q-{one.key}")
        if one.kind == "several"
        else request.POST.get(f"q-{one.key}", "")
        for one in questions_of(asked)
    }
    try:
        answer_survey(
            survey=asked,
            voter=voter,
            agreed=agreed,
            answers={} if passed_over else answers,
        )
    except BadInput as error:
        return survey_stage(arena, voter, problem=str(error), given=answers, agreed=agreed)
    return {}


def show_answers(
    request: PageRequest, arena: Arena, voter: Voter | None, frame: dict[str, Any]
) -> HttpResponse:
    """The page that deletes a voter's answers; `frame` names the way `back`."""
    if request.method == "POST" and voter is not None:
        delete_answers(arena=arena, voter=voter)
        messages.success(request, _("Your answers are deleted. Your votes stay, without them."))
        return redirect(request.path)
    context = {**frame, "has_answers": has_answers(arena=arena, voter=voter)}
    return render(request, "annotation/my_answers.html", context)
