"""A campaign as its lead sees it: set up, previewed, started, watched, ended.

Its questions with known answers: annotation/question_views.py.
"""

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.campaign_forms import CampaignForm
from annotation.models import Annotator, Campaign
from annotation.services import campaigns, crowd, exports, items, progress, standing
from annotation.services.routing import ask_people
from arena.api.errors import status_of
from arena.errors import BadInput, NotFound
from arena.models import Arena
from arena.services.judges import at_work
from arena.services.members import members_of
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person


@never_cache
@require_GET
def campaign_list(request: PageRequest, slug: str) -> HttpResponse:
    arena = enter_as_manager(request, slug)
    rows = [
        {"campaign": one, "progress": progress.progress_of(one)} for one in arena.campaigns.order_by("-id")
    ]
    return render(
        request, "annotation/campaigns.html", {**arena_page(request, arena, "campaigns"), "rows": rows}
    )


@never_cache
@require_http_methods(["GET", "POST"])
def campaign_new(request: PageRequest, slug: str) -> HttpResponse:
    """Set up a campaign: what the settings mean is shown before anything starts."""
    arena = enter_as_manager(request, slug)
    form = CampaignForm(request.POST if request.method == "POST" else None, arena=arena)
    if request.method == "POST" and form.is_valid():
        try:
            campaign = campaigns.create_campaign(arena=arena, by=person(request), **form.wanted())
        except BadInput as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("The draft is saved. Look at what it means, then start it."))
            return redirect("campaign_lead", slug=slug, campaign=campaign.slug)
    return _form_page(request, arena, form)


