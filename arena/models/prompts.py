from django.db import models
from django.utils.translation import gettext_lazy as _

from arena.models.arenas import Arena


class PromptQuerySet(models.QuerySet["Prompt"]):
    def active(self) -> "PromptQuerySet":
        return self.filter(retired_at=None)

    def drawable(self) -> "PromptQuerySet":
        """Those for everybody: what a voter asked is shown to that voter only."""
        return self.active().filter(asked_by=None)


class Prompt(models.Model):
    """What the contestants answer: a list of chat messages. A data set is split by prompt."""

    class Split(models.TextChoices):
        TRAIN = "train", _("Train")
        HELD_OUT = "held_out", _("held out")

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="prompts")
    key = models.CharField(max_length=120, help_text="Its name in files; unique in the arena.")
    messages = models.JSONField(help_text='[{"role": "user", "content": "…"}], the last one from the user.')
    tags = models.JSONField(default=list, blank=True)
    needs = models.JSONField(
        default=dict,
        blank=True,
        help_text='What a contestant must be able to do to answer: {"language": "de", "image_input": true}.',
    )
    split = models.CharField(max_length=8, choices=Split, default=Split.TRAIN)
    asked_by = models.ForeignKey(
        "Voter",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="prompts",
        help_text="The voter who asked it in a conversation; never drawn for others.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = PromptQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["arena", "key"], name="one_prompt_per_key")]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def text(self) -> str:
        """The last user message: what the voter reads as the prompt."""
        return str(self.messages[-1]["content"]) if self.messages else ""
