from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

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
        GENERATE = "generate", _("generate responses")
        TRAIN = "train", _("training run")
        EXPORT = "export", _("export a data set")
        ANALYSIS = "analysis", _("analyse a leaderboard")
        JUDGE = "judge", _("ask a judge")
        CHECK = "check", _("check a contestant")
        CURATE = "curate", _("choose votes by a reward model")
        DEMO_MODELS = "demo_models", _("build the demo's models")

    class State(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")
        QUARANTINED = "quarantined", _("given up: it ended its worker too often")

    kind = models.CharField(max_length=12, choices=Kind)
    priority = models.SmallIntegerField(
        default=0, help_text="A higher one is taken first. 10: somebody waits in front of the screen."
    )
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
    done_before = models.PositiveIntegerField(
        default=0, help_text="How much was done when this attempt began."
    )
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
        indexes = [
            models.Index(fields=["state", "lease_until"], name="jobs_to_reap"),
            models.Index(fields=["state", "kind", "-priority", "id"], name="jobs_to_take"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_finished(self) -> bool:
        return self.state not in (self.State.QUEUED, self.State.RUNNING)

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // self.total) if self.total else (100 if self.state == "done" else 0)

    @property
    def rate(self) -> float | None:
        """How much of `total` this attempt does in a second; None while nothing can be said."""
        if self.started_at is None or self.progress_at is None or self.done <= self.done_before:
            return None
        seconds = (self.progress_at - self.started_at).total_seconds()
        return (self.done - self.done_before) / seconds if seconds >= 1 else None

    @property
    def seconds_left(self) -> int | None:
        """About how long it will take yet, at the rate so far."""
        if self.state != self.State.RUNNING or not self.rate or self.done >= self.total:
            return None
        return max(1, round((self.total - self.done) / self.rate))

    @property
    def minutes_left(self) -> int | None:
        return None if self.seconds_left is None else round(self.seconds_left / 60)

    @property
    def hours_left(self) -> int | None:
        return None if self.seconds_left is None else round(self.seconds_left / 3600)


class Canary(models.Model):
    """One queue's newest canary: a message that asks for nothing but to be heard.

    A worker whose process lives may still hear nothing (its connection is dead and nobody told it).
    Only a message that comes out at the other end shows that a queue is served.
    """

    queue = models.CharField(max_length=40, unique=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=120, blank=True)

    def __str__(self) -> str:
        return self.queue
