from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from arena.models.arenas import Arena, Membership


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def usable(self) -> "InvitationQuerySet":
        """Not revoked, not expired and not used up, by the database's clock."""
        return self.filter(
            Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None, uses__lt=F("max_uses")
        )


class Invitation(models.Model):
    """A link that makes whoever opens it a member. Only the digest of its secret is kept."""

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=12, choices=Membership.Role, default=Membership.Role.ANNOTATOR)
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    email = models.EmailField(blank=True, help_text="Where the link was sent, if it was sent.")
    note = models.CharField(max_length=120, blank=True, help_text="Whom it is for: the name of the cohort.")
    max_uses = models.PositiveIntegerField(default=1)
    uses = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(uses__lte=F("max_uses")), name="invitation_not_overused")
        ]

    def __str__(self) -> str:
        return self.note or self.email or f"invitation {self.pk}"
