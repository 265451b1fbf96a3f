"""The settings of a training run in the form's words: what each is called, and what it is for."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.services.training_settings import CHOICES, LORA_NUMBERS, PARAMETERS, WHOLE
from arena.services.training_suggestions import written

Label = Any  # a text, or one that is translated when it is shown

NUMBERS: dict[str, tuple[Label, Label]] = {
    "beta": (
        gettext_lazy("Beta"),
        gettext_lazy("How closely the new model stays to the base: larger stays closer."),
    ),
    "learning_rate": (
        gettext_lazy("Learning rate"),
        gettext_lazy(
            "The size of a step. 4e-4 suits models of a million parameters, 5e-6 those of billions."
        ),
    ),
    "epochs": (gettext_lazy("Epochs"), gettext_lazy("How often each ranking is seen.")),
    "batch_size": (gettext_lazy("Batch size"), gettext_lazy("Rankings per step.")),
    "sft_weight": (
        gettext_lazy("SFT weight"),
        gettext_lazy("How much the preferred responses are also learnt as they are. 0 turns it off."),
    ),
    "seed": (gettext_lazy("Seed"), gettext_lazy("The same seed and data give the same run.")),
    "online_kl": (
        gettext_lazy("Weight of the KL to the base on fresh samples"),
        gettext_lazy(
            "Above 0, each step also writes a text per ranking and is held near the base on it (HyPO). "
            "Takes the time of writing them; 0.03 is a start."
        ),
    ),
    "sft_epochs": (
        gettext_lazy("Warm-up epochs"),
        gettext_lazy("Passes over the best responses first, for a base that cannot answer yet."),
    ),
    "max_length": (
        gettext_lazy("Longest response, tokens"),
        gettext_lazy(
            "With its prompt. Longer ones are left out whole and counted. Empty: what the base reads."
        ),
    ),
    "warmup": (
        gettext_lazy("Rise of the learning rate"),
        gettext_lazy("The share of the steps in which it grows from nought."),
    ),
    "weight_decay": (gettext_lazy("Weight decay"), gettext_lazy("AdamW's. 0 turns it off.")),
    "max_grad_norm": (
        gettext_lazy("Largest gradient"),
        gettext_lazy("Longer ones are cut to this norm."),
    ),
    "eval_every_steps": (
        gettext_lazy("Steps between looks at held-out prompts"),
        gettext_lazy("0: only before the first step and after the last."),
    ),
    "kl_prompts": (
        gettext_lazy("Prompts for fresh samples"),
        gettext_lazy("At the end the new model and the base each answer so many. 0: none."),
    ),
    "micro_batch": (
        gettext_lazy("Rankings in memory at once"),
        gettext_lazy("Empty: as many as fit. Halved by itself where memory runs out."),
    ),
    "micro_batch_tokens": (
        gettext_lazy("Tokens in memory at once"),
        gettext_lazy("Fewer take less memory, and give the same result."),
    ),
    "lora_r": (gettext_lazy("LoRA: rank"), gettext_lazy("How much an adapter can hold; of adapters only.")),
    "lora_alpha": (
        gettext_lazy("LoRA: alpha"),
        gettext_lazy("The adapter's weight is alpha divided by the rank."),
    ),
    "lora_dropout": (
        gettext_lazy("LoRA: dropout"),
        gettext_lazy("The share of its inputs that an adapter does not see in each step."),
    ),
}
PICKED: dict[str, tuple[Label, dict[str, Label]]] = {
    "method": (
        gettext_lazy("What is trained"),
        {
            "full": gettext_lazy("All weights"),
            "lora": gettext_lazy("An adapter (LoRA)"),
            "qlora": gettext_lazy("An adapter on four-bit weights (QLoRA; the worker needs bitsandbytes)"),
        },
    ),
    "credit": (
        gettext_lazy("What the vote is about"),
        {
            "whole": gettext_lazy("The whole response"),
            "spans": gettext_lazy("The parts that voters marked"),
            "first-step": gettext_lazy("The first line in which responses differ"),
        },
    ),
    "curriculum": (
        gettext_lazy("Order"),
        {
            "none": gettext_lazy("All pairs from the start"),
            "easy-to-hard": gettext_lazy("Clear pairs first (pairwise objectives)"),
        },
    ),
    "schedule": (
        gettext_lazy("Fall of the learning rate"),
        {
            "cosine": gettext_lazy("Along a cosine, to nought"),
            "linear": gettext_lazy("In a line, to nought"),
            "constant": gettext_lazy("Not at all"),
        },
    ),
    "dtype": (
        gettext_lazy("Numbers"),
        {
            "auto": gettext_lazy("What suits the device"),
            "float32": "float32",
            "bfloat16": "bfloat16",
        },
    ),
    "device": (
        gettext_lazy("Device"),
        {
            "auto": gettext_lazy("A GPU where there is one"),
            "cpu": "CPU",
            "cuda": gettext_lazy("A GPU, or not at all"),
        },
    ),
}
SWITCHES: dict[str, Label] = {
    "merge_votes": gettext_lazy("Votes on the same responses become shares"),
    "gradient_checkpointing": gettext_lazy("Save memory: compute activations twice"),
    "gradient_cache": gettext_lazy("Save more memory: one response at a time"),
    "compile": gettext_lazy("Compile the model: slower to begin, faster steps on a GPU"),
}
WEIGHTS: dict[str, Label] = {
    "reliability": gettext_lazy("How often the voter agrees with others"),
    "confidence": gettext_lazy("How sure the voter was"),
    "strength": gettext_lazy("How much better the best was"),
    "propensity": gettext_lazy("How rarely the battle is drawn"),
}
OTHERS: dict[str, Label] = {
    "base": gettext_lazy("Base"),
    "data_set": gettext_lazy("Data set"),
    "objective": gettext_lazy("Objective"),
    "objective_options": gettext_lazy("Options of the objective"),
    "vote_weights": gettext_lazy("Votes count more by"),
    "criteria": gettext_lazy("Weights of the criteria"),
    "reward_model": gettext_lazy("Reward model"),
    "lora": "LoRA",
    "dry_run": gettext_lazy("Dry run"),
    "checkpoint_every_seconds": gettext_lazy("Seconds between saved states"),
    "checkpoint_every_steps": gettext_lazy("Steps between saved states"),
}
ESSENTIAL = ("beta", "learning_rate", "epochs", "batch_size", "sft_weight", "seed")
# The further settings by what they are for, in the order of the form.
SECTIONS: tuple[tuple[Label, tuple[str, ...]], ...] = (
    (
        gettext_lazy("What is learnt from the votes"),
        (
            "objective_options", "vote_weights", "criteria", "reward_model", "credit", "curriculum",
            "merge_votes",
        ),
    ),
    (
        gettext_lazy("How it is learnt"),
        (
            "method", "lora_r", "lora_alpha", "lora_dropout", "online_kl", "sft_epochs", "schedule",
            "warmup", "weight_decay", "max_grad_norm", "max_length",
        ),
    ),
    (gettext_lazy("What is watched"), ("eval_every_steps", "kl_prompts")),
    (
        gettext_lazy("Memory and speed"),
        (
            "micro_batch", "micro_batch_tokens", "dtype", "device", "gradient_checkpointing",
            "gradient_cache", "compile",
        ),
    ),
)  # fmt: skip
ADVANCED = tuple(name for _title, names in SECTIONS for name in names)
LORA = {f"lora_{name}": name for name in LORA_NUMBERS}


def title_of(name: str) -> Any:
    """What a setting is called on the pages."""
    if name in NUMBERS or name in PICKED:
        return {**NUMBERS, **PICKED}[name][0]
    return SWITCHES.get(name) or OTHERS.get(name) or name


def shown(name: str, value: Any) -> Any:
    """A setting's value as the pages show it."""
    if name in PICKED:
        return PICKED[name][1].get(value, value)
    if name == "vote_weights":
        return ", ".join(str(WEIGHTS[one]) for one in value)
    return _("yes") if value is True else written(value)


def number(name: str) -> forms.Field:
    """The field of a number, with the service's default and limits."""
    default, least, most = LORA_NUMBERS[LORA[name]] if name in LORA else PARAMETERS[name]
    label, help_text = NUMBERS[name]
    common: dict[str, Any] = {"initial": default, "required": False, "help_text": help_text, "label": label}
    if LORA.get(name, name) in WHOLE:
        return forms.IntegerField(min_value=int(least), max_value=int(most), **common)
    field = forms.FloatField(min_value=least, max_value=most, **common)
    field.widget.attrs["step"] = "any"
    return field


def usual(name: str) -> Any:
    """What a setting is where nobody says anything."""
    if name in LORA:
        return LORA_NUMBERS[LORA[name]][0]
    if name in CHOICES:
        return CHOICES[name][0]
    return PARAMETERS[name][0] if name in PARAMETERS else None
