import secrets
import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.models.arenas import Arena
from arena.models.contestants import Contestant
from arena.models.prompts import Prompt
from arena.models.responses import Response


def random_token() -> str:
    """128 random bits: says nothing about what it names, nor when it was made."""
    return secrets.token_urlsafe(16)


class Voter(models.Model):
    """Somebody or something that votes: a signed-in user, a browser session, a file's annotator, a judge."""

    class Kind(models.TextChoices):
        PERSON = "person", _("Person")
        IMPORTED = "imported", _("Imported")
        JUDGE = "judge", _("language model as judge")
        SIMULATED = "simulated", _("Simulated")
        ADJUDICATED = "adjudicated", _("an adjudicator's last word")

    pseudonym = models.CharField(max_length=120, unique=True, default=random_token)
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.PERSON)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="voter"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.user) if self.user_id else self.pseudonym


class BattleQuerySet(models.QuerySet["Battle"]):
    def open(self) -> "BattleQuerySet":
        return self.filter(closed_at=None)


class Battle(models.Model):
    """One prompt and K responses in shuffled, anonymous slots, shown to one voter."""

    class Purpose(models.TextChoices):
        """What the answer is for. Only ordinary ones are counted unless somebody asks for others."""

        ORDINARY = "", _("ordinary")
        GOLD = "gold", _("gold question: the answer is known")
        REPEAT = "repeat", _("repeat: the voter has judged it before")
        QUALIFICATION = "qualification", _("Qualification")
        ADJUDICATION = "adjudication", _("Adjudication")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="battles")
    prompt = models.ForeignKey(
        Prompt,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="battles",
        help_text="Empty only for imported votes whose file names no prompt.",
    )
    voter = models.ForeignKey(Voter, on_delete=models.PROTECT, related_name="battles")
    k = models.PositiveSmallIntegerField()
    channel = models.CharField(
        max_length=60,
        blank=True,
        default="",
        help_text="Where it is shown: empty for free voting, campaign:ID for a campaign.",
    )
    purpose = models.CharField(max_length=14, blank=True, default=Purpose.ORDINARY, choices=Purpose)
    strategy = models.CharField(max_length=12, help_text="How the contestants were drawn.")
    propensity = models.FloatField(
        null=True, blank=True, help_text="The probability with which this set of contestants was drawn."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was voted on, skipped or replaced."
    )
    shown_at = models.DateTimeField(
        null=True, blank=True, help_text="When it came on the screen: a battle is often fetched ahead."
    )
    revealed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the voter was told the names; no undo from then on."
    )
    replaces = models.OneToOneField(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="replaced_by",
        help_text="The battle whose vote was undone and which is shown anew as this one.",
    )

    objects = BattleQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(k__gte=2, k__lte=8), name="battle_k_2_to_8"),
            # Two tabs opened at once get the same battle: a second one would be a second draw.
            # A campaign has a battle of its own beside that of free voting.
            models.UniqueConstraint(
                fields=["arena", "voter", "channel"],
                name="one_open_battle_per_channel_and_voter",
                condition=Q(closed_at=None),
            ),
        ]
        indexes = [
            models.Index(fields=["arena", "voter", "closed_at"], name="battles_of_voter"),
            models.Index(fields=["arena", "closed_at", "created_at"], name="battles_in_flight"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Slot(models.Model):
    """One anonymous place of a battle. Before the vote the browser knows its token only."""

    battle = models.ForeignKey(Battle, on_delete=models.CASCADE, related_name="slots")
    position = models.PositiveSmallIntegerField(help_text="0 is shown first.")
    contestant = models.ForeignKey(Contestant, on_delete=models.PROTECT, related_name="slots")
    response = models.ForeignKey(
        Response,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="slots",
        help_text="Empty only for imported votes whose file holds no text.",
    )
    token = models.CharField(max_length=32, unique=True, default=random_token)

    class Meta:
        ordering = ["battle", "position"]
        constraints = [
            models.UniqueConstraint(fields=["battle", "position"], name="one_slot_per_position"),
            models.UniqueConstraint(fields=["battle", "contestant"], name="contestant_once_per_battle"),
        ]

    def __str__(self) -> str:
        return f"{self.battle_id} slot {self.position}"
