from decimal import Decimal

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from arena.models import Arena, Battle, Prompt, Voter
from arena.models.arenas import LARGEST_BATTLE, SMALLEST_BATTLE
from arena.models.battles import random_token


class CampaignQuerySet(models.QuerySet["Campaign"]):
    def running(self) -> "CampaignQuerySet":
        return self.filter(state=Campaign.State.RUNNING)


class Campaign(models.Model):
    """A job for chosen annotators: which battles, how many votes each, checks, pay and codes."""

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        RUNNING = "running", _("Running")
        PAUSED = "paused", _("Paused")
        FINISHED = "finished", _("Finished")

    class Ended(models.TextChoices):
        """Why a finished campaign ended. Empty: all its votes are in, or a lead said so."""

        TIME = "time", _("Its time was over before all votes were in.")
        SKIPPED = (
            "skipped",
            _("Everybody who may judge has had all battles there are for them; some still lack votes."),
        )

    class Method(models.TextChoices):
        DRAWN = "drawn", _("Drawn by the arena's strategy, a batch at a time")
        ALL = "all", _("All combinations of the contestants")

    class Panel(models.TextChoices):
        NONE = "", _("No panel: your own people")
        PROLIFIC = "prolific", "Prolific"
        GENERIC = "generic", _("Another panel that passes ids in the address")

    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="campaigns")
    slug = models.SlugField(unique=True, help_text=_("The name in addresses: /campaigns/NAME/"))
    name = models.CharField(max_length=120)
    instructions = models.TextField(
        blank=True, help_text=_("What annotators read before they start and beside every battle. Markdown.")
    )
    state = models.CharField(max_length=8, choices=State, default=State.DRAFT)

    prompt_filter = models.JSONField(
        default=dict, blank=True, help_text="tags, split, keys, most: which prompts the battles are about."
    )
    contestants = models.JSONField(
        default=list, blank=True, help_text="Ids; empty: all that are not retired."
    )
    k = models.PositiveSmallIntegerField(
        default=2, validators=[MinValueValidator(SMALLEST_BATTLE), MaxValueValidator(LARGEST_BATTLE)]
    )
    method = models.CharField(max_length=8, choices=Method, default=Method.DRAWN)
    overlap = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1)], help_text=_("Votes per battle, each by another person.")
    )
    per_prompt = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1)], help_text=_("Battles per prompt, where they are drawn.")
    )
    batch = models.PositiveSmallIntegerField(
        default=20, validators=[MinValueValidator(1)], help_text=_("How many battles are drawn ahead.")
    )
    plan = models.JSONField(default=list, blank=True, help_text="The prompts' ids, fixed at the start.")
    target = models.PositiveIntegerField(default=0, help_text="Battles wanted in all, fixed at the start.")
    drawn = models.PositiveIntegerField(default=0, help_text="Of these, how many are there now.")

    open_link = models.BooleanField(default=False, help_text=_("Whoever has the link may take part."))
    token = models.CharField(max_length=32, default=random_token, unique=True)
    lease_minutes = models.PositiveSmallIntegerField(default=15, validators=[MinValueValidator(1)])
    most_each = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("The most battles that one person judges; empty: no limit.")
    )
    gold_every = models.PositiveSmallIntegerField(
        default=0, help_text=_("One battle in so many is a gold question; 0: none.")
    )
    repeat_every = models.PositiveSmallIntegerField(
        default=0, help_text=_("One battle in so many is one judged before; 0: none.")
    )
    repeat_gap = models.PositiveSmallIntegerField(
        default=5, help_text=_("A battle comes again after this many others at the earliest.")
    )
    checks_every = models.PositiveSmallIntegerField(
        default=0, help_text=_("One battle in so many carries a clear instruction; 0: none.")
    )
    pass_mark = models.PositiveSmallIntegerField(
        default=80, validators=[MaxValueValidator(100)], help_text=_("Percent, of the qualification round.")
    )
    tries = models.PositiveSmallIntegerField(default=2, validators=[MinValueValidator(1)])
    rules = models.JSONField(default=list, blank=True, help_text="Thresholds: measure, limit, after, act.")
    pay_per_battle = models.DecimalField(
        max_digits=8, decimal_places=3, null=True, blank=True, validators=[MinValueValidator(Decimal(0))]
    )
    currency = models.CharField(max_length=3, blank=True)

    panel = models.CharField(max_length=10, choices=Panel, blank=True, default=Panel.NONE)
    panel_settings = models.JSONField(
        default=dict, blank=True, help_text="participant, study, session: names of parameters; return_url."
    )
    code_complete = models.CharField(max_length=40, blank=True)
    code_screened_out = models.CharField(max_length=40, blank=True)
    sealed_secret = models.TextField(blank=True, editable=False, help_text="Of the panel's webhook.")

    opens_at = models.DateTimeField(null=True, blank=True)
    closes_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    ended_because = models.CharField(max_length=8, choices=Ended, blank=True, default="", editable=False)

    objects = CampaignQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(k__gte=SMALLEST_BATTLE, k__lte=LARGEST_BATTLE), name="campaign_k_2_to_8"
            ),
            models.CheckConstraint(condition=Q(overlap__gte=1), name="campaign_overlap_positive"),
            models.CheckConstraint(condition=Q(drawn__lte=F("target")), name="campaign_not_overdrawn"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"/campaigns/{self.slug}/"

    @property
    def channel(self) -> str:
        """Where its battles are shown: `Battle.channel`."""
        return f"campaign:{self.pk}"

    @property
    def votes_wanted(self) -> int:
        return self.target * self.overlap


class Item(models.Model):
    """One prompt and a set of responses that several annotators judge, each in a battle of their own.

    `held` of the `wanted` places are filled by a vote or kept by a live lease. Only
    annotation/services/places.py changes it, and the database refuses more than are wanted.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="items")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="campaign_items")
    responses = models.JSONField(help_text="Ids of the responses, in no order.")
    purpose = models.CharField(
        max_length=14, blank=True, default=Battle.Purpose.ORDINARY, choices=Battle.Purpose
    )
    wanted = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Votes wanted; empty: from everybody (gold, qualification)."
    )
    held = models.PositiveSmallIntegerField(default=0)
    batch = models.PositiveIntegerField(default=0)
    strategy = models.CharField(max_length=12, default="fixed")
    propensity = models.FloatField(null=True, blank=True)
    expected = models.JSONField(
        null=True,
        blank=True,
        help_text='{"above": [[better, worse], …]} by response id, or {"all_bad": true}.',
    )
    explanation = models.TextField(blank=True, help_text=_("Told after a qualification question."))
    origin = models.CharField(max_length=80, blank=True, help_text="Where a gold question comes from.")
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(wanted=None) | Q(held__lte=F("wanted")), name="item_places_not_exceeded"
            ),
        ]
        indexes = [models.Index(fields=["campaign", "purpose", "batch"], name="items_to_serve")]

    def __str__(self) -> str:
        return f"item {self.pk}"


class Annotator(models.Model):
    """One voter's part in a campaign."""

    class State(models.TextChoices):
        INVITED = "invited", _("Invited")
        QUALIFYING = "qualifying", _("Qualifying")
        ACTIVE = "active", _("Active")
        PAUSED = "paused", _("Paused")
        EXCLUDED = "excluded", _("Excluded")
        SCREENED_OUT = "screened_out", _("Did not qualify")
        RETURNED = "returned", _("Gave the place back")

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="annotators")
    voter = models.ForeignKey(Voter, on_delete=models.PROTECT, related_name="campaigns")
    state = models.CharField(max_length=12, choices=State, default=State.INVITED)
    tries_used = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "voter"], name="one_annotator_per_campaign_and_voter")
        ]

    def __str__(self) -> str:
        return f"annotator {self.pk}"


