from django.conf import settings
from django.db import models

from arena.models.arenas import Arena
from arena.models.battles import random_token
from arena.models.jobs import Job


class DataSet(models.Model):
    """An immutable, numbered export of votes in training formats, with a card and checksums."""

    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="data_sets")
    number = models.PositiveIntegerField()
    formats = models.JSONField(default=list)
    folder = models.CharField(max_length=300, blank=True, help_text="Below ARENA_DATA_SETS_DIR.")
    last_vote = models.BigIntegerField(default=0)
    last_ruling = models.BigIntegerField(default=0)
    filters = models.JSONField(default=dict, blank=True)
    counts = models.JSONField(default=dict, blank=True, help_text="Rows by format and split.")
    manifest = models.JSONField(default=dict, blank=True, help_text="SHA-256 of every file.")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the manifest.")
    salt = models.CharField(
        max_length=32,
        default=random_token,
        editable=False,
        help_text="Of the voters' pseudonyms: two data sets cannot be joined by voter.",
    )
    job = models.OneToOneField(Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="data_set")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["arena", "number"], name="one_data_set_per_number")]

    def __str__(self) -> str:
        return f"{self.arena.slug} data set {self.number}"
