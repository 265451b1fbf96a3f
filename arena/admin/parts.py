"""What several admin pages share."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from arena.errors import ArenaError


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that staff look at and never write: the log, and what was made from it."""

    show_full_result_count = False  # counting a million rows to say "of a million" is not worth it

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyInline(admin.TabularInline):
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def signed_in(request: HttpRequest) -> User:
    """Who is at work. The admin lets nobody in who is not signed in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def do_for_each(request: HttpRequest, rows: Iterable[Any], act: Callable[[Any], object], done: str) -> None:
    """Call the service for every chosen row; say how many it worked for, and why not for the others."""
    worked = 0
    for row in rows:
        try:
            act(row)
        except ArenaError as error:
            messages.error(request, f"{row}: {error}")
        else:
            worked += 1
    if worked:
        messages.success(request, f"{done}: {worked}.")
