"""The votes of an arena, for its leads: the newest ones, where one went, and ruling on it."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from arena.errors import ArenaError, NotFound
from arena.models import Arena, Vote, VoteRuling
from arena.services import lineage, overview
from arena.services.votes import rule_on_vote
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person


@never_cache
@require_GET
def vote_list(request: PageRequest, slug: str) -> HttpResponse:
    """The newest votes, or those before ?before=; and what holds the vote that ?vote= asks for."""
    arena = enter_as_manager(request, slug)
    rows = overview.votes_before(arena=arena, before=_number(request, "before"))
    context = {
        **arena_page(request, arena, "votes"),
        "rows": rows,
        "older": rows[-1].pk if len(rows) == overview.LISTED_VOTES else None,
        **_traced(request, arena),
    }
    return render(request, "arena/votes.html", context)


@require_POST
def rule(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Take a vote out of the count, or put it back."""
    arena = enter_as_manager(request, slug)
    vote = Vote.objects.select_related("arena", "battle__arena", "voter").filter(arena=arena, pk=pk).first()
    if vote is None:
        raise NotFound(_("%(arena)s has no vote %(vote)s.") % {"arena": arena.name, "vote": pk})
    action = request.POST.get("action", "")
    try:
        rule_on_vote(vote=vote, action=action, reason=request.POST.get("reason", ""), by=person(request))
    except ArenaError as error:
        messages.error(request, str(error))
    else:
        restored = action == VoteRuling.Action.RESTORED
        said = (
            _("Vote %(number)s counts again.") if restored else _("Vote %(number)s is out of the count now.")
        )
        messages.success(request, said % {"number": pk})
    return redirect(f"{reverse('vote_list', args=[slug])}?vote={pk}")


def _traced(request: PageRequest, arena: Arena) -> dict[str, Any]:
    asked = _number(request, "vote")
    if asked is None:
        return {"traces": None}
    try:
        traces = lineage.traces_of(arena=arena, vote=asked)
    except NotFound as error:
        messages.error(request, str(error))
        return {"traces": None}
    return {"traces": traces, "rulings": traces.vote.rulings.select_related("by")}


def _number(request: PageRequest, name: str) -> int | None:
    given = request.GET.get(name, "")
    return int(given) if given.isdecimal() and len(given) <= 18 else None
