from django.db import models

from arena.models.arenas import Arena


class PromptQuerySet(models.QuerySet["Prompt"]):
    def active(self) -> "PromptQuerySet":
        return self.filter(retired_at=None)


class Prompt(models.Model):
    """What the contestants answer: a list of chat messages. A data set is split by prompt."""

    class Split(models.TextChoices):
        TRAIN = "train"
        HELD_OUT = "held_out", "held out"

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="prompts")
    key = models.CharField(max_length=120, help_text="Its name in files; unique in the arena.")
    messages = models.JSONField(help_text='[{"role": "user", "content": "…"}], the last one from the user.')
    tags = models.JSONField(default=list, blank=True)
    split = models.CharField(max_length=8, choices=Split, default=Split.TRAIN)
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
