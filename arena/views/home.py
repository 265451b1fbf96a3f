from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from arena.services import overview


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The arenas that this reader may enter."""
    return render(request, "arena/home.html", {"arenas": overview.arenas_for(request.user)})
