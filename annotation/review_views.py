"""Review: the queue of items, an item side by side, and the adjudicator's answer."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.campaign_choice import campaign_page, chosen_campaign
from annotation.services import review, review_queue
from annotation.services.review import Item
from arena.api.errors import status_of
from arena.errors import ArenaError, BadBallot, SignInNeeded
from arena.models import Arena
from arena.services.ballots import Ballot
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person
from arena.views.outputs import shown_response

PAGE = 50


@never_cache
@require_GET
def review_list(request: PageRequest, slug: str) -> HttpResponse:
    """What people disagree on, first: in the arena, or with ?campaign= in one campaign of it."""
    arena = enter_as_manager(request, slug)
    campaign = chosen_campaign(request, arena)
    show = request.GET.get("show", "open")
    show = show if show in ("open", "done", "all") else "open"
    page = max(1, int(request.GET["page"])) if request.GET.get("page", "").isdecimal() else 1
    items, total = review_queue.queue_of(
        arena,
        channel=campaign.channel if campaign else None,
        show=show,
        start=PAGE * (page - 1),
        count=PAGE,
    )
    context = {
        **campaign_page(request, arena, "review", campaign),
        "items": items,
        "total": total,
        "show": show,
        "page": page,
        "more": total > PAGE * page,
    }
    return render(request, "annotation/lead_review.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
def review_item(request: PageRequest, slug: str, battle_id: UUID) -> HttpResponse:
    """One item with everybody's answers; the form is the adjudicator's own."""
    arena = enter_as_manager(request, slug)
    item = review.get_item(arena=arena, battle_id=battle_id)
    if request.method == "GET":
        return _page(request, arena, item)
    by = person(request)
    if by is None:
        raise SignInNeeded(_("Sign in first."))
    try:
        review.adjudicate(
            item=item,
            ballot=_ballot(request, item),
            by=by,
            note=request.POST.get("note", ""),
            error_type=request.POST.get("error_type", ""),
        )
    except ArenaError as error:
        return _page(request, arena, item, problem=str(error), status=status_of(error))
    messages.success(request, _("Your answer is kept beside the others. You can take it back here."))
    return redirect("review_item", slug=slug, battle_id=battle_id)


@require_POST
def review_undo(request: PageRequest, slug: str, battle_id: UUID) -> HttpResponse:
    """Take the adjudication back."""
    arena = enter_as_manager(request, slug)
    by = person(request)
    if by is None:
        raise SignInNeeded(_("Sign in first."))
    if review.take_back(item=review.get_item(arena=arena, battle_id=battle_id), by=by):
        messages.success(request, _("The adjudication is taken back."))
    else:
        messages.info(request, _("There was none to take back."))
    return redirect("review_item", slug=slug, battle_id=battle_id)


@never_cache
@require_GET
def review_json(request: PageRequest, slug: str) -> HttpResponse:
    """All adjudicated items, with everybody's answers."""
    arena = enter_as_manager(request, slug)
    rows = review.as_rows(arena)
    response = JsonResponse({"arena": arena.slug, "items": rows}, json_dumps_params={"indent": 1})
    response["Content-Disposition"] = f'attachment; filename="{slug}-adjudicated.json"'
    return response


def _ballot(request: PageRequest, item: Item) -> Ballot:
    if request.POST.get("all_bad"):
        return Ballot.parse({"all_bad": True}, len(item.slots))
    texts = [request.POST.get(f"rank-{place}", "") for place in range(len(item.slots))]
    if not all(text.isdecimal() for text in texts):
        raise BadBallot(_("Give every response a rank, or say that all are bad."))
    return Ballot.parse({"ranks": [int(text) for text in texts]}, len(item.slots))


def _page(
    request: PageRequest, arena: Arena, item: Item, *, problem: str = "", status: int = 200
) -> HttpResponse:
    ranks = [str(number) for number in range(1, len(item.slots) + 1)]
    responses = [
        {
            "letter": review.LETTERS[place],
            "html": shown_response(slot.response, review.LETTERS[place]) if slot.response else "",
            "prompt": slot.response.prompt if slot.response and not item.battle.prompt_id else None,
            "field": f"rank-{place}",
            "choices": [(rank, request.POST.get(f"rank-{place}") == rank) for rank in ranks],
        }
        for place, slot in enumerate(item.slots)
    ]
    context: dict[str, Any] = {
        **arena_page(request, arena, "review"),
        "item": item,
        "responses": responses,
        "prompt": item.battle.prompt,
        "error_types": review.ERROR_TYPES.items(),
        "chosen": request.POST.get("error_type", ""),
        "note": request.POST.get("note", ""),
        "all_bad": bool(request.POST.get("all_bad")),
        "problem": problem,
    }
    return render(request, "annotation/lead_item.html", context, status=status)
