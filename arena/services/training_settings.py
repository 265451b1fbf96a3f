"""What may be set in a training run, and what is accepted."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.services.objectives import OPTIONS

# What may be set, what it is without a word, and the least and the most (None: no number).
PARAMETERS: dict[str, tuple[Any, float, float]] = {
    "beta": (0.1, 0, 100),
    "learning_rate": (3e-4, 1e-9, 1),
    "epochs": (2, 1, 1000),
    "batch_size": (8, 1, 100_000),
    "sft_weight": (0.5, 0, 100),
    "online_kl": (0.0, 0, 100),
    "seed": (0, 0, 2**32 - 1),
    "max_length": (None, 8, 10_000_000),
    "warmup": (0.1, 0, 1),
    "weight_decay": (0.0, 0, 100),
    "max_grad_norm": (1.0, 1e-9, 1e9),
    "micro_batch": (None, 1, 100_000),
    "micro_batch_tokens": (8192, 1, 1_000_000_000),
    "eval_every_steps": (0, 0, 1_000_000),
    "kl_prompts": (16, 0, 100_000),
    "sft_epochs": (0, 0, 1000),
    "checkpoint_every_seconds": (60, 1, 86_400),
    "checkpoint_every_steps": (50, 1, 1_000_000),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "dtype": ("auto", "float32", "bfloat16"),
    "device": ("auto", "cpu", "cuda"),
    "method": ("full", "lora", "qlora"),
    "curriculum": ("none", "easy-to-hard"),
    "credit": ("whole", "spans", "first-step"),
    "schedule": ("cosine", "linear", "constant"),
}
OBJECTS = ("lora", "objective_options", "criteria")
# Of an adapter; the layers that get one are named in `target_modules`, which no form asks for.
LORA_NUMBERS: dict[str, tuple[float, float, float]] = {
    "r": (16, 1, 4096),
    "alpha": (32, 1, 65_536),
    "dropout": (0.0, 0, 0.99),
}
SWITCHES = ("gradient_checkpointing", "gradient_cache", "merge_votes", "compile", "dry_run")
VOTE_WEIGHTS = ("reliability", "confidence", "strength", "propensity")
WHOLE = {
    "epochs",
    "batch_size",
    "seed",
    "max_length",
    "micro_batch",
    "micro_batch_tokens",
    "eval_every_steps",
    "kl_prompts",
    "sft_epochs",
    "checkpoint_every_steps",
    "r",
    "alpha",
}


def checked_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as they are kept. Raises BadInput for the first that is unknown or out of bounds."""
    checked: dict[str, Any] = {}
    for name, value in parameters.items():
        checked[name] = value
        if name in OBJECTS:
            checked[name] = _checked_object(name, value)
        elif name in SWITCHES:
            if not isinstance(value, bool):
                raise BadInput(
                    _("%(name)s is %(value)r; it must be true or false.") % {"name": name, "value": value}
                )
        elif name == "reward_model":
            if not isinstance(value, int) or isinstance(value, bool):
                raise BadInput(_("reward_model must be the number of a training run."))
        elif name == "vote_weights":
            if not isinstance(value, list) or not set(value) <= set(VOTE_WEIGHTS):
                known = {"name": name, "known": ", ".join(VOTE_WEIGHTS)}
                raise BadInput(_("%(name)s must be a list of some of %(known)s.") % known)
        elif name in CHOICES:
            if value not in CHOICES[name]:
                raise BadInput(
                    _("%(name)s is %(value)r; it must be one of %(known)s.")
                    % {"name": name, "value": value, "known": ", ".join(CHOICES[name])}
                )
        elif name in PARAMETERS:
            checked[name] = _checked_number(name, value)
        else:
            hint = nearest(name, [*PARAMETERS, *CHOICES, *OBJECTS, *SWITCHES, "vote_weights", "reward_model"])
            raise BadInput(
                _("There is no training parameter %(name)r. %(hint)s") % {"name": name, "hint": hint}
            )
    if checked.get("merge_votes") and checked.get("criteria"):
        raise BadInput(_("Set merge_votes or criteria, not both: each makes one ranking of several."))
    return checked


def check_options(objective: str, options: Mapping[str, Any]) -> None:
    """Raise BadInput where the objective has no such option, or a value is no number."""
    known = OPTIONS.get(objective, {})
    for name, value in options.items():
        if name not in known:
            hint = nearest(name, list(known)) if known else _("It has none.")
            words = {"objective": objective, "name": name, "hint": hint}
            raise BadInput(_("%(objective)s has no option %(name)r. %(hint)s") % words)
        if not _is_number(value):
            raise BadInput(_("%(name)s is %(value)r; it must be a number.") % {"name": name, "value": value})


def nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    if near:
        return _("Did you mean %(name)s?") % {"name": near[0]}
    return _("Known are %(known)s.") % {"known": ", ".join(known)}


def _checked_object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(_("%(name)s must be an object.") % {"name": name})
    if name != "lora":
        return value
    checked = dict(value)
    for inner, given in value.items():
        if inner in LORA_NUMBERS:
            checked[inner] = _checked_number(inner, given, LORA_NUMBERS[inner])
        elif inner != "target_modules":
            hint = nearest(inner, [*LORA_NUMBERS, "target_modules"])
            raise BadInput(_("There is no %(name)r in lora. %(hint)s") % {"name": inner, "hint": hint})
    return checked


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _checked_number(name: str, value: Any, known: tuple[Any, float, float] | None = None) -> int | float:
    _default, least, most = known or PARAMETERS[name]
    if not _is_number(value) or not least <= value <= most or (name in WHOLE and value != int(value)):
        sentence = (
            _("%(name)s is %(value)r; it must be a whole number from %(least)g to %(most)g.")
            if name in WHOLE
            else _("%(name)s is %(value)r; it must be a number from %(least)g to %(most)g.")
        )
        raise BadInput(sentence % {"name": name, "value": value, "least": least, "most": most})
    return int(value) if name in WHOLE else float(value)
