from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from arena.models.arenas import Arena
from arena.models.battles import Voter


class VoterRuling(models.Model):
    """Warns or pauses a voter in one arena, or lifts that. Rows are added; the newest one holds."""

    class Action(models.TextChoices):
        WARNED = "warned", _("warned")
        PAUSED = "paused", _("paused: serves and takes no votes")
        CLEARED = "cleared", _("in good standing again")

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="voter_rulings")
    voter = models.ForeignKey(Voter, on_delete=models.PROTECT, related_name="standing")
    action = models.CharField(max_length=8, choices=Action)
    reason = models.CharField(max_length=300, help_text="Shown to the voter.")
    evidence = models.JSONField(default=dict, blank=True, help_text="The figures at that moment.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["arena", "voter", "id"], name="standing_of_voter")]

    def __str__(self) -> str:
        return f"{self.voter} {self.action}"
