"""A campaign as its annotators see it: their campaigns, the way in, the battles, the end."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.ballot_form import fields_of, tokens_of
from annotation.models import Annotator, Assignment, Campaign
from annotation.services import crowd, progress, qualification, queue, voting
from annotation.stages import Places, Stage, after_stage, battle_stage, cast_form
from annotation.survey_views import keep_answers, show_answers
from annotation.views import battle_id, survey_stage
from annotation.words import words
from arena.api.errors import status_of
from arena.errors import ArenaError, ConsentNeeded, NotYourBattle
from arena.models import Vote
from arena.services import access
from arena.services.battles import blind_view, mark_shown
from arena.services.drafts import save_draft
from arena.services.surveys import has_answers
from arena.services.undo import undo_vote
from arena.services.voters import continue_as, known_voter, voter_for
from arena.views.entry import PageRequest, person
from arena.views.outputs import shown

BATTLE, AFTER, DONE = (f"annotation/_campaign_{name}.html" for name in ("battle", "after", "done"))
RELOAD_MS = 3000


@never_cache
@require_GET
def my_campaigns(request: PageRequest) -> HttpResponse:
    """The reader's campaigns, with what is left in each."""
    mine = [
        {
            "annotator": one,
            "campaign": one.campaign,
            "own": progress.own_progress(one),
            "why": queue.why_closed(one.campaign),
            "standing": queue.standing(one),
        }
        for one in queue.campaigns_of(known_voter(request))
    ]
    return render(request, "annotation/campaign_list.html", {"mine": mine, "here": "campaigns", "bare": True})


@never_cache
@require_http_methods(["GET", "POST"])
def join(request: PageRequest, slug: str, token: str) -> HttpResponse:
    """The open link: what it is about, and the button that takes part. Nothing is stored before it."""
    campaign = crowd.campaign_of_link(slug=slug, token=token)
    panel = crowd.participant_in(campaign, request.GET.dict()) if not request.user.is_authenticated else None
    if request.method == "GET":
        context = {"campaign": campaign, "instructions": shown(campaign.instructions), "panel": panel}
        return render(request, "annotation/campaign_join.html", context)
    if panel is None:
        crowd.join(campaign=campaign, voter=voter_for(request))
    else:
        annotator = crowd.join_from_panel(campaign=campaign, participant=panel)
        continue_as(request.session, annotator.voter)
    return redirect("campaign_home", slug=slug)


@never_cache
@require_GET
def home(request: PageRequest, slug: str) -> HttpResponse:
    """What the annotator has done and earned in the campaign, and the way to the battles."""
    annotator = _annotator(request, slug)
    context = {
        **_frame(annotator),
        "instructions": shown(annotator.campaign.instructions),
        "ruling": annotator.rulings.order_by("-id").first(),
        "standing": queue.standing(annotator),
        "questions": qualification.questions(annotator.campaign).count(),
    }
    return render(request, "annotation/campaign_home.html", context)


@never_cache
@require_GET
def work(request: PageRequest, slug: str) -> HttpResponse:
    """The page with the annotator's battle, or why there is none."""
    annotator = _annotator(request, slug)
    return _page(request, annotator, next_stage(annotator, seen=True))


@never_cache
@require_GET
def next_battle(request: PageRequest, slug: str) -> HttpResponse:
    """What the page shows next, fetched ahead."""
    annotator = _annotator(request, slug)
    return _fragment(request, annotator, next_stage(annotator, seen=False))


