from django.db import models

from arena.models.arenas import Arena


class Leaderboard(models.Model):
    """Ratings fitted to the votes at one moment: a snapshot that the votes reproduce."""

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="leaderboards")
    last_vote = models.BigIntegerField(default=0, help_text="The newest vote's id when it was fitted.")
    last_ruling = models.BigIntegerField(default=0, help_text="The newest ruling's id when it was fitted.")
    contestants = models.CharField(
        max_length=64, help_text="SHA-256 of the contestants: ids, names, retired."
    )
    counts = models.JSONField(default=dict, help_text="Votes by kind, and how many were left out.")
    method = models.CharField(max_length=60)
    settings = models.JSONField(default=dict, help_text="All that the fit was given beside the votes.")
    rows = models.JSONField(
        help_text="Best first: contestant, name, rating, lower, upper, rank range, votes."
    )
    fit = models.JSONField(default=dict, help_text="Strengths, covariance, convergence, warnings.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["arena", "-id"], name="leaderboards_newest_first")]
        get_latest_by = "id"

    def __str__(self) -> str:
        return f"{self.arena} at vote {self.last_vote}"
