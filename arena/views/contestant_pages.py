"""Manage → Contestants: the list, adding, changing, and trying out."""

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from arena.errors import BadInput, NotFound
from arena.models import Contestant
from arena.services import overview
from arena.services.contestant_changes import (
    add_contestant,
    change_contestant,
    is_fixed,
    newest_check,
    request_check,
)
from arena.views.contestant_form import LABELS, ContestantForm
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person

Backend = Contestant.Backend


@never_cache
@require_GET
def contestant_list(request: PageRequest, slug: str) -> HttpResponse:
    """All contestants of the arena, and what a new one may be."""
    arena = enter_as_manager(request, slug)
    context = {
        **arena_page(request, arena, "contestants"),
        "coverage": overview.coverage(arena),
        "kinds": LABELS.items(),
    }
    return render(request, "arena/contestants.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
def add(request: PageRequest, slug: str, backend: str) -> HttpResponse:
    """A new contestant of that backend."""
    arena = enter_as_manager(request, slug)
    if backend not in Backend.values:
        raise NotFound(_("There is no backend %(backend)s.") % {"backend": backend})
    form = ContestantForm(arena, backend, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = add_contestant(
                arena=arena, by=_lead(request), backend=backend, key=form.new_key() or "", **form.wanted()
            )
        except BadInput as error:
            form.add_error(None, str(error))
        else:
            said = (
                _("%(name)s is there. Now import its responses.")
                if made.backend == Backend.UPLOADED
                else _("%(name)s is there. Try it out, then have its responses made.")
            )
            messages.success(request, said % {"name": made.name})
            return redirect("contestant_edit", slug=slug, pk=made.pk)
    context = {**arena_page(request, arena, "contestants"), "form": form, "title": LABELS[Backend(backend)]}
    return render(request, "arena/contestant_form.html", context, status=400 if form.errors else 200)


@never_cache
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """One contestant: what may change of it, and what the newest check said."""
    arena = enter_as_manager(request, slug)
    one = overview.get_contestant(arena=arena, pk=pk)
    fixed = is_fixed(one)
    form = ContestantForm(arena, one.backend, request.POST or None, contestant=one, fixed=fixed)
    if request.method == "POST" and form.is_valid():
        try:
            change_contestant(contestant=one, by=_lead(request), key=form.new_key(), **form.wanted())
        except BadInput as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("Saved."))
            return redirect("contestant_edit", slug=slug, pk=pk)
    context = {
        **arena_page(request, arena, "contestants"),
        "form": form,
        "contestant": one,
        "fixed": fixed,
        "job": newest_check(one),
        "title": LABELS[Backend(one.backend)],
    }
    if request.htmx:
        return render(request, "arena/_contestant_check.html", context)
    return render(request, "arena/contestant_form.html", context, status=400 if form.errors else 200)


@require_POST
def check(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Have a worker try it out."""
    arena = enter_as_manager(request, slug)
    one = overview.get_contestant(arena=arena, pk=pk)
    try:
        request_check(contestant=one, by=person(request))
    except BadInput as error:
        messages.error(request, str(error))
    return redirect("contestant_edit", slug=slug, pk=pk)


def _lead(request: PageRequest) -> User:
    """Who is at work: `enter_as_manager` lets nobody in who is not signed in."""
    assert isinstance(request.user, User)
    return request.user
