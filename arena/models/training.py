from django.conf import settings
from django.db import models

from arena.models.arenas import Arena
from arena.models.contestants import Contestant
from arena.models.data_sets import DataSet
from arena.models.jobs import Job


class TrainingRun(models.Model):
    """base contestant + data set + objective → checkpoint → new contestant."""

    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="training_runs")
    base = models.ForeignKey(Contestant, on_delete=models.PROTECT, related_name="training_runs")
    data_set = models.ForeignKey(DataSet, on_delete=models.PROTECT, related_name="training_runs")
    name = models.CharField(max_length=120, help_text="The new contestant's name.")
    objective = models.CharField(max_length=40, default="plackett-luce")
    parameters = models.JSONField(
        default=dict, blank=True, help_text="beta, learning_rate, epochs, batch_size, seed …"
    )
    folder = models.CharField(max_length=300, blank=True, help_text="Below ARENA_RUNS_DIR.")
    job = models.OneToOneField(
        Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="training_run"
    )
    result = models.OneToOneField(
        Contestant, null=True, blank=True, on_delete=models.PROTECT, related_name="made_by_run"
    )
    held_back = models.BooleanField(
        default=False, help_text="Its result becomes a contestant only once a lead promotes it."
    )
    summary = models.JSONField(default=dict, blank=True)
    manifest = models.JSONField(default=dict, blank=True, help_text="Hashes of data, base, code and result.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class TrainingMetric(models.Model):
    """One progress line of a training run."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="metrics")
    step = models.PositiveIntegerField()
    values = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="one_metric_row_per_step")]

    def __str__(self) -> str:
        return f"{self.run} step {self.step}"
