"""The lead's pages about asking: the form of the judgement with a preview, the survey, the reports."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.judgement_forms import (
    CriterionForms,
    JudgementForm,
    QuestionForms,
    SurveyForm,
    criteria_of,
    first_fault,
    initial_of,
    judgement_in,
    questions_in,
)
from annotation.services.samples import sample_battle
from annotation.stages import Places, form_stage
from annotation.words import words
from arena.errors import BadInput
from arena.models import Arena
from arena.services.guidelines import current_version, revise
from arena.services.judgement import Judgement, check_for_arena, judgement_of
from arena.services.judgement_presets import presets
from arena.services.reports import TAGS, reports_of, settle_report
from arena.services.surveys import revise_survey, survey_counts, survey_of
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person
from arena.views.outputs import shown

REPORTS_A_PAGE = 50


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def judgement(request: PageRequest, slug: str) -> HttpResponse:
    """What voters are asked: shown, begun from a preset, previewed, or saved as a new version."""
    arena = enter_as_manager(request, slug)
    act = request.POST.get("act", "") if request.method == "POST" else "show"
    if act == "show":
        return _judgement_page(request, arena, *_filled(judgement_of(arena), arena.guidelines))
    if act.startswith("preset:"):
        return _preset(request, arena, act.removeprefix("preset:"))
    main, rows = JudgementForm(request.POST), CriterionForms(request.POST, prefix="criteria")
    if not (main.is_valid() and rows.is_valid()):
        return _judgement_page(request, arena, main, rows, problem=first_fault(main, rows), status=400)
    try:
        asked = judgement_in(main, rows)
        check_for_arena(asked, arena)
        if act == "preview":
            return _preview_page(request, arena, asked, main.cleaned_data["guidelines"])
        before = current_version(arena)
        version = revise(arena=arena, by=person(request), text=main.cleaned_data["guidelines"], form=asked)
    except BadInput as error:
        return _judgement_page(request, arena, main, rows, problem=str(error), status=400)
    if version is None or version == before:
        messages.info(request, _("Nothing has changed, so there is no new version."))
    else:
        messages.success(
            request, _("Saved. Votes from now on are under version %(n)s.") % {"n": version.number}
        )
    return redirect("judgement", slug=slug)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def preview(request: PageRequest, slug: str) -> HttpResponse:
    """The voting page as it is saved, on a sample. Nothing that is sent here is kept."""
    arena = enter_as_manager(request, slug)
    sent = request.method == "POST"
    problem = _("This is a preview: your answer was not sent.") if sent else ""
    return _preview_page(request, arena, judgement_of(arena), arena.guidelines, problem)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def survey(request: PageRequest, slug: str) -> HttpResponse:
    """What is asked before the first battle, and how often each answer was given."""
    arena = enter_as_manager(request, slug)
    current = arena.surveys.order_by("-number").first()
    questions = [
        {**one, "choices": "\n".join(one.get("choices", []))}
        for one in (current.questions if current else [])
    ]
    main = SurveyForm(request.POST or None, initial={"consent": current.consent if current else ""})
    rows = QuestionForms(request.POST or None, prefix="questions", initial=questions)
    problem = ""
    if request.method == "POST":
        if main.is_valid() and rows.is_valid():
            try:
                revise_survey(
                    arena=arena,
                    consent=main.cleaned_data["consent"],
                    questions=questions_in(rows),
                    by=person(request),
                )
                messages.success(request, _("Saved."))
                return redirect("survey_form", slug=slug)
            except BadInput as error:
                problem = str(error)
        problem = problem or first_fault(main, rows)
    asked = survey_of(arena)
    context = {
        **arena_page(request, arena, "survey"),
        "form": main,
        "rows": rows,
        "problem": problem,
        "version": current,
        "counts": survey_counts(asked) if asked else [],
    }
    return render(request, "annotation/survey_form.html", context, status=400 if problem else 200)


@never_cache
@require_GET
def reports(request: PageRequest, slug: str) -> HttpResponse:
    """What voters reported, those that nobody has looked at first."""
    arena = enter_as_manager(request, slug)
    pages = Paginator(reports_of(arena), REPORTS_A_PAGE)
    shown_page = pages.get_page(request.GET.get("page"))
    rows = [{"report": one, "tags": [TAGS[tag] for tag in one.tags if tag in TAGS]} for one in shown_page]
    context = {**arena_page(request, arena, "reports"), "pages": shown_page, "rows": rows}
    return render(request, "annotation/reports.html", context)


@require_POST
def settle(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Mark a report as looked at, or open it again."""
    arena = enter_as_manager(request, slug)
    settle_report(arena=arena, pk=pk, by=person(request))
    return redirect("reports", slug=slug)


def _filled(form: Judgement, guidelines: str) -> tuple[Any, Any]:
    return (
        JudgementForm(initial=initial_of(form, guidelines)),
        CriterionForms(prefix="criteria", initial=criteria_of(form)),
    )


def _preset(request: PageRequest, arena: Arena, key: str) -> HttpResponse:
    """The form filled in from a preset, not saved. The guidelines that were typed stay."""
    chosen = next((one for one in presets() if one.key == key), None)
    if chosen is None:
        raise BadInput(_("There is no such preset. Choose one of those on the page."))
    notes = [_("“%(title)s” is filled in below. Nothing is saved yet.") % {"title": chosen.title}]
    if chosen.k is not None and chosen.k != arena.k:
        notes.append(
            _("It needs %(k)s responses a battle; this arena shows %(now)s.")
            % {"k": chosen.k, "now": arena.k}
        )
    guidelines = request.POST.get("guidelines", arena.guidelines)
    return _judgement_page(request, arena, *_filled(chosen.form, guidelines), note=" ".join(notes))


def _judgement_page(
    request: PageRequest,
    arena: Arena,
    main: Any,
    rows: Any,
    *,
    problem: str = "",
    note: str = "",
    status: int = 200,
) -> HttpResponse:
    versions = arena.guideline_versions.select_related("created_by").order_by("-number")[:20]
    context = {
        **arena_page(request, arena, "judgement"),
        "form": main,
        "rows": rows,
        "presets": presets(),
        "problem": problem,
        "note": note,
        "versions": versions,
    }
    return render(request, "annotation/judgement.html", context, status=status)


def _preview_page(
    request: PageRequest, arena: Arena, asked: Judgement, guidelines: str, problem: str = ""
) -> HttpResponse:
    places = Places(
        home=f"{arena.get_absolute_url()}manage/judgement/preview/",
        next="",
        cast=f"{arena.get_absolute_url()}manage/judgement/preview/",
        votes="",
    )
    filled = request.POST if problem else MultiValueDict()
    stage = form_stage(sample_battle(arena), asked, places, filled)
    context = {
        **arena_page(request, arena, "judgement"),
        "guidelines": shown(guidelines),
        "words": words(),
        "preview": True,
        **stage,
        "problem": problem,
    }
    return render(request, "annotation/vote.html", context)
