"""A rule that was not met becomes a page with its sentence, once for all views."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.api.errors import status_of
from arena.errors import ArenaError, NotFound, SignInNeeded
from arena.views.entry import PageRequest

TITLES = {SignInNeeded: gettext_lazy("Sign in first"), NotFound: gettext_lazy("Not here")}


class ArenaErrorPages:
    """Answers an ArenaError that a view let through."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: PageRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, ArenaError):
            return None
        template = "arena/_problem.html" if request.htmx else "arena/problem.html"
        context = {
            "title": TITLES.get(type(error), _("That did not work")),
            "sentence": str(error),
            "sign_in": isinstance(error, SignInNeeded),
        }
        return render(request, template, context, status=status_of(error))
