"""What every page of an arena begins with."""

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from arena.models import Arena
from arena.services import access


class PageRequest(HttpRequest):
    """A request as the middleware leaves it. For annotations: Django makes the requests."""

    htmx: HtmxDetails


def arena_page(request: HttpRequest, arena: Arena, here: str) -> dict[str, Any]:
    """The context that the frame of an arena's pages needs."""
    rights = access.rights_of(arena=arena, user=request.user)
    return {"arena": arena, "here": here, "rights": rights, "manages": access.MANAGE.key in rights}


def enter(request: HttpRequest, slug: str) -> Arena:
    return access.get_arena(slug=slug, user=request.user)


def enter_as_manager(request: HttpRequest, slug: str) -> Arena:
    arena = access.get_arena(slug=slug, user=request.user)
    access.require_manager(arena=arena, user=request.user)
    return arena


def person(request: HttpRequest) -> User | None:
    """Who is signed in, for the record of who asked for something."""
    return request.user if isinstance(request.user, User) else None
