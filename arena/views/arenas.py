"""Making an arena and changing its settings, in the browser."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from arena.errors import NotAllowed, SignInNeeded
from arena.models import Arena
from arena.services import access, members
from arena.views.entry import PageRequest, arena_page, person


class ArenaForm(forms.ModelForm):
    class Meta:
        model = Arena
        fields = members.FIELDS
        labels = {
            "slug": gettext_lazy("Name in addresses"),
            "name": gettext_lazy("Name"),
            "description": gettext_lazy("Description"),
            "modality": gettext_lazy("What is compared"),
            "k": gettext_lazy("Responses per battle"),
            "access": gettext_lazy("Who votes"),
            "reveal": gettext_lazy("After a vote"),
            "strategy": gettext_lazy("How battles are chosen"),
            "joint": gettext_lazy("Each response answers its own prompt"),
            "own_prompts": gettext_lazy("Voters may ask their own questions"),
            "turns": gettext_lazy("Turns of a conversation"),
            "keep_own_prompts": gettext_lazy("Own questions go into data sets"),
        }
        help_texts = {
            "slug": gettext_lazy("/arenas/NAME/. Letters, digits and hyphens. It cannot be changed later."),
            "description": gettext_lazy("One or two sentences, shown in the list of arenas."),
            "joint": gettext_lazy("It is shown with the response."),
            "own_prompts": gettext_lazy("Needs a running worker."),
            "turns": gettext_lazy("It goes on from the preferred response; 1: it does not go on."),
            "keep_own_prompts": gettext_lazy("With the votes on the answers."),
        }
        widgets = {"description": forms.Textarea(attrs={"rows": 2})}

    def __init__(self, data: Any = None, *, instance: Arena | None = None) -> None:
        super().__init__(data, instance=instance, label_suffix="")
        if self.instance.pk:
            del self.fields["slug"]
            # What the responses are was decided when they were made.
            del self.fields["modality"]


@never_cache
@require_http_methods(["GET", "POST"])
def new_arena(request: PageRequest) -> HttpResponse:
    by = person(request)
    if by is None:
        raise SignInNeeded(_("Sign in to make an arena."))
    if not access.may_found(by):
        raise NotAllowed(_("New arenas are made by staff and by those who own one. Ask one of them."))
    form = ArenaForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        arena = members.found_arena(by=by, **form.cleaned_data)
        messages.success(
            request, _("The arena is made, and you own it. Next: contestants, prompts and people.")
        )
        return redirect("manage", slug=arena.slug)
    status = 400 if form.is_bound else 200
    return render(request, "arena/arena_form.html", {"form": form, "here": "new"}, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
def settings(request: PageRequest, slug: str) -> HttpResponse:
    """The arena's settings, for its owners."""
    arena = access.get_arena(slug=slug, user=request.user)
    access.require_owner(arena=arena, user=request.user)
    by = person(request)
    form = ArenaForm(request.POST or None, instance=Arena.objects.get(pk=arena.pk))
    if by is not None and request.method == "POST" and form.is_valid():
        members.change_arena(arena=arena, by=by, **form.cleaned_data)
        messages.success(request, _("The settings are saved."))
        return redirect("arena_settings", slug=slug)
    context = {**arena_page(request, arena, "settings"), "form": form}
    return render(request, "arena/arena_form.html", context, status=400 if form.is_bound else 200)
