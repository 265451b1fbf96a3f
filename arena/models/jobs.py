from django.conf import settings
from django.db import models

from arena.models.arenas import Arena


class JobQuerySet(models.QuerySet["Job"]):
    def unfinished(self) -> "JobQuerySet":
        return self.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING])


class Job(models.Model):
    """Long work. This row is the job: messages on the queue may be lost, doubled or late.

    A worker holds it by a lease that it renews; the attempt number is a fence: a write
    with an older attempt changes nothing. The rules are in arena/services/jobs.py.
    """

    class Kind(models.TextChoices):
        GENERATE = "generate", "generate responses"
        TRAIN = "train", "training run"
        EXPORT = "export", "export a data set"
        DEMO_MODELS = "demo_models", "build the demo's models"

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"
        QUARANTINED = "quarantined", "given up: it ended its worker too often"

    kind = models.CharField(max_length=12, choices=Kind)
    arena = models.ForeignKey(Arena, null=True, blank=True, on_delete=models.CASCADE, related_name="jobs")
    title = models.CharField(max_length=200)
    payload = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    run_at = models.DateTimeField(null=True, blank=True, help_text="Not before then.")
    rung_at = models.DateTimeField(null=True, blank=True, help_text="When the queue was last told of it.")
    cancel_requested = models.BooleanField(default=False)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    message = models.CharField(max_length=300, blank=True, help_text="What it is doing now.")
    log = models.TextField(blank=True)
    error = models.TextField(blank=True)
    result = models.JSONField(default=dict, blank=True)
    unique_key = models.CharField(max_length=120, blank=True, help_text="One unfinished job per key.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    progress_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["unique_key"],
                name="one_unfinished_job_per_key",
                condition=models.Q(state__in=["queued", "running"]) & ~models.Q(unique_key=""),
            ),
        ]
        indexes = [models.Index(fields=["state", "lease_until"], name="jobs_to_reap")]

    def __str__(self) -> str:
        return self.title

    @property
    def is_finished(self) -> bool:
        return self.state not in (self.State.QUEUED, self.State.RUNNING)

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // self.total) if self.total else (100 if self.state == "done" else 0)