class Assignment(models.Model):
    """One serving of an item to one annotator, from the lease to the vote.

    Each change of `state` is a conditional update from the state it was in
    (annotation/services/places.py), so that of two that race one wins.
    """

    class State(models.TextChoices):
        LEASED = "leased", _("Being judged")
        VOTED = "voted", _("Judged")
        SKIPPED = "skipped", _("Skipped")
        EXPIRED = "expired", _("Time ran out")
        LATE = "late", _("Judged too late; credited")
        RETURNED = "returned", _("Given back")
        VOID = "void", _("Judged, and out of the count")

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="assignments")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="assignments")
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="assignments")
    battle = models.OneToOneField(Battle, on_delete=models.PROTECT, related_name="assignment")
    purpose = models.CharField(
        max_length=14, blank=True, default=Battle.Purpose.ORDINARY, choices=Battle.Purpose
    )
    repetition = models.PositiveSmallIntegerField(
        default=0, help_text="0 is the first time; a repeat or another try of the qualification is 1, 2 …"
    )
    state = models.CharField(max_length=8, choices=State, default=State.LEASED)
    leased_until = models.DateTimeField()
    check_position = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="An instruction: the slot that must be put first."
    )
    correct = models.BooleanField(null=True, blank=True, help_text="As expected, where something is.")
    agreement = models.FloatField(
        null=True, blank=True, help_text="Of a repeat: the share of pairs that are as the first time."
    )
    served_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "annotator", "repetition"], name="one_serving_per_item_and_annotator"
            ),
            models.UniqueConstraint(
                fields=["annotator"], name="one_lease_per_annotator", condition=Q(state="leased")
            ),
        ]
        indexes = [
            models.Index(fields=["campaign", "state", "purpose"], name="assignments_to_count"),
            models.Index(fields=["leased_until"], name="leases_by_end", condition=Q(state="leased")),
        ]

    def __str__(self) -> str:
        return f"assignment {self.pk}"


class AnnotatorRuling(models.Model):
    """Warns, pauses, excludes or takes back an annotator: who, when, why. Rows are only added."""

    class Action(models.TextChoices):
        WARNED = "warned", _("Warned")
        PAUSED = "paused", _("Paused")
        EXCLUDED = "excluded", _("Excluded")
        REINSTATED = "reinstated", _("Taken back")
        RETURNED = "returned", _("Gave the place back")

    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="rulings")
    action = models.CharField(max_length=10, choices=Action)
    reason = models.CharField(max_length=300)
    measure = models.CharField(max_length=12, blank=True, help_text="The threshold; empty: a lead's own act.")
    figures = models.JSONField(default=dict, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.annotator} {self.action}"