@never_cache
@require_POST
def cast(request: PageRequest, slug: str) -> HttpResponse:
    """Take the vote: what comes after it for the script, a redirect to it for the plain form."""
    annotator = _annotator(request, slug)
    battle = voting.get_battle(arena=annotator.campaign.arena, pk=battle_id(request))
    if battle.voter_id != annotator.voter_id:
        raise NotYourBattle(_("This battle was served to somebody else. Start your own to vote."))
    places = campaign_places(annotator.campaign)
    outcome = cast_form(form=request.POST, battle=battle, voter=annotator.voter, places=places)
    if outcome.vote is not None and not request.htmx:
        return redirect("campaign_voted", slug=slug, battle_id=battle.pk)
    if outcome.vote is not None:
        annotator.refresh_from_db()
        return _fragment(request, annotator, _after(annotator, outcome.vote))
    assignment = Assignment.objects.select_related("campaign").filter(battle=battle).first()
    stage = {**outcome.stage, **_around(annotator, assignment), "stage": BATTLE}
    answer = _fragment if request.htmx else _page
    return answer(request, annotator, stage, status=outcome.status)


@never_cache
@require_GET
def votes(request: PageRequest, slug: str) -> HttpResponse:
    """The address that those of single votes begin with: back to the battles."""
    return redirect("campaign_work", slug=slug)


@never_cache
@require_GET
def voted(request: PageRequest, slug: str, battle_id: UUID) -> HttpResponse:
    """The annotator's own vote, with what the qualification teaches."""
    annotator = _annotator(request, slug)
    return _page(request, annotator, _after(annotator, _vote(annotator, battle_id)))


@never_cache
@require_POST
def undo(request: PageRequest, slug: str, battle_id: UUID) -> HttpResponse:
    """Take the vote back: the same battle again, filled in as it was."""
    annotator = _annotator(request, slug)
    taken = _vote(annotator, battle_id)
    anew = undo_vote(vote=taken, voter=annotator.voter, by=person(request))
    save_draft(battle=anew, voter=annotator.voter, form=fields_of(taken, tokens_of(blind_view(anew))))
    if request.htmx:
        return _fragment(request, annotator, next_stage(annotator, seen=True))
    return redirect("campaign_work", slug=slug)


@never_cache
@require_POST
def survey(request: PageRequest, slug: str) -> HttpResponse:
    """Keep what the annotator agreed to and answered before the first battle, and go on to it."""
    annotator = _annotator(request, slug)
    again = keep_answers(request, annotator.campaign.arena, annotator.voter)
    if again:
        return _page(request, annotator, _survey_stage(annotator, again), status=400)
    return redirect("campaign_work", slug=slug)


@never_cache
@require_http_methods(["GET", "POST"])
def my_answers(request: PageRequest, slug: str) -> HttpResponse:
    """Deletes what the annotator said of themselves before the first battle."""
    annotator = _annotator(request, slug)
    frame = {**_frame(annotator), "back": reverse("campaign_work", args=[slug])}
    return show_answers(request, annotator.campaign.arena, annotator.voter, frame)


@never_cache
@require_POST
def keep(request: PageRequest, slug: str) -> JsonResponse:
    """Renew the lease while the annotator is at work."""
    annotator = _annotator(request, slug)
    battle = voting.get_battle(arena=annotator.campaign.arena, pk=battle_id(request))
    return JsonResponse({"seconds": queue.keep_lease(annotator=annotator, battle=battle)})


@csrf_exempt
@require_POST
def panel_message(request: PageRequest, slug: str) -> JsonResponse:
    """The panel's webhook. Its signature says who it is; there is no session."""
    campaign = Campaign.objects.select_related("arena").filter(slug=slug).exclude(panel="").first()
    if campaign is None:
        return JsonResponse({"error": _("There is no such campaign.")}, status=404)
    try:
        taken = crowd.receive(
            campaign=campaign,
            body=request.body,
            timestamp=request.headers.get("X-Prolific-Request-Timestamp", ""),
            signature=request.headers.get("X-Prolific-Request-Signature", ""),
            event=request.headers.get("X-Event-Id", ""),
        )
    except ArenaError as error:
        return JsonResponse({"error": str(error)}, status=status_of(error))
    return JsonResponse({"event": taken.event, "outcome": taken.outcome})


def campaign_places(campaign: Campaign) -> Places:
    """The addresses of the campaign's voting page."""
    names = ("campaign_work", "campaign_next", "campaign_cast", "campaign_votes")
    home, following, cast_at, votes_at = (reverse(name, args=[campaign.slug]) for name in names)
    return Places(home=home, next=following, cast=cast_at, votes=votes_at)


