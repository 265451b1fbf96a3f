from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from arena.errors import BadInput
from arena.models import Arena, TrainingRun
from arena.services import lineage, overview
from arena.services.objectives import REWARD_MODELS
from arena.services.training import (
    all_settings,
    can_be_promoted,
    plan_checked,
    request_training,
    run_folder,
)
from arena.services.training_comparison import against_base, verdict
from arena.services.training_plans import Plan, in_words
from arena.services.training_reading import FALLEN, readings
from arena.views.behind_words import comparison
from arena.views.curves import charts_of
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person
from arena.views.training_fields import shown, title_of
from arena.views.training_figures import (
    groups_of,
    heading_of_held_out,
    heading_of_samples,
    held_out_figures,
    sample_figures,
)
from arena.views.training_form import TrainingForm, again

PARTS = ("model", "adapter")


@never_cache
@require_http_methods(["GET", "POST"])
def training_runs(request: PageRequest, slug: str) -> HttpResponse:
    """The arena's training runs; POST plans one, tries it out, or starts it."""
    arena = enter_as_manager(request, slug)
    asked: dict[str, Any] = request.GET.dict()
    if "vote_weights" in asked:
        asked["vote_weights"] = request.GET.getlist("vote_weights")
    form = TrainingForm(request.POST or None, arena=arena, initial=asked)
    plan: Plan | None = None
    if request.method == "POST" and form.is_valid():
        try:
            if request.POST.get("action") == "check":
                plan = _plan(form)
            else:
                return _start(request, arena, form, dry=request.POST.get("action") == "dry-run")
        except BadInput as error:
            form.add_error(None, str(error))
    context = {
        **arena_page(request, arena, "training_runs"),
        "runs": overview.training_runs_of(arena),
        "form": form,
        "plan": plan,
        "time": _time(plan) if plan else "",
        "suggestions": [
            {"title": title_of(one.name), "written": one.written, "reason": one.reason}
            for one in (plan.suggestions if plan else ())
        ],
    }
    return render(request, "arena/training_runs.html", context, status=400 if form.errors else 200)


def _time(plan: Plan) -> str:
    """How long it would take and by what that is known; "" where it is not."""
    if plan.time is None:
        return ""
    told = in_words(plan.time.seconds)
    if plan.time.runs == 1:
        return _("%(time)s, by the speed of one earlier run; reckon with half to twice") % {"time": told}
    words = {"runs": plan.time.runs, "least": in_words(plan.time.least), "most": in_words(plan.time.most)}
    return _("%(time)s, by the speed of %(runs)s earlier runs (%(least)s to %(most)s)") % {
        "time": told,
        **words,
    }


def _plan(form: TrainingForm) -> Plan:
    wanted = form.wanted()
    return plan_checked(base=wanted["base"], data_set=wanted["data_set"], parameters=wanted["parameters"])


def _start(request: PageRequest, arena: Arena, form: TrainingForm, *, dry: bool) -> HttpResponse:
    wanted = form.wanted()
    if dry:
        wanted["parameters"] = {**wanted["parameters"], "dry_run": True}
    run = request_training(**wanted, by=person(request))
    said = _("%(run)s is queued for a dry run.") if dry else _("%(run)s is queued for training.")
    messages.success(request, said % {"run": run.name})
    return redirect("training_run", slug=arena.slug, pk=run.pk)


@never_cache
@require_GET
def training_run(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """One run, live: the page asks for the progress fragment every second while the job is under way."""
    arena = enter_as_manager(request, slug)
    run = overview.get_training_run(arena=arena, pk=pk)
    context = {**arena_page(request, arena, "training_runs"), "run": run, "job": run.job, **progress(run)}
    if not request.htmx:
        context |= {**outcome(run), "again": again(run)}
        return render(request, "arena/training_run.html", context)
    response = render(request, "arena/_training_progress.html", context)
    if run.job is None or run.job.is_finished:
        # The rest of the page changes too: the result, the buttons.
        response["HX-Refresh"] = "true"
    return response


def progress(run: TrainingRun) -> dict[str, Any]:
    """The charts of what the trainer has reported so far, and whether the best are becoming less likely."""
    rows = list(run.metrics.values_list("step", "values"))
    falls = [values["winner_log_ratio"] for _step, values in rows if _is_known(values, "winner_log_ratio")][
        -5:
    ]
    rewards = run.objective.startswith(REWARD_MODELS)  # that is a reward then, and may be anything
    displaced = bool(falls) and not rewards and sum(falls) / len(falls) < FALLEN
    return {
        "charts": charts_of(rows, objective=run.objective),
        # What is said of the end says it better.
        "displaced": displaced and run.completed_at is None,
    }


def _is_known(values: Mapping[str, Any], name: str) -> bool:
    return isinstance(values.get(name), int | float)


def outcome(run: TrainingRun) -> dict[str, Any]:
    """What the page tells of a run that is over."""
    summary = run.summary
    return {
        "readings": readings(run),
        "figures": held_out_figures(run),
        "held_out_title": heading_of_held_out(run),
        "fresh": sample_figures(run),
        "fresh_title": heading_of_samples(run),
        "groups": groups_of(run),
        "dry_run": summary if summary.get("dry_run") else None,
        "takes": in_words(summary["estimated_seconds"]) if summary.get("dry_run") else "",
        "steps": summary.get("steps"),
        "retracted": lineage.retracted_votes(run.data_set) if run.completed_at else 0,
        "parts": [part for part in PARTS if run.completed_at and (run_folder(run) / part).is_dir()],
        "promotable": can_be_promoted(run),
        "verdict": verdict(run),
        "against_base": _against_base(run),
        "settings": _settings(run),
    }


def _against_base(run: TrainingRun) -> dict[str, Any] | None:
    """The result and its base on the leaderboard, in sentences; None before both have a rating."""
    found = against_base(run)
    return comparison(found) if found else None


def _settings(run: TrainingRun) -> list[tuple[Any, Any, bool]]:
    """Title, value, and whether it was set for this run and is not what it is without a word."""
    settings = all_settings(run)
    return [(title_of(name), shown(name, value), name in run.parameters) for name, value in settings.items()]
