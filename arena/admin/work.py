from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from arena.admin.parts import ReadOnlyAdmin, do_for_each
from arena.models import DataSet, Job, TrainingRun
from arena.services import jobs
from arena.services.data_sets import verify_data_set


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["id", "title", "state", "progress", "created_at", "attempt", "message", "arena"]
    list_filter = ["state", "kind", "arena"]
    list_select_related = ["arena"]
    search_fields = ["title", "error"]
    actions = ["cancel", "retry"]

    def has_change_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        # For the actions of the list; a job's own page is to be read.
        return obj is None and admin.ModelAdmin.has_change_permission(self, request)

    @admin.display(description="progress")
    def progress(self, job: Job) -> str:
        return format_html(
            '<progress max="100" value="{}">{} %</progress> {} of {}',
            job.percent,
            job.percent,
            job.done,
            job.total,
        )

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request: HttpRequest, chosen: QuerySet[Job]) -> None:
        do_for_each(request, chosen, jobs.cancel, "Jobs asked to end")

    @admin.action(description="Try again", permissions=["change"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Job]) -> None:
        do_for_each(request, chosen, jobs.retry, "Jobs queued again")


@admin.register(DataSet)
class DataSetAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "formats", "page", "created_by", "created_at", "completed_at"]
    list_filter = ["arena"]
    list_select_related = ["arena", "created_by"]
    actions = ["verify"]

    @admin.display(description="page")
    def page(self, data_set: DataSet) -> str:
        address = reverse("data_set", args=[data_set.arena.slug, data_set.number])
        return format_html('<a href="{}">card and files</a>', address)

    @admin.action(description="Check the files against their checksums", permissions=["view"])
    def verify(self, request: HttpRequest, chosen: QuerySet[DataSet]) -> None:
        do_for_each(request, chosen, verify_data_set, "Data sets that are as they were written")


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    list_display = ["name", "arena", "base", "data_set", "objective", "state", "result", "page"]
    list_filter = ["arena", "objective"]
    list_select_related = ["arena", "base", "data_set__arena", "result", "job"]

    @admin.display(description="state")
    def state(self, run: TrainingRun) -> str:
        return run.job.get_state_display() if run.job else ""

    @admin.display(description="page")
    def page(self, run: TrainingRun) -> str:
        return format_html(
            '<a href="{}">progress</a>', reverse("training_run", args=[run.arena.slug, run.pk])
        )
