"""After a training run: runs beside each other, promotion, and the files to take away."""

import csv
import json
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from arena.errors import BadInput, NotFound
from arena.models import TrainingRun
from arena.services import overview
from arena.services.archives import zipped
from arena.services.model_cards import model_card
from arena.services.training import can_be_promoted, promote, run_folder
from arena.services.training_comparison import MOST_COMPARED, Line, differences, results
from arena.views.curves import Chart, charts_beside
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person
from arena.views.training_fields import shown, title_of
from arena.views.training_figures import FIGURES, FRESH, rounded
from arena.views.training_runs import PARTS


@require_POST
def promote_run(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Make the result of a run that was held back a contestant."""
    arena = enter_as_manager(request, slug)
    run = overview.get_training_run(arena=arena, pk=pk)
    try:
        contestant = promote(run, by=person(request))
    except BadInput as error:
        messages.error(request, str(error))
        return redirect("training_run", slug=slug, pk=pk)
    messages.success(
        request,
        _("%(contestant)s is a contestant now. Its responses are being made.")
        % {"contestant": contestant.name},
    )
    return redirect("contestant", slug=slug, pk=contestant.pk)


@never_cache
@require_GET
def compare_runs(request: PageRequest, slug: str) -> HttpResponse:
    """Up to four runs beside each other: what was set differently, and what came of it."""
    arena = enter_as_manager(request, slug)
    asked = {int(pk) for pk in request.GET.getlist("run") if pk.isdecimal() and len(pk) <= 18}
    runs = list(overview.training_runs_of(arena).filter(pk__in=asked).order_by("pk"))[:MOST_COMPARED]
    context = {
        **arena_page(request, arena, "training_runs"),
        "runs": runs,
        "settings": _lines(differences(runs)),
        "figures": _lines(results(runs)),
        "charts": _charts(runs),
        "promotable": {run.pk for run in runs if can_be_promoted(run)},
    }
    return render(request, "arena/training_compare.html", context)


ARENA = {
    "rating": gettext_lazy("Rating in the arena"),
    "rank": gettext_lazy("Rank in the arena"),
    "votes": gettext_lazy("Votes on it"),
}


TITLES: dict[str, dict[str, Any]] = {
    "after": {name: told[0] for name, told in FIGURES.items()},
    "fresh": {name: told[0] for name, told in FRESH.items()},
    "arena": ARENA,
}


def _title(line: Line) -> Any:
    """What a setting or a figure is called on the page."""
    return title_of(line.name) if line.part == "settings" else TITLES[line.part][line.name]


def _lines(lines: Iterable[Line]) -> list[tuple[Any, tuple[dict[str, Any], ...]]]:
    """Titles, and values as they are shown with their intervals: figures to four places."""
    return [
        (
            _title(line),
            tuple(
                {"value": _shown(line, value), "interval": interval and [rounded(end, 3) for end in interval]}
                for value, interval in zip_longest(line.values, line.intervals)
            ),
        )
        for line in lines
    ]


def _shown(line: Line, value: Any) -> Any:
    if line.part == "settings":
        return None if value is None else shown(line.name, value)
    return rounded(value, 0 if line.part == "arena" else 4)


def _charts(runs: Sequence[TrainingRun]) -> list[Chart]:
    told = [(run.name, list(run.metrics.values_list("step", "values"))) for run in runs]
    return charts_beside(told, objectives=[run.objective for run in runs])


@never_cache
@require_GET
def download_part(request: PageRequest, slug: str, pk: int, part: str) -> HttpResponseBase:
    """The merged weights or the adapter of a finished run as a zip, with its card."""
    arena = enter_as_manager(request, slug)
    run = overview.get_training_run(arena=arena, pk=pk)
    return zip_of_part(run, part)


def zip_of_part(run: TrainingRun, part: str) -> StreamingHttpResponse:
    """For the page and the API. Raises NotFound where the run has no such part."""
    folder = run_folder(run) / part
    if part not in PARTS or not run.completed_at or not folder.is_dir():
        raise NotFound(_("%(run)s has no %(part)s to download.") % {"run": run.name, "part": part})
    name = f"{run.arena.slug}-{run.pk}-{part}"
    readme = model_card(run, adapter=part == "adapter")
    response = StreamingHttpResponse(zipped(folder, name, readme=readme), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{name}.zip"'
    return response


@never_cache
@require_GET
def card(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """The model card of a run, as Markdown to go beside the weights."""
    arena = enter_as_manager(request, slug)
    run = overview.get_training_run(arena=arena, pk=pk)
    if not run.manifest:
        raise NotFound(_("%(run)s has made no checkpoint yet.") % {"run": run.name})
    response = HttpResponse(model_card(run), content_type="text/markdown; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{arena.slug}-{run.pk}-README.md"'
    return response


@never_cache
@require_GET
def metrics(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Every figure of every step as CSV, a column each; lists and groups as JSON."""
    arena = enter_as_manager(request, slug)
    run = overview.get_training_run(arena=arena, pk=pk)
    rows = list(run.metrics.values_list("step", "values"))
    names = list(dict.fromkeys(name for _step, values in rows for name in values))
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{arena.slug}-{run.pk}-figures.csv"'
    table = csv.writer(response)
    table.writerow(["step", *names])
    table.writerows([step, *(_cell(values.get(name)) for name in names)] for step, values in rows)
    return response


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
