from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_GET

from arena.services import access, overview


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The arenas that this reader may enter."""
    arenas = overview.arenas_for(request.user)
    context = {"arenas": arenas, "may_found": access.may_found(request.user)}
    return render(request, "arena/home.html", context)


@require_GET
def icon(request: HttpRequest) -> HttpResponse:
    """Where browsers look for an icon on pages that name none: the admin, JSON, plain text."""
    return redirect(static("arena/icon.svg"))
