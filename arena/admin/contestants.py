import copy
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from arena.admin.parts import do_for_each, signed_in
from arena.errors import BadInput
from arena.models import Contestant
from arena.services.contestant_changes import FIXED, is_fixed
from arena.services.contestants import bring_back_contestant, check_contestant, retire_contestant, set_key
from arena.services.responses import plan_generation

# What made the responses may not change once there are some.
MADE_BY = ["arena", *FIXED, "parent"]


class ContestantForm(forms.ModelForm):
    new_key = forms.CharField(
        required=False,
        label="endpoint key",
        widget=forms.PasswordInput(render_value=False),
        help_text="Kept encrypted and never shown. Empty leaves it as it is; a single - takes it away.",
    )

    def clean(self) -> dict[str, Any]:
        """The same rules, in the same words, as everywhere else."""
        cleaned = super().clean() or {}
        candidate = copy.copy(self.instance)
        for name, value in cleaned.items():
            setattr(candidate, name, value)
        if not self.errors:
            try:
                check_contestant(candidate)
            except BadInput as error:
                raise ValidationError(str(error)) from error
        return cleaned

    def clean_capabilities(self) -> dict[str, Any]:
        return self.cleaned_data["capabilities"] or {}

    def clean_budget(self) -> dict[str, Any]:
        return self.cleaned_data["budget"] or {}

    def clean_parameters(self) -> dict[str, Any]:
        return self.cleaned_data["parameters"] or {}


@admin.register(Contestant)
class ContestantAdmin(admin.ModelAdmin):
    form = ContestantForm
    list_display = ["name", "arena", "backend", "parent", "weight", "retired_at"]
    list_filter = ["arena", "backend"]
    list_select_related = ["arena", "parent"]
    search_fields = ["name", "description"]
    autocomplete_fields = ["parent"]
    readonly_fields = ["created_at", "retired_at", "has_key", "spent_tokens", "spent_money"]
    actions = ["retire", "bring_back", "generate_missing"]

    def get_readonly_fields(self, request: HttpRequest, obj: Contestant | None = None) -> list[str]:
        fixed = obj is not None and is_fixed(obj)
        return [*self.readonly_fields, *(MADE_BY if fixed else [])]

    @admin.display(description="key kept", boolean=True)
    def has_key(self, contestant: Contestant) -> bool:
        return bool(contestant.endpoint_key_sealed)

    def save_model(self, request: HttpRequest, obj: Contestant, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if key := form.cleaned_data.get("new_key", ""):
            set_key(contestant=obj, key="" if key.strip() == "-" else key)

    @admin.action(description="Retire: draw them no more")
    def retire(self, request: HttpRequest, contestants: QuerySet[Contestant]) -> None:
        do_for_each(
            request,
            contestants,
            lambda one: retire_contestant(contestant=one, by=signed_in(request)),
            "Retired",
        )

    @admin.action(description="Bring back retired ones")
    def bring_back(self, request: HttpRequest, contestants: QuerySet[Contestant]) -> None:
        do_for_each(
            request,
            contestants,
            lambda one: bring_back_contestant(contestant=one, by=signed_in(request)),
            "Brought back",
        )

    @admin.action(description="Generate missing responses")
    def generate_missing(self, request: HttpRequest, contestants: QuerySet[Contestant]) -> None:
        do_for_each(
            request,
            contestants.select_related("arena"),
            lambda one: plan_generation(arena=one.arena, contestants=[one], by=signed_in(request)),
            "Contestants whose missing responses are queued",
        )
