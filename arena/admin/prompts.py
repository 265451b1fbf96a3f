from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from arena.admin.parts import ReadOnlyAdmin
from arena.errors import BadInput
from arena.models import Battle, Prompt, Response
from arena.services.prompts import Message, checked_messages


class PromptForm(forms.ModelForm):
    def clean_messages(self) -> list[Message]:
        try:
            return checked_messages(self.cleaned_data["messages"])
        except BadInput as error:
            raise ValidationError(str(error)) from error

    def clean_tags(self) -> list[str]:
        tags = self.cleaned_data["tags"] or []
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise ValidationError('The tags must be a list of words such as ["story", "short"].')
        return tags


@admin.register(Prompt)
class PromptAdmin(admin.ModelAdmin):
    form = PromptForm
    list_display = ["key", "beginning", "arena", "split", "retired_at"]
    list_filter = ["arena", "split"]
    list_select_related = ["arena"]
    search_fields = ["key", "messages"]
    readonly_fields = ["created_at", "retired_at"]
    show_full_result_count = False
    actions = ["retire", "bring_back"]

    @admin.display(description="text")
    def beginning(self, prompt: Prompt) -> str:
        return str(prompt)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # Responses and votes are about this text, and data sets are split by it.
        fixed = obj is not None and (
            Response.objects.filter(prompt=obj).exists() or Battle.objects.filter(prompt=obj).exists()
        )
        return [*self.readonly_fields, *(["arena", "key", "messages", "split"] if fixed else [])]

    @admin.action(description="Retire: draw them no more")
    def retire(self, request: HttpRequest, prompts: QuerySet[Prompt]) -> None:
        prompts.filter(retired_at=None).update(retired_at=timezone.now())

    @admin.action(description="Bring back retired ones")
    def bring_back(self, request: HttpRequest, prompts: QuerySet[Prompt]) -> None:
        prompts.update(retired_at=None)


@admin.register(Response)
class ResponseAdmin(ReadOnlyAdmin):
    list_display = ["id", "prompt", "contestant", "sample", "created_at"]
    list_filter = ["contestant__arena"]
    list_select_related = ["prompt", "contestant"]
    search_fields = ["text"]
    # Not the HTML: this page shows what the model wrote, as text.
    fields = ["prompt", "contestant", "sample", "text", "raw", "sha256", "made_by", "created_at"]
