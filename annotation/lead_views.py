"""The lead's side: the dashboard, how each voter votes, and what a lead may do about it."""

import csv
import io

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotation.campaign_choice import campaign_page, chosen_campaign
from annotation.charts import bars_of, histogram_of
from annotation.services import cohorts, dashboard, quality
from annotation.services.without import with_and_without as compared
from arena.api.errors import status_of
from arena.errors import ArenaError, NotFound
from arena.models import Arena, Voter, VoterRuling
from arena.services import standing
from arena.services.leaderboards import harmless
from arena.views.entry import PageRequest, enter_as_manager, person

SHOWN = 200


@never_cache
@require_GET
def lead_dashboard(request: PageRequest, slug: str) -> HttpResponse:
    """The arena, or with ?campaign= one campaign of it, at a glance."""
    arena = enter_as_manager(request, slug)
    campaign = chosen_campaign(request, arena)
    board = dashboard.dashboard_of(arena, campaign)
    context = {
        **campaign_page(request, arena, "dashboard", campaign),
        "board": board,
        "bars": bars_of(board.totals.bars),
        "histogram": histogram_of(board.totals.histogram, dashboard.TIME_ENDS),
    }
    return render(request, "annotation/lead_dashboard.html", context)


@never_cache
@require_GET
def dashboard_json(request: PageRequest, slug: str) -> HttpResponse:
    arena = enter_as_manager(request, slug)
    data = dashboard.as_data(dashboard.dashboard_of(arena, chosen_campaign(request, arena)))
    return JsonResponse({"arena": arena.slug, **data}, json_dumps_params={"indent": 1})


@never_cache
@require_GET
def quality_csv(request: PageRequest, slug: str) -> HttpResponse:
    """A row for each annotator, with every figure and its interval."""
    arena = enter_as_manager(request, slug)
    report = quality.quality_of(arena, chosen_campaign(request, arena))
    rows = [dashboard.flat(dashboard.of_voter(row)) for row in report.rows]
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows({name: harmless(value) for name, value in row.items()} for row in rows)
    response = HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-annotators.csv"'
    return response


@never_cache
@require_GET
def lead_quality(request: PageRequest, slug: str) -> HttpResponse:
    """Everybody who votes, those first who need help or a second look."""
    arena = enter_as_manager(request, slug)
    campaign = chosen_campaign(request, arena)
    report = quality.quality_of(arena, campaign)
    context = {
        **campaign_page(request, arena, "quality", campaign),
        "report": report,
        "rows": report.rows[:SHOWN],
        "more": max(0, len(report.rows) - SHOWN),
        "standings": standing.standings(arena),
        "cohorts": [] if campaign else cohorts.cohorts_of(arena),
    }
    return render(request, "annotation/lead_quality.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
def lead_voter(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """One voter: all figures, the standing, and the acts, each with its reason and reversible."""
    arena = enter_as_manager(request, slug)
    voter = Voter.objects.filter(pk=pk, votes__arena=arena).select_related("user").distinct().first()
    if voter is None:
        raise NotFound(_("Nobody of that number has voted in this arena."))
    problem, status = "", 200
    if request.method == "POST":
        try:
            messages.success(request, _act(request, arena, voter))
            return redirect("lead_voter", slug=slug, pk=pk)
        except ArenaError as error:
            problem, status = str(error), status_of(error)
    report = quality.quality_of(arena)
    context = {
        **campaign_page(request, arena, "quality", None),
        "voter": voter,
        "row": quality.find_voter(report, voter.pk),
        "report": report,
        "standing": standing.standing_of(arena=arena, voter=voter),
        "history": VoterRuling.objects.filter(arena=arena, voter=voter).select_related("by"),
        "counted": standing.votes_of(arena=arena, voter=voter),
        "problem": problem,
        "reason": request.POST.get("reason", ""),
    }
    return render(request, "annotation/lead_voter.html", context, status=status)


@never_cache
@require_GET
def with_and_without(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """The leaderboard with and without one voter's votes, before anything is taken out."""
    arena = enter_as_manager(request, slug)
    voter = Voter.objects.filter(pk=pk, votes__arena=arena).distinct().first()
    if voter is None:
        raise NotFound(_("Nobody of that number has voted in this arena."))
    context = {
        **campaign_page(request, arena, "quality", None),
        "voter": voter,
        "rows": compared(arena, {voter.pk}),
    }
    return render(request, "annotation/lead_without.html", context)


def _act(request: PageRequest, arena: Arena, voter: Voter) -> str:
    """Do what the form asks; gives what to say."""
    by, act = person(request), request.POST.get("act", "")
    reason = request.POST.get("reason", "")
    if by is None:
        raise NotFound(_("Sign in first."))
    if act == "quarantine":
        done = standing.quarantine_votes(arena=arena, voters=[voter.pk], reason=reason, by=by)
        return ngettext(
            "%(done)s vote is out of the count. It can be put back.",
            "%(done)s votes are out of the count. They can be put back.",
            done,
        ) % {"done": done}
    if act == "restore":
        done = standing.restore_votes(arena=arena, voters=[voter.pk], reason=reason, by=by)
        return ngettext("%(done)s vote counts again.", "%(done)s votes count again.", done) % {"done": done}
    row = quality.find_voter(quality.quality_of(arena), voter.pk)
    evidence = {} if row is None else dashboard.of_voter(row)
    standing.rule_on_voter(arena=arena, voter=voter, action=act, reason=reason, by=by, evidence=evidence)
    return _("It is done, and on the record.")
