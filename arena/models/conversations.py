"""Conversations that voters begin themselves: each turn is asked, answered, and judged in a battle."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.models.arenas import Arena
from arena.models.battles import Battle, Voter
from arena.models.prompts import Prompt


class Conversation(models.Model):
    """What one voter asked in one arena, turn by turn; it goes on from the response they preferred."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="conversations")
    voter = models.ForeignKey(Voter, on_delete=models.PROTECT, related_name="conversations")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return str(self.id)


class Turn(models.Model):
    """One message of the voter, the contestants drawn to answer it, and the battle of their answers."""

    class State(models.TextChoices):
        WAITING = "waiting", _("the responses are being made")
        READY = "ready", _("the battle is there")
        FAILED = "failed", _("given up")

    conversation = models.ForeignKey(Conversation, on_delete=models.PROTECT, related_name="turns")
    number = models.PositiveSmallIntegerField(help_text="1 is the first.")
    prompt = models.OneToOneField(Prompt, on_delete=models.PROTECT, related_name="turn")
    contestants = models.JSONField(
        help_text="Ids in the order of the slots under `shown`, then under `reserve`."
    )
    strategy = models.CharField(max_length=12)
    propensity = models.FloatField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    problem = models.TextField(blank=True, help_text="Why it was given up, for the voter.")
    battle = models.OneToOneField(
        Battle, null=True, blank=True, on_delete=models.PROTECT, related_name="turn"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["conversation", "number"]
        constraints = [
            models.UniqueConstraint(fields=["conversation", "number"], name="one_turn_per_number"),
            models.CheckConstraint(
                condition=~Q(state="ready") | Q(battle__isnull=False), name="ready_turn_has_a_battle"
            ),
        ]

    def __str__(self) -> str:
        return f"turn {self.number} of {self.conversation_id}"
