import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.models.arenas import Arena


def message_id() -> str:
    """The `webhook-id` of a delivery: the same at every try, so that receivers can drop doubles."""
    return f"msg_{secrets.token_urlsafe(18)}"


class Webhook(models.Model):
    """An address that is told when something happens in an arena."""

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=500)
    sealed_secret = models.TextField(editable=False, help_text="Signs what is sent; encrypted.")
    events = models.JSONField(default=list)
    paused_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(models.Model):
    """One message to one address. Written in the transaction of what it tells of, sent afterwards."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("given up")

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    message = models.CharField(max_length=40, default=message_id)
    event = models.CharField(max_length=40)
    body = models.TextField(help_text="What is sent, to the byte: the signature is over it.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(help_text="Not before.")
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Of the last answer.")
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "webhook deliveries"
        indexes = [
            models.Index(fields=["due_at"], name="deliveries_due", condition=Q(state="waiting")),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook}"
