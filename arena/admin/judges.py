import copy
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from arena.errors import BadInput
from arena.models import Judge, Voter
from arena.services.judges import check_judge


class JudgeForm(forms.ModelForm):
    def clean(self) -> dict[str, Any]:
        """The same rules, in the same words, as everywhere else."""
        cleaned = super().clean() or {}
        candidate = copy.copy(self.instance)
        for name, value in cleaned.items():
            setattr(candidate, name, value)
        if not self.errors:
            try:
                check_judge(candidate)
            except BadInput as error:
                raise ValidationError(str(error)) from error
        return cleaned

    def clean_parameters(self) -> dict[str, Any]:
        return self.cleaned_data["parameters"] or {}

    def clean_kin(self) -> list[str]:
        return self.cleaned_data["kin"] or []


@admin.register(Judge)
class JudgeAdmin(admin.ModelAdmin):
    form = JudgeForm
    list_display = ["name", "arena", "method", "backend", "created_at", "retired_at"]
    list_filter = ["arena", "method"]
    list_select_related = ["arena"]
    readonly_fields = ["created_at"]
    exclude = ["voter"]

    def save_model(self, request: HttpRequest, obj: Judge, form: Any, change: bool) -> None:
        if not change:
            obj.voter = Voter.objects.create(kind=Voter.Kind.JUDGE)
        super().save_model(request, obj, form, change)
