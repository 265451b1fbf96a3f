"""What every page of an arena begins with."""

from typing import Any

from django.http import HttpRequest

from arena.models import Arena
from arena.services import access


def arena_page(request: HttpRequest, arena: Arena, here: str) -> dict[str, Any]:
    """The context that the frame of an arena's pages needs."""
    return {"arena": arena, "here": here, "manages": access.may_manage(arena=arena, user=request.user)}


def enter(request: HttpRequest, slug: str) -> Arena:
    return access.get_arena(slug=slug, user=request.user)


def enter_as_manager(request: HttpRequest, slug: str) -> Arena:
    arena = access.get_arena(slug=slug, user=request.user)
    access.require_manager(arena=arena, user=request.user)
    return arena
