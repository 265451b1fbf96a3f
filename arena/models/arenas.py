from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

SMALLEST_BATTLE, LARGEST_BATTLE = 2, 8
MOST_TURNS = 20


class ArenaQuerySet(models.QuerySet["Arena"]):
    def open(self) -> "ArenaQuerySet":
        return self.filter(access=Arena.Access.OPEN)

    def visible_to(self, user: object) -> "ArenaQuerySet":
        """Open arenas, and the closed ones this user belongs to; all of them for staff."""
        if getattr(user, "is_staff", False):
            return self.all()
        if not getattr(user, "is_authenticated", False):
            return self.open()
        return self.filter(Q(access=Arena.Access.OPEN) | Q(memberships__user=user)).distinct()


class Arena(models.Model):
    """One study: its prompts, its contestants and its rules."""

    class Modality(models.TextChoices):
        TEXT = "text", _("Text")
        IMAGE = "image", _("Image")
        AUDIO = "audio", _("Audio")
        VIDEO = "video", _("Video")
        MODEL_3D = "3d", "3D"

    class Access(models.TextChoices):
        OPEN = "open", _("Open: anybody with the address votes, without signing in")
        CLOSED = "closed", _("Closed: members sign in to vote")

    class Reveal(models.TextChoices):
        AFTER_VOTE = "after_vote", _("Show the names after each vote")
        NEVER = "never", _("Never show the names to voters")

    class Strategy(models.TextChoices):
        INFORMATION = "information", _("Information: the battle that teaches most about the order")
        UNIFORM = "uniform", _("Uniform: contestants with the fewest battles first")
        RANDOM = "random", _("Random")
        LMARENA = "lmarena", _("LMArena: pairs whose interval shrinks most")
        KSORT = "ksort", _("K-Sort: upper confidence bound")

    slug = models.SlugField(unique=True, help_text="The name in addresses: /arenas/SLUG/")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    guidelines = models.TextField(blank=True, help_text="Shown to voters beside the responses. Markdown.")
    modality = models.CharField(max_length=8, choices=Modality, default=Modality.TEXT)
    k = models.PositiveSmallIntegerField(
        "responses per battle",
        default=4,
        validators=[MinValueValidator(SMALLEST_BATTLE), MaxValueValidator(LARGEST_BATTLE)],
    )
    access = models.CharField(max_length=8, choices=Access, default=Access.OPEN)
    reveal = models.CharField(max_length=12, choices=Reveal, default=Reveal.AFTER_VOTE)
    strategy = models.CharField(max_length=12, choices=Strategy, default=Strategy.INFORMATION)
    judgement = models.JSONField(
        default=dict,
        blank=True,
        help_text="What voters are asked: see docs/judgements.md. Empty: a ranking and nothing else.",
    )
    joint = models.BooleanField(
        "different prompts",
        default=False,
        help_text="Each response of a battle answers another prompt, which is shown with it.",
    )
    own_prompts = models.BooleanField(
        default=False, help_text="Voters may ask the models themselves. Needs a running worker."
    )
    turns = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_TURNS)],
        help_text="How many turns a voter's conversation may have; it goes on from the preferred response.",
    )
    keep_own_prompts = models.BooleanField(
        default=False, help_text="Votes on what voters asked themselves go into data sets too."
    )
    is_demo = models.BooleanField(
        default=False, help_text="Made by seed_demo; its contestants are demo models."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ArenaQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(k__gte=SMALLEST_BATTLE, k__lte=LARGEST_BATTLE), name="arena_k_2_to_8"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"/arenas/{self.slug}/"


class Membership(models.Model):
    """What one user may do in one arena. The rules are in arena/services/access.py."""

    class Role(models.TextChoices):
        OWNER = "owner", _("Owner")
        LEAD = "lead", _("Lead")
        ANNOTATOR = "annotator", _("Annotator")
        VIEWER = "viewer", _("Viewer")

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role, default=Role.ANNOTATOR)
    invitation = models.ForeignKey(
        "Invitation",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="members",
        help_text="By which link they came: their cohort.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["arena", "user"], name="one_role_per_arena_and_user")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.arena}"
