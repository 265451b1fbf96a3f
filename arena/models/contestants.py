from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.models.arenas import Arena


class ContestantQuerySet(models.QuerySet["Contestant"]):
    def active(self) -> "ContestantQuerySet":
        return self.filter(retired_at=None)


class Contestant(models.Model):
    """One model configuration that competes. What made its responses is fixed once it has some."""

    class Backend(models.TextChoices):
        TRANSFORMERS = "transformers", _("A checkpoint, run by a worker with transformers")
        OPENAI = "openai", _("An endpoint that speaks OpenAI's chat completions")
        CUSTOM = "custom", _("An endpoint of your own that keeps to the arena's small contract")
        UPLOADED = "uploaded", _("Responses made elsewhere and imported")

    arena = models.ForeignKey(Arena, on_delete=models.CASCADE, related_name="contestants")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    backend = models.CharField(max_length=14, choices=Backend, default=Backend.UPLOADED)
    checkpoint = models.CharField(
        max_length=500,
        blank=True,
        help_text="transformers: a folder, or a name on the hub. Safetensors only.",
    )
    adapter = models.CharField(
        max_length=500,
        blank=True,
        help_text="transformers: a LoRA adapter's folder, put on the checkpoint. Safetensors only.",
    )
    endpoint = models.CharField(
        max_length=500,
        blank=True,
        help_text="openai: the base address, up to and with /v1. custom: the address that is posted to.",
    )
    endpoint_model = models.CharField(max_length=200, blank=True, help_text="openai: the model's name there.")
    endpoint_key_variable = models.CharField(
        max_length=100,
        blank=True,
        help_text="openai, custom: the environment variable of the worker that holds the key.",
    )
    endpoint_key_sealed = models.TextField(
        blank=True, editable=False, help_text="The key, encrypted; written by a form and shown by none."
    )
    capabilities = models.JSONField(
        default=dict,
        blank=True,
        help_text='What it can do: {"languages": ["en"], "image_input": true, "turns": 5, …}. '
        "What is not said is taken as: text, every language, any number of turns, nothing else.",
    )
    budget = models.JSONField(
        default=dict,
        blank=True,
        help_text='The most it may cost: {"tokens": 1000000, "money": 20, "price_in": 0.5, '
        '"price_out": 1.5}, prices per million tokens.',
    )
    spent_tokens = models.PositiveBigIntegerField(default=0, editable=False)
    spent_money = models.FloatField(default=0.0, editable=False)
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
            models.CheckConstraint(
                condition=~Q(backend="custom") | ~Q(endpoint=""), name="custom_contestant_has_endpoint"
            ),
        ]

    def __str__(self) -> str:
        return self.name