def next_stage(annotator: Annotator, *, seen: bool) -> Stage:
    """The context of the annotator's next battle, or of why there is none."""
    try:
        found = queue.next_item(annotator=annotator)
    except ConsentNeeded:
        return _survey_stage(annotator, survey_stage(annotator.campaign.arena, annotator.voter))
    if found.assignment is None:
        return _done(annotator, found)
    battle = found.assignment.battle
    if seen:
        mark_shown(battle)
    stage = battle_stage(battle, campaign_places(annotator.campaign))
    return {**stage, **_around(annotator, found.assignment), "stage": BATTLE}


def _survey_stage(annotator: Annotator, stage: Stage) -> Stage:
    """The arena's survey, sent to the campaign: the arena itself may be closed to this annotator."""
    return {**stage, "survey_at": reverse("campaign_survey", args=[annotator.campaign.slug])}


def _done(annotator: Annotator, found: queue.Next) -> Stage:
    code = crowd.code_for(annotator, found.kind)
    return {
        "stage": DONE,
        "kind": found.kind,
        "sentence": queue.sentence(found),
        "reload": RELOAD_MS if found.is_wait else 0,
        "code": code,
        "return_to": crowd.return_address(annotator, code),
        "ruling": annotator.rulings.order_by("-id").first() if found.kind in ("paused", "excluded") else None,
        "waiting": found.is_wait,
    }


def _after(annotator: Annotator, vote: Vote) -> Stage:
    told = qualification.feedback(vote)
    stage = after_stage(vote, campaign_places(annotator.campaign))
    return {
        **stage,
        "stage": AFTER,
        "feedback": qualification.sentences(told) if told else [],
        "right": bool(told and told.right),
    }


def _around(annotator: Annotator, assignment: Assignment | None) -> dict[str, Any]:
    """What stands around the battle: the lease, an instruction, the place in the qualification."""
    if assignment is None:
        return {}
    qualifying = assignment.purpose == qualification.QUALIFICATION
    return {
        "lease_seconds": queue.seconds_left(assignment),
        "instruction": queue.instruction(assignment),
        "qualifying": qualification.score(annotator)[1] + 1 if qualifying else 0,
        "questions": qualification.questions(annotator.campaign).count() if qualifying else 0,
    }


def _frame(annotator: Annotator) -> dict[str, Any]:
    return {
        "campaign": annotator.campaign,
        "arena": annotator.campaign.arena,
        "annotator": annotator,
        "own": progress.own_progress(annotator),
        "bare": True,  # no way into the rest of the arena, which may be closed to this annotator
        "here": "campaigns",
    }


def _fragment(request: PageRequest, annotator: Annotator, stage: Stage, status: int = 200) -> HttpResponse:
    return render(request, stage["stage"], {**_frame(annotator), **stage}, status=status)


def _page(request: PageRequest, annotator: Annotator, stage: Stage, status: int = 200) -> HttpResponse:
    arena = annotator.campaign.arena
    context = {
        **_frame(annotator),
        "guidelines": shown(arena.guidelines),
        "instructions": shown(annotator.campaign.instructions),
        "words": words(),
        "places": campaign_places(annotator.campaign),
        "warning": annotator.rulings.order_by("-id").first() if annotator.state == "active" else None,
        "answers_at": reverse("campaign_answers_mine", args=[annotator.campaign.slug]),
        "answered_survey": arena.surveys.exists() and has_answers(arena=arena, voter=annotator.voter),
        "manages": access.may_manage(arena=arena, user=request.user),
        **stage,
    }
    return render(request, "annotation/campaign_work.html", context, status=status)


def _annotator(request: PageRequest, slug: str) -> Annotator:
    return queue.annotator_in(slug=slug, voter=known_voter(request))


def _vote(annotator: Annotator, battle: UUID) -> Vote:
    return voting.get_vote(arena=annotator.campaign.arena, battle_id=battle, voter=annotator.voter)
