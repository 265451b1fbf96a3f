from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.utils.translation import gettext_lazy as _

from arena.models.arenas import Arena
from arena.models.battles import Battle, Voter


class VoteQuerySet(models.QuerySet["Vote"]):
    def counted(self) -> "VoteQuerySet":
        """Votes whose newest ruling, if any, puts them back into the count."""
        newest = VoteRuling.objects.filter(vote=OuterRef("pk")).order_by("-id").values("action")[:1]
        return self.annotate(ruling=Subquery(newest)).filter(
            Q(ruling=None) | Q(ruling=VoteRuling.Action.RESTORED)
        )

    def ruled_out(self) -> "VoteQuerySet":
        return self.filter(Exists(VoteRuling.objects.filter(vote=OuterRef("pk")))).exclude(
            pk__in=self.counted().values("pk")
        )

    def orders(self) -> "VoteQuerySet":
        """Votes that say something about the order: rankings and best-only picks."""
        return self.filter(kind__in=[Vote.Kind.RANKING, Vote.Kind.BEST])

    def update(self, **kwargs: Any) -> int:
        raise TypeError("Votes are an append-only log: add a VoteRuling instead.")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise TypeError("Votes are an append-only log: add a VoteRuling instead.")


class Vote(models.Model):
    """The voter's answer to a battle. Append-only: never edited or deleted; its id is its place."""

    class Kind(models.TextChoices):
        RANKING = "ranking", _("Ranking")
        BEST = "best", _("best only")
        ALL_BAD = "all_bad", _("all bad")
        SKIP = "skip", _("cannot judge")

    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="votes")
    battle = models.ForeignKey(Battle, on_delete=models.PROTECT, related_name="votes")
    voter = models.ForeignKey(Voter, on_delete=models.PROTECT, related_name="votes")
    kind = models.CharField(max_length=8, choices=Kind)
    ranks = models.JSONField(
        null=True,
        blank=True,
        help_text="By slot position: 1 is best, equal is tied, null is not ranked (below all ranked ones). "
        "Empty for all bad and cannot judge.",
    )
    skip_reason = models.CharField(max_length=200, blank=True)
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)
    wall_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text="From served to voted, by the server."
    )
    active_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text="Of that, with the page in view."
    )
    details = models.JSONField(
        default=dict, blank=True, help_text="What the arena asks for beside the ranking."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = VoteQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["battle", "voter"], name="one_vote_per_battle_and_voter"),
            models.UniqueConstraint(fields=["voter", "idempotency_key"], name="one_vote_per_idempotency_key"),
            models.CheckConstraint(
                condition=Q(kind__in=["ranking", "best"], ranks__isnull=False)
                | Q(kind__in=["all_bad", "skip"], ranks__isnull=True),
                name="ranks_only_where_ranked",
            ),
        ]
        indexes = [models.Index(fields=["arena", "id"], name="votes_of_arena")]

    def __str__(self) -> str:
        return f"vote {self.pk}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("Votes are an append-only log: add a VoteRuling instead.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("Votes are an append-only log: add a VoteRuling instead.")


class VoteRuling(models.Model):
    """Takes a vote out of the count, or puts it back: who, when and why. The newest one holds."""

    class Action(models.TextChoices):
        WITHDRAWN = "withdrawn", _("withdrawn by the voter")
        QUARANTINED = "quarantined", _("quarantined by the lead or a check")
        RESTORED = "restored", _("restored to the count")

    vote = models.ForeignKey(Vote, on_delete=models.PROTECT, related_name="rulings")
    action = models.CharField(max_length=12, choices=Action)
    reason = models.CharField(max_length=300)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["vote", "id"], name="rulings_of_vote")]

    def __str__(self) -> str:
        return f"{self.vote} {self.action}"
