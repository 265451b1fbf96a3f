from django.db import models

from annotation.models.campaigns import Annotator, Campaign


class PanelIdentity(models.Model):
    """Who a panel says an annotator is. Apart from votes: never exported, digests for looking up."""

    annotator = models.OneToOneField(Annotator, on_delete=models.CASCADE, related_name="panel_identity")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="panel_identities")
    participant_digest = models.CharField(max_length=64)
    session_digest = models.CharField(max_length=64, blank=True)
    sealed = models.TextField(help_text="Participant, study and session as the panel gave them; encrypted.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "panel identities"
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "participant_digest"], name="one_identity_per_campaign_and_participant"
            )
        ]
        indexes = [models.Index(fields=["campaign", "session_digest"], name="identities_by_session")]

    def __str__(self) -> str:
        return f"identity of {self.annotator}"


class PanelEvent(models.Model):
    """A message of a panel's webhook that was taken in. Kept so that none is acted on twice."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="panel_events")
    event = models.CharField(max_length=100)
    kind = models.CharField(max_length=60, blank=True)
    status = models.CharField(max_length=30, blank=True)
    outcome = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "event"], name="one_panel_event_per_id"),
        ]

    def __str__(self) -> str:
        return self.event
