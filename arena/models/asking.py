"""What voters are told and asked beside the battle itself, and what they have not sent yet."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from arena.models.arenas import Arena
from arena.models.battles import Battle, Slot, Voter


class GuidelineVersion(models.Model):
    """The guidelines and the form of an arena as voters saw them from some moment on. Never changed."""

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="guideline_versions")
    number = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    judgement = models.JSONField(default=dict, blank=True, help_text="The form of the judgement then.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["arena", "number"]
        constraints = [
            models.UniqueConstraint(fields=["arena", "number"], name="one_guideline_version_per_number")
        ]

    def __str__(self) -> str:
        return f"guidelines {self.number} of {self.arena}"


class Survey(models.Model):
    """A version of what an arena asks before the first battle: consent, and questions about the voter."""

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="surveys")
    number = models.PositiveIntegerField()
    consent = models.TextField(blank=True, help_text="What the voter agrees to. Markdown. Empty: nothing.")
    questions = models.JSONField(default=list, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["arena", "number"]
        constraints = [models.UniqueConstraint(fields=["arena", "number"], name="one_survey_per_number")]

    def __str__(self) -> str:
        return f"survey {self.number} of {self.arena}"


class SurveyAnswer(models.Model):
    """One voter's consent and answers. Apart from the votes, and never in an export."""

    survey = models.ForeignKey(Survey, on_delete=models.CASCADE, related_name="given")
    voter = models.ForeignKey(Voter, on_delete=models.CASCADE, related_name="survey_answers")
    agreed_at = models.DateTimeField(null=True, blank=True)
    answers = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="When the voter had the answers deleted."
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["survey", "voter"], name="one_answer_per_survey_and_voter"),
            models.CheckConstraint(
                condition=Q(deleted_at=None) | Q(answers={}), name="deleted_survey_answers_are_gone"
            ),
        ]

    def __str__(self) -> str:
        return f"answer to {self.survey}"


class Draft(models.Model):
    """What a voter has filled in of an open battle's form and not sent."""

    battle = models.OneToOneField(Battle, on_delete=models.CASCADE, related_name="draft")
    form = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"draft of {self.battle_id}"


class Report(models.Model):
    """A voter's word that something is wrong with a response. The battle goes on."""

    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, related_name="reports")
    voter = models.ForeignKey(Voter, on_delete=models.PROTECT, related_name="reports")
    tags = models.JSONField(default=list, blank=True)
    text = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["slot", "voter"], name="one_report_per_slot_and_voter")
        ]

    def __str__(self) -> str:
        return f"report on {self.slot}"
