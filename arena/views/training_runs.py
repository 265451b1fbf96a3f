from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from arena.errors import BadInput
from arena.models import Arena, TrainingRun
from arena.services import lineage, overview
from arena.services.training import can_be_promoted, plan_checked, request_training, run_folder
from arena.services.training_comparison import verdict
from arena.services.training_plans import Plan, in_words
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person
from arena.views.plots import Curve, curve
from arena.views.training_form import TrainingForm, again

# What the trainer reports of a step, in the order drawn. Other numbers are kept but not drawn.
CURVES = {
    "loss": gettext_lazy("Loss"),
    "margin": gettext_lazy("Reward margin"),
    "accuracy": gettext_lazy("Pairs in the voters' order"),
    "kendall_tau": gettext_lazy("Kendall's tau"),
    "winner_log_ratio": gettext_lazy("Log-probability of the best, against the base"),
    "other_log_ratio": gettext_lazy("Log-probability of the others, against the base"),
    "grad_norm": gettext_lazy("Size of the gradient"),
    "length": gettext_lazy("Length of responses, tokens"),
    "eval_loss": gettext_lazy("Loss on held-out prompts"),
    "eval_margin": gettext_lazy("Reward margin on held-out prompts"),
    "eval_accuracy": gettext_lazy("Held-out pairs in the voters' order"),
    "eval_kendall_tau": gettext_lazy("Kendall's tau on held-out prompts"),
    "eval_ranking_accuracy": gettext_lazy("Held-out pairs in order by probability itself"),
}
# What is seen at the end, in the order told.
FIGURES = {
    "accuracy": gettext_lazy("Held-out pairs in the voters' order"),
    "kendall_tau": gettext_lazy("Kendall's tau"),
    "ranking_accuracy": gettext_lazy("Pairs in order by probability itself"),
    "idealised_accuracy": gettext_lazy("The same, had the votes been learnt perfectly"),
    "loss": gettext_lazy("Loss"),
    "winner_log_ratio": gettext_lazy("Log-probability of the best, against the base"),
}
FRESH = {
    "sequence_kl": gettext_lazy("Sequence KL from the base, nats"),
    "win_rate": gettext_lazy("Win rate against the base, by the reward model"),
    "length": gettext_lazy("Length, tokens"),
    "ended": gettext_lazy("Share that came to an end"),
    "distinct": gettext_lazy("Share of different responses"),
    "repetition": gettext_lazy("Share of repeated runs of four tokens"),
}
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
        "takes": in_words(plan.seconds) if plan and plan.seconds is not None else "",
    }
    return render(request, "arena/training_runs.html", context, status=400 if form.errors else 200)


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
    """The curves of what the trainer has reported so far, and whether the best are becoming less likely."""
    points: dict[str, list[tuple[int, float]]] = {name: [] for name in CURVES}
    for step, values in run.metrics.values_list("step", "values"):
        for name in CURVES.keys() & values.keys():
            if isinstance(values[name], int | float):
                points[name].append((step, float(values[name])))
    drawn: list[Curve | None] = [curve(str(title), points[name]) for name, title in CURVES.items()]
    newest = [value for _step, value in points["winner_log_ratio"][-5:]]
    displaced = bool(newest) and sum(newest) / len(newest) < -1.0
    return {"curves": [one for one in drawn if one is not None], "displaced": displaced}


def outcome(run: TrainingRun) -> dict[str, Any]:
    """What the page tells of a run that is over."""
    summary = run.summary
    return {
        "figures": _figures(summary),
        "fresh": [
            (title, summary["fresh"][name])
            for name, title in FRESH.items()
            if (summary.get("fresh") or {}).get(name) is not None
        ],
        "groups": (summary.get("after") or {}).get("groups") or [],
        "dry_run": summary if summary.get("dry_run") else None,
        "takes": in_words(summary["estimated_seconds"]) if summary.get("dry_run") else "",
        "steps": summary.get("steps"),
        "retracted": lineage.retracted_votes(run.data_set) if run.completed_at else 0,
        "parts": [part for part in PARTS if run.completed_at and (run_folder(run) / part).is_dir()],
        "promotable": can_be_promoted(run),
        "verdict": verdict(run),
    }


def _figures(summary: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
    """Title, before, after."""
    before, after = summary.get("before") or {}, summary.get("after") or {}
    return [
        (title, _rounded(before.get(name)), _rounded(after[name]))
        for name, title in FIGURES.items()
        if after.get(name) is not None
    ]


def _rounded(value: Any) -> Any:
    """To four places; minus nought is nought."""
    return round(value, 4) + 0.0 if isinstance(value, float) else value
