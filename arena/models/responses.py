from django.db import models

from arena.models.contestants import Contestant
from arena.models.prompts import Prompt


class Response(models.Model):
    """One complete output of one contestant for one prompt, and all that made it."""

    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="responses")
    contestant = models.ForeignKey(Contestant, on_delete=models.PROTECT, related_name="responses")
    sample = models.PositiveIntegerField(
        default=0, help_text="0 is the first output for this prompt, 1 the second …"
    )
    text = models.TextField(blank=True, help_text="What the voter reads: template tokens stripped.")
    raw = models.TextField(blank=True, help_text="What the model gave, where it differs from the text.")
    file = models.CharField(
        max_length=200, blank=True, help_text="Where the response is a file: its path in the media folder."
    )
    media_type = models.CharField(max_length=100, blank=True)
    messages = models.JSONField(
        default=list,
        blank=True,
        help_text="Where the response is a conversation of several turns: its messages; else empty.",
    )
    html = models.TextField(blank=True, help_text="The text rendered and sanitised, made once.")
    renderer = models.PositiveSmallIntegerField(
        default=0, help_text="The version of the renderer that made the HTML."
    )
    sha256 = models.CharField(max_length=64)
    made_by = models.JSONField(
        default=dict,
        blank=True,
        help_text="Revision, parameters, seed, hash of the system prompt, tokens, times, finish reason.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "contestant", "sample"],
                name="one_response_per_prompt_contestant_and_sample",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.contestant} on {self.prompt}"
