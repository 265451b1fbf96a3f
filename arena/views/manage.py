from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from arena.services import overview
from arena.services.contestants import bring_back_contestant, retire_contestant
from arena.services.leaderboards import current_leaderboard
from arena.services.responses import plan_generation
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person


@never_cache
@require_GET
def manage(request: PageRequest, slug: str) -> HttpResponse:
    """What a lead needs to see at a glance."""
    arena = enter_as_manager(request, slug)
    coverage, jobs = overview.coverage(arena), overview.newest_jobs(arena)
    under_way = any(one.job for one in coverage) or any(not job.is_finished for job in jobs)
    live = {"arena": arena, "coverage": coverage, "jobs": jobs, "under_way": under_way}
    if request.htmx:
        return render(request, "arena/_manage_live.html", live)
    context = {
        **arena_page(request, arena, "manage"),
        **live,
        "prompt_counts": overview.prompt_counts(arena),
        "counts": current_leaderboard(arena).counts,
    }
    return render(request, "arena/manage.html", context)


@require_POST
def generate(request: PageRequest, slug: str) -> HttpResponse:
    """Queue the responses that are missing."""
    arena = enter_as_manager(request, slug)
    planned = plan_generation(arena=arena, by=person(request))
    if planned:
        sentence = ngettext(
            "The missing responses of %(count)s contestant are being made.",
            "The missing responses of %(count)s contestants are being made.",
            len(planned),
        )
        messages.success(request, sentence % {"count": len(planned)})
    else:
        messages.info(request, _("No response is missing."))
    return redirect("manage", slug=slug)


@require_POST
def retire(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Retire a contestant, or bring a retired one back."""
    arena = enter_as_manager(request, slug)
    contestant = overview.get_contestant(arena=arena, pk=pk)
    if contestant.retired_at is None:
        retire_contestant(contestant=contestant, by=person(request))
        messages.success(
            request,
            _("%(contestant)s is retired: it is drawn no more, and its votes stay.")
            % {"contestant": contestant.name},
        )
    else:
        bring_back_contestant(contestant=contestant, by=person(request))
        messages.success(request, _("%(contestant)s is drawn again.") % {"contestant": contestant.name})
    return redirect("manage", slug=slug)
