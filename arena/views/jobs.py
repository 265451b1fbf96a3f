from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from arena.errors import BadInput
from arena.services import canaries, overview
from arena.services import jobs as job_service
from arena.views.entry import PageRequest
from arena.views.streams import STREAMS, changes


@never_cache
@require_GET
@login_required
def jobs(request: PageRequest) -> HttpResponse:
    """The jobs of the arenas that this user manages, and how far they are."""
    listed = overview.jobs_for(request.user)
    template = "arena/_jobs.html" if request.htmx else "arena/jobs.html"
    context = {
        "jobs": listed,
        "here": "jobs",
        "under_way": any(not job.is_finished for job in listed),
        "unserved": canaries.unserved(),
    }
    return render(request, template, context)


@never_cache
@require_GET
@login_required
def job(request: PageRequest, pk: int) -> HttpResponse:
    """One job with its log. Its fragment refreshes the page around it once the job has ended."""
    one = overview.get_job(pk=pk, user=request.user)
    if not request.htmx:
        return render(request, "arena/job.html", {"job": one, "here": "jobs"})
    response = render(request, "arena/_job.html", {"job": one})
    if one.is_finished:
        response["HX-Refresh"] = "true"
    return response


@never_cache
@require_GET
@login_required
def events(request: PageRequest) -> HttpResponseBase:
    """Server-sent events: "changed" whenever a job of this user's did. 204 where all places are taken.

    A browser that gets 204 does not ask again, and the page goes on asking every two seconds.
    """
    if not STREAMS.take():
        return HttpResponse(status=204)
    response = StreamingHttpResponse(
        changes(lambda: overview.jobs_mark(request.user)), content_type="text/event-stream"
    )
    response["X-Accel-Buffering"] = "no"
    return response


@require_POST
@login_required
def cancel(request: PageRequest, pk: int) -> HttpResponse:
    one = job_service.cancel(overview.get_job(pk=pk, user=request.user))
    if one.cancel_requested:
        messages.success(request, _("%(title)s: asked to end.") % {"title": one.title})
    else:
        messages.warning(request, _("%(title)s had ended already.") % {"title": one.title})
    return _back(request)


@require_POST
@login_required
def retry(request: PageRequest, pk: int) -> HttpResponse:
    try:
        one = job_service.retry(overview.get_job(pk=pk, user=request.user))
    except BadInput as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("%(title)s: queued again.") % {"title": one.title})
    return _back(request)


def _back(request: PageRequest) -> HttpResponse:
    """To the page that the button was on."""
    target = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
        return redirect(target)
    return redirect("jobs")
