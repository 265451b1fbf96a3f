from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from arena.errors import BadInput
from arena.models import TrainingRun
from arena.services import overview
from arena.services.training import request_training
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person
from arena.views.forms import TrainingForm
from arena.views.plots import Curve, curve

# What the trainer reports of a step, in the order drawn. Other numbers are kept but not drawn.
CURVES = {
    "loss": "Loss",
    "margin": "Reward margin",
    "accuracy": "Pairs in the voters' order",
    "eval_loss": "Loss on held-out prompts",
    "eval_margin": "Reward margin on held-out prompts",
    "eval_accuracy": "Held-out pairs in the voters' order",
}


@never_cache
@require_http_methods(["GET", "POST"])
def training_runs(request: PageRequest, slug: str) -> HttpResponse:
    """The arena's training runs; POST starts one."""
    arena = enter_as_manager(request, slug)
    form = TrainingForm(request.POST or None, arena=arena, initial=request.GET.dict())
    if request.method == "POST" and form.is_valid():
        try:
            run = request_training(**form.wanted(), by=person(request))
        except BadInput as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{run.name} is queued for training.")
            return redirect("training_run", slug=slug, pk=run.pk)
    context = {
        **arena_page(request, arena, "training_runs"),
        "runs": overview.training_runs_of(arena),
        "form": form,
    }
    return render(request, "arena/training_runs.html", context, status=400 if form.errors else 200)


@never_cache
@require_GET
def training_run(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """One run, live: the page asks for the progress fragment every second while the job is under way."""
    arena = enter_as_manager(request, slug)
    run = overview.get_training_run(arena=arena, pk=pk)
    context = {**arena_page(request, arena, "training_runs"), "run": run, "job": run.job, **progress(run)}
    context["summary"] = [
        (name.replace("_", " "), value)
        for name, value in run.summary.items()
        if isinstance(value, int | float | str)
    ]
    if not request.htmx:
        return render(request, "arena/training_run.html", context)
    response = render(request, "arena/_training_progress.html", context)
    if run.job is None or run.job.is_finished:
        # The rest of the page changes too: the result, the buttons.
        response["HX-Refresh"] = "true"
    return response


def progress(run: TrainingRun) -> dict[str, Any]:
    """The curves of what the trainer has reported so far."""
    points: dict[str, list[tuple[int, float]]] = {name: [] for name in CURVES}
    for step, values in run.metrics.values_list("step", "values"):
        for name in CURVES.keys() & values.keys():
            if isinstance(values[name], int | float):
                points[name].append((step, float(values[name])))
    drawn: list[Curve | None] = [curve(title, points[name]) for name, title in CURVES.items()]
    return {"curves": [one for one in drawn if one is not None]}
