from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.models.arenas import Arena
from arena.models.battles import Voter


class Judge(models.Model):
    """A model that votes, as a voter of its own kind: its votes are never counted with people's."""

    class Method(models.TextChoices):
        PAIRWISE = "pairwise", _("A language model compares two at a time, in both orders")
        REWARD = "reward", _("A reward model scores each response")

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="judges")
    name = models.CharField(max_length=120)
    method = models.CharField(max_length=12, choices=Method, default=Method.PAIRWISE)
    voter = models.OneToOneField(Voter, on_delete=models.PROTECT, related_name="judge")
    backend = models.CharField(max_length=14, default="openai")
    checkpoint = models.CharField(max_length=500, blank=True)
    endpoint = models.CharField(max_length=500, blank=True)
    endpoint_model = models.CharField(max_length=200, blank=True)
    endpoint_key_variable = models.CharField(max_length=100, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    instructions = models.TextField(
        blank=True, help_text="What to look at. Without any: the arena's guidelines."
    )
    kin = models.JSONField(
        default=list,
        blank=True,
        help_text="Names of contestants of the judge's own family: whether it favours them is measured.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["arena", "name"], name="one_judge_per_name"),
            models.CheckConstraint(condition=~Q(checkpoint="") | ~Q(endpoint=""), name="judge_has_a_model"),
        ]

    def __str__(self) -> str:
        return self.name
