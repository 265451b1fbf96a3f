from django.db import models

from arena.models.arenas import Arena


class Analysis(models.Model):
    """What takes longer than a fit to know about a board: computed in a job, for one moment of the log."""

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="analyses")
    last_vote = models.BigIntegerField(default=0, help_text="The newest vote's id when it was computed.")
    last_ruling = models.BigIntegerField(default=0, help_text="The newest ruling's id when it was computed.")
    contestants = models.CharField(
        max_length=64, help_text="SHA-256 of the contestants: ids, names, retired."
    )
    settings = models.JSONField(default=dict, help_text="All that it was given beside the votes.")
    results = models.JSONField(
        default=dict, help_text="By section: outlook, fragility, style, raters, tags, pairs, circles."
    )
    seconds = models.FloatField(default=0.0, help_text="How long it took: the next one waits in proportion.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "analyses"
        ordering = ["-id"]
        indexes = [models.Index(fields=["arena", "-id"], name="analyses_newest_first")]
        get_latest_by = "id"

    def __str__(self) -> str:
        return f"{self.arena} analysed at vote {self.last_vote}"