@require_POST
def judge_ask(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """A draft of a campaign with the sets that a judge's report finds worth a person."""
    arena = enter_as_manager(request, slug)
    judge = get_object_or_404(at_work(arena), pk=pk)
    try:
        campaign = ask_people(judge=judge, by=person(request))
    except BadInput as error:
        messages.error(request, str(error))
        return redirect("judges", slug=slug)
    messages.success(request, _("The draft is saved. Look at what it means, then start it."))
    return redirect("campaign_lead", slug=slug, campaign=campaign.slug)


@never_cache
@require_http_methods(["GET", "POST"])
def campaign_edit(request: PageRequest, slug: str, campaign: str) -> HttpResponse:
    arena, found = enter_campaign(request, slug, campaign)
    form = CampaignForm(request.POST if request.method == "POST" else None, arena=arena, campaign=found)
    if request.method == "POST" and form.is_valid():
        try:
            campaigns.change_campaign(campaign=found, by=person(request), **form.wanted())
        except BadInput as error:
            found.refresh_from_db()
            form.add_error(None, str(error))
        else:
            messages.success(request, _("Saved."))
            return redirect("campaign_lead", slug=slug, campaign=campaign)
    return _form_page(request, arena, form, found)


@never_cache
@require_GET
def campaign_lead(request: PageRequest, slug: str, campaign: str) -> HttpResponse:
    """One campaign: where it stands, who judges, what is known, and what to do next."""
    arena, found = enter_campaign(request, slug, campaign)
    return _lead_page(request, arena, found)


@require_POST
def campaign_act(request: PageRequest, slug: str, campaign: str) -> HttpResponse:
    """Start, pause, resume or finish the campaign, renew its link, set the panel's secret."""
    arena, found = enter_campaign(request, slug, campaign)
    act, by = request.POST.get("act", ""), person(request)
    if act == "secret":
        secret = crowd.new_secret(campaign=found, secret=request.POST.get("secret", ""), by=by)
        return _lead_page(request, arena, found, secret=secret)
    acts = {
        "start": campaigns.start_campaign,
        "pause": campaigns.pause_campaign,
        "resume": campaigns.resume_campaign,
        "finish": campaigns.finish_campaign,
        "link": campaigns.new_link,
    }
    if act not in acts:
        raise BadInput(_("There is no such act. Use the buttons of the campaign's page."))
    try:
        acts[act](campaign=found, by=by)
    except BadInput as error:
        found.refresh_from_db()
        return _lead_page(request, arena, found, problem=str(error), status=400)
    messages.success(request, _("Done."))
    return redirect("campaign_lead", slug=slug, campaign=campaign)


@require_POST
def campaign_invite(request: PageRequest, slug: str, campaign: str) -> HttpResponse:
    """Let members of the arena take part."""
    arena, found = enter_campaign(request, slug, campaign)
    chosen = [int(pk) for pk in request.POST.getlist("user") if pk.isascii() and pk.isdigit()]
    users = User.objects.filter(pk__in=chosen, memberships__arena=arena)
    if not users:
        return _lead_page(request, arena, found, problem=_("Choose at least one member."), status=400)
    new = campaigns.invite(campaign=found, users=users, by=person(request))
    said = ngettext("%(n)s person is invited.", "%(n)s people are invited.", new) % {"n": new}
    messages.success(request, said)
    return redirect("campaign_lead", slug=slug, campaign=campaign)


@require_POST
def campaign_annotator(request: PageRequest, slug: str, campaign: str, pk: int) -> HttpResponse:
    """Warn, pause, exclude or take back an annotator."""
    arena, found = enter_campaign(request, slug, campaign)
    annotator = Annotator.objects.select_related("campaign__arena").filter(campaign=found, pk=pk).first()
    if annotator is None:
        raise NotFound(_("There is no such annotator in this campaign."))
    try:
        ruling = standing.rule_on_annotator(
            annotator=annotator,
            action=request.POST.get("action", ""),
            reason=request.POST.get("reason", ""),
            by=person(request),
        )
    except BadInput as error:
        return _lead_page(request, arena, found, problem=str(error), status=status_of(error))
    messages.success(request, _ruled(ruling.figures, ruling.get_action_display()))
    return redirect("campaign_lead", slug=slug, campaign=campaign)


@never_cache
@require_GET
def campaign_answers(request: PageRequest, slug: str, campaign: str) -> HttpResponse:
    """All answers as a file."""
    _arena, found = enter_campaign(request, slug, campaign)
    return _file(f"{found.slug}-answers.csv", exports.as_csv(list(exports.answers(found))))


@never_cache
@require_POST
def campaign_payments(request: PageRequest, slug: str, campaign: str) -> HttpResponse:
    """Who is owed what, with the panel's ids: written down that it was asked for."""
    _arena, found = enter_campaign(request, slug, campaign)
    return _file(f"{found.slug}-payments.csv", exports.as_csv(exports.payments(found, by=person(request))))


def enter_campaign(request: PageRequest, slug: str, campaign: str) -> tuple[Arena, Campaign]:
    arena = enter_as_manager(request, slug)
    found = Campaign.objects.select_related("arena").filter(arena=arena, slug=campaign).first()
    if found is None:
        raise NotFound(_("There is no such campaign in this arena."))
    return arena, found


def frame(request: PageRequest, arena: Arena, campaign: Campaign | None) -> dict[str, Any]:
    return {**arena_page(request, arena, "campaigns"), "campaign": campaign}


def _form_page(
    request: PageRequest, arena: Arena, form: CampaignForm, campaign: Campaign | None = None
) -> HttpResponse:
    context = {**frame(request, arena, campaign), "form": form, "parts": form.parts()}
    return render(request, "annotation/campaign_form.html", context, status=400 if form.errors else 200)


def _lead_page(
    request: PageRequest,
    arena: Arena,
    campaign: Campaign,
    *,
    problem: str = "",
    secret: str = "",
    status: int = 200,
) -> HttpResponse:
    draft = campaign.state == Campaign.State.DRAFT
    named = exports.labels(campaign)
    people = campaign.annotators.select_related("voter__user", "campaign").prefetch_related("rulings")
    taking_part = {one.voter.user_id for one in people}
    join = reverse("campaign_join", args=[campaign.slug, campaign.token])
    context = {
        **frame(request, arena, campaign),
        "preview": campaigns.preview(campaign) if draft else None,
        "progress": progress.progress_of(campaign),
        "complete": progress.is_complete(campaign),
        "people": [
            {
                "annotator": one,
                "label": one.voter.user or named[one.pk],
                "own": progress.own_progress(one),
                "rulings": list(one.rulings.all()),
            }
            for one in people
        ],
        "members": [one for one in members_of(arena) if one.user_id not in taking_part],
        "link": request.build_absolute_uri(join),
        "hook": request.build_absolute_uri(reverse("campaign_panel", args=[campaign.slug])),
        "parameters": _parameters(campaign),
        "counts": {
            purpose: campaign.items.filter(purpose=purpose, retired_at=None)
            .exclude(origin=items.INSTRUCTION)
            .count()
            for purpose in ("gold", "qualification")
        },
        "events": campaign.panel_events.all()[:10],
        "problem": problem,
        "secret": secret,
    }
    return render(request, "annotation/campaign_lead.html", context, status=status)


def _parameters(campaign: Campaign) -> str:
    """What the panel appends to the link, in Prolific's notation."""
    names = [campaign.panel_settings.get(part) for part in ("participant", "study", "session")]
    return "&".join(f"{name}={{{{%{name}%}}}}" for name in names if name)


def _ruled(figures: dict[str, Any], action: str) -> str:
    said = [f"{action}."]
    if figures.get("ruled_out"):
        n = len(figures["ruled_out"])
        said.append(
            ngettext("%(n)s vote is out of the count.", "%(n)s votes are out of the count.", n) % {"n": n}
        )
    if figures.get("restored"):
        n = len(figures["restored"])
        said.append(ngettext("%(n)s vote counts again.", "%(n)s votes count again.", n) % {"n": n})
    if figures.get("filled"):
        n = len(figures["filled"])
        said.append(
            ngettext(
                "%(n)s stays out: somebody else has judged in its place.",
                "%(n)s stay out: others have judged in their place.",
                n,
            )
            % {"n": n}
        )
    return " ".join(said)


def _file(name: str, text: str) -> HttpResponse:
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
