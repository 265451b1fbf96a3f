from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html

from arena.admin.parts import do_for_each, signed_in
from arena.models import Arena, Membership
from arena.services.data_sets import request_data_set
from arena.services.responses import plan_generation


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Arena)
class ArenaAdmin(admin.ModelAdmin):
    list_display = ["name", "pages", "slug", "modality", "k", "access", "strategy"]
    list_filter = ["access", "modality", "is_demo"]
    search_fields = ["name", "slug"]
    readonly_fields = ["judgement", "is_demo", "created_at"]  # the form has a page of its own
    prepopulated_fields = {"slug": ["name"]}
    inlines = [MembershipInline]
    actions = ["export_data_set", "start_training_run", "generate_missing"]

    @admin.display(description="pages")
    def pages(self, arena: Arena) -> str:
        address = arena.get_absolute_url()
        return format_html(
            '<a href="{}">vote</a> · <a href="{}leaderboard/">leaderboard</a> · '
            '<a href="{}manage/">manage</a>',
            address,
            address,
            address,
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Arena | None = None) -> list[str]:
        # Addresses and data sets carry the slug.
        return [*self.readonly_fields, *(["slug"] if obj else [])]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Arena | None = None) -> dict[str, Any]:
        return {} if obj else self.prepopulated_fields

    @admin.action(description="Export a data set")
    def export_data_set(self, request: HttpRequest, arenas: QuerySet[Arena]) -> None:
        do_for_each(
            request,
            arenas,
            lambda arena: request_data_set(arena=arena, by=signed_in(request)),
            "Data sets that are being written",
        )

    @admin.action(description="Start a training run")
    def start_training_run(self, request: HttpRequest, arenas: QuerySet[Arena]) -> HttpResponse | None:
        if len(arenas) != 1:
            messages.error(request, "Choose one arena: a training run is of one arena.")
            return None
        return redirect("training_runs", slug=arenas[0].slug)

    @admin.action(description="Generate missing responses")
    def generate_missing(self, request: HttpRequest, arenas: QuerySet[Arena]) -> None:
        do_for_each(
            request,
            arenas,
            lambda arena: plan_generation(arena=arena, by=signed_in(request)),
            "Arenas whose missing responses are queued",
        )
