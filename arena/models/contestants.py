from django.db import models
from django.db.models import Q

from arena.models.arenas import Arena


class ContestantQuerySet(models.QuerySet["Contestant"]):
    def active(self) -> "ContestantQuerySet":
        return self.filter(retired_at=None)


class Contestant(models.Model):
    """One model configuration that competes. What made its responses is fixed once it has some."""

    class Backend(models.TextChoices):
        TRANSFORMERS = "transformers", "A checkpoint, run by a worker with transformers"
        OPENAI = "openai", "An endpoint that speaks OpenAI's chat completions"
        UPLOADED = "uploaded", "Responses made elsewhere and imported"

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="contestants")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    backend = models.CharField(max_length=14, choices=Backend, default=Backend.UPLOADED)
    checkpoint = models.CharField(
        max_length=500,
        blank=True,
        help_text="transformers: a folder, or a name on the hub. Safetensors only.",
    )
    endpoint = models.CharField(
        max_length=500, blank=True, help_text="openai: the base address, up to and with /v1."
    )
    endpoint_model = models.CharField(max_length=200, blank=True, help_text="openai: the model's name there.")
    endpoint_key_variable = models.CharField(
        max_length=100,
        blank=True,
        help_text="openai: the environment variable of the worker that holds the key.",
    )
    revision = models.CharField(max_length=120, blank=True)
    system_prompt = models.TextField(blank=True)
    parameters = models.JSONField(
        default=dict, blank=True, help_text="temperature, top_p, max_new_tokens, seed."
    )
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="children",
        help_text="The contestant that this one was trained from.",
    )
    weight = models.FloatField(default=1.0, help_text="How often it is drawn beside the others; 0 rests it.")
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = ContestantQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["arena", "name"], name="one_contestant_per_name"),
            models.CheckConstraint(condition=Q(weight__gte=0), name="contestant_weight_not_negative"),
            models.CheckConstraint(
                condition=~Q(backend="transformers") | ~Q(checkpoint=""),
                name="transformers_contestant_has_checkpoint",
            ),
            models.CheckConstraint(
                condition=~Q(backend="openai") | (~Q(endpoint="") & ~Q(endpoint_model="")),
                name="openai_contestant_has_endpoint_and_model",
            ),
        ]

    def __str__(self) -> str:
        return self.name
