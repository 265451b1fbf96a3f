"""A campaign's gold and qualification questions, as its lead makes them."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation.campaign_lead_views import enter_campaign, frame
from annotation.models import Campaign, Item
from annotation.services import items
from arena.errors import ArenaError, BadInput, NotFound
from arena.models import Arena, Prompt
from arena.views.entry import PageRequest, person
from arena.views.outputs import shown

MOST_PROMPTS = 300
OFFERED = 20


@never_cache
@require_http_methods(["GET", "POST"])
def campaign_questions(request: PageRequest, slug: str, campaign: str) -> HttpResponse:
    """Gold and qualification questions: make one of a prompt's responses, promote one, take one out."""
    arena, found = enter_campaign(request, slug, campaign)
    prompt = _prompt(arena, request.POST.get("prompt") or request.GET.get("prompt"))
    problem = ""
    if request.method == "POST":
        try:
            said = _question_act(request, found, prompt)
        except ArenaError as error:
            problem = str(error)
        else:
            messages.success(request, said)
            return redirect("campaign_questions", slug=slug, campaign=campaign)
    context = {
        **frame(request, arena, found),
        "questions": _questions(found),
        "offered": [_offered(item, above) for item, above in items.unanimous_items(found)[:OFFERED]],
        "prompts": Prompt.objects.drawable().filter(arena=arena).order_by("id")[:MOST_PROMPTS],
        "prompt": prompt,
        "choices": range(1, found.k + 1),
        "responses": _responses(found, prompt, request),
        "purpose": request.POST.get("purpose", "gold"),
        "explanation": request.POST.get("explanation", ""),
        "problem": problem,
    }
    return render(request, "annotation/campaign_questions.html", context, status=400 if problem else 200)


def _prompt(arena: Arena, pk: str | None) -> Prompt | None:
    if not pk or not (pk.isascii() and pk.isdigit()):
        return None
    return Prompt.objects.filter(arena=arena, pk=int(pk)).first()


def _question_act(request: PageRequest, campaign: Campaign, prompt: Prompt | None) -> str:
    """Do what the form asks for; what was done, in words."""
    form, by = request.POST, person(request)
    if "promote" in form:
        items.promote(item=_item(campaign, form["promote"]), by=by)
        return _("It is a gold question now.")
    if "retire" in form:
        items.retire_item(item=_item(campaign, form["retire"]), by=by)
        return _("It is asked no more.")
    if prompt is None:
        raise BadInput(_("Choose a prompt first."))
    ranks = {
        response: int(form[f"rank-{response}"])
        for response in prompt.responses.values_list("id", flat=True)
        if form.get(f"rank-{response}", "").isdigit()
    }
    all_bad = "all_bad" in form
    expected = {"all_bad": True} if all_bad else items.expected_of(ranks)
    items.add_known(
        campaign=campaign,
        purpose=form.get("purpose", ""),
        responses=list(ranks),
        expected=expected,
        explanation=form.get("explanation", ""),
        by=by,
    )
    return _("The question is added.")


def _item(campaign: Campaign, pk: str) -> Item:
    found = campaign.items.filter(pk=int(pk)).first() if pk.isascii() and pk.isdigit() else None
    if found is None:
        raise NotFound(_("There is no such question in this campaign."))
    return found


def _questions(campaign: Campaign) -> list[dict[str, Any]]:
    """The questions with known answers, with how they were answered."""
    known = campaign.items.filter(retired_at=None).exclude(purpose="").exclude(origin=items.INSTRUCTION)
    return [
        {
            "item": one,
            "right": one.assignments.filter(correct=True).count(),
            "of": one.assignments.exclude(correct=None).count(),
        }
        for one in known.select_related("prompt").order_by("purpose", "id")
    ]


def _offered(item: Item, above: list[list[int]]) -> dict[str, Any]:
    return {"item": item, "pairs": len(above), "votes": item.held}


def _responses(campaign: Campaign, prompt: Prompt | None, request: PageRequest) -> list[dict[str, Any]]:
    """The prompt's responses with what was chosen. The lead sees the names: nothing is judged here."""
    if prompt is None:
        return []
    named = prompt.responses.filter(contestant__in=items.contestants_of(campaign)).select_related(
        "contestant"
    )
    return [
        {
            "response": one,
            "html": shown(one.text, one.html),
            "rank": request.POST.get(f"rank-{one.pk}", ""),
        }
        for one in named.order_by("contestant_id", "sample")
    ]
