"""What a page does with an open battle beside voting on it, whoever served it: each is a small POST."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from annotation.stages import keep_draft
from arena.errors import ArenaError, NotFound
from arena.models import Battle, Voter
from arena.services import battles
from arena.services.details import LONGEST_REWRITE
from arena.services.reports import report_response
from arena.services.voters import known_voter
from arena.views.entry import PageRequest
from arena.views.outputs import shown


@never_cache
@require_POST
def draft(request: PageRequest, battle_id: UUID) -> HttpResponse:
    """Keep what is filled in so far."""
    battle, voter = _mine(request, battle_id)
    keep_draft(form=request.POST, battle=battle, voter=voter)
    return HttpResponse(status=204)


@never_cache
@require_POST
def seen(request: PageRequest, battle_id: UUID) -> HttpResponse:
    """A battle that was fetched ahead is on the screen now."""
    battle, _voter = _mine(request, battle_id)
    battles.mark_shown(battle)
    return HttpResponse(status=204)


@never_cache
@require_POST
def preview(request: PageRequest, battle_id: UUID) -> HttpResponse:
    """A rewrite as it would be shown."""
    _mine(request, battle_id)
    return HttpResponse(shown(request.POST.get("rewrite", "")[:LONGEST_REWRITE]))


@never_cache
@require_POST
def report(request: PageRequest, battle_id: UUID) -> HttpResponse:
    """Note what is wrong with a response. The plain form comes back as it was filled in."""
    battle, voter = _mine(request, battle_id)
    token = request.POST.get("report", "")
    try:
        report_response(
            battle=battle,
            voter=voter,
            token=token,
            tags=request.POST.getlist(f"r-{token}"),
            text=request.POST.get(f"rt-{token}", ""),
        )
    except ArenaError:
        if not request.htmx and battle.closed_at is None:
            keep_draft(form=request.POST, battle=battle, voter=voter)
        raise
    if request.htmx:
        return render(request, "annotation/_reported.html")
    if battle.closed_at is None:
        keep_draft(form=request.POST, battle=battle, voter=voter)
    home = request.POST.get("home", "")
    safe = url_has_allowed_host_and_scheme(home, {request.get_host()}, request.is_secure())
    return redirect(home if safe else "/")


def _mine(request: PageRequest, battle_id: UUID) -> tuple[Battle, Voter]:
    """The battle, if it was served to whoever asks; else it is not there."""
    voter = known_voter(request)
    found = Battle.objects.filter(pk=battle_id, voter=voter).select_related("arena").first()
    if voter is None or found is None:
        raise NotFound(_("There is no such battle. Start the next one."))
    return found, voter
