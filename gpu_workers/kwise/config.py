"""What a training run is told: CONFIG.json, checked whole before anything is read or written."""

import difflib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from gpu_workers.kwise.errors import TrainingError

METHODS = ("full", "lora", "qlora")
DTYPES = ("auto", "float32", "bfloat16")
SCHEDULES = ("cosine", "linear", "constant")
SCORINGS = ("auto", "packed", "plain")
CREDITS = ("whole", "spans", "first-step")
CURRICULA = ("none", "easy-to-hard")
VOTE_WEIGHTS = ("reliability", "confidence", "strength", "propensity")
LORA_DEFAULTS: dict[str, Any] = {"r": 16, "alpha": 32, "dropout": 0.0, "target_modules": "all-linear"}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The settings of one run. `data`, `base` and `output` are folders; the rest has defaults."""

    data: str
    base: str
    output: str
    objective: str = "adpo-list"
    objective_options: Mapping[str, float] = field(default_factory=dict)
    beta: float = 0.1
    sft_weight: float = 0.5
    online_kl: float = 0.0  # weight of the KL to the base on fresh samples of every step
    learning_rate: float = 3e-4
    schedule: str = "cosine"
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    epochs: int = 2
    batch_size: int = 8  # rankings per step
    micro_batch: int | None = None  # rankings per forward pass; None: as many as fit `micro_batch_tokens`
    micro_batch_tokens: int = 8192
    max_length: int | None = None  # tokens of prompt and response; None: the model's context
    system_prompt: str | None = None  # the contestant's own, before each prompt
    seed: int = 0
    dtype: str = "auto"
    device: str = "auto"
    threads: int | None = None
    method: str = "full"
    lora: Mapping[str, Any] = field(default_factory=dict)
    gradient_checkpointing: bool = False
    gradient_cache: bool = False  # one response in memory at a time, for one more forward pass
    compile: bool = False  # torch.compile of the decoder
    curriculum: str = "none"
    credit: str = "whole"  # which tokens of a response the vote is about
    vote_weights: Sequence[str] = ()
    criteria: Mapping[str, float] = field(default_factory=dict)  # empty: the overall ranking alone
    merge_votes: bool = False  # votes on the same responses as one ranking with shares
    reward_model: str | None = None  # folder of a reward model: explicit rewards, win rate
    sft_epochs: int = 0  # passes over the best responses before the preference steps, for a cold model
    scoring: str = "auto"
    reference_cache: str | None = None  # None: below the output folder
    eval_every_steps: int = 0  # 0: before the first step and after the last
    kl_prompts: int = 16  # held-out prompts for the estimate of the sequence KL; 0: none
    checkpoint_every_seconds: float = 60.0
    checkpoint_every_steps: int = 50
    dry_run: bool = False  # two steps to see time and memory; nothing is left behind
    parent: str | None = None  # what the result's manifest names as its parent

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


# What does not change the result: a run may go on with another value.
FREE_TO_CHANGE = {
    "data",
    "base",
    "output",
    "reference_cache",
    "threads",
    "checkpoint_every_seconds",
    "checkpoint_every_steps",
    "kl_prompts",
    "eval_every_steps",
    "parent",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say after an unknown name: the nearest known one, or all of them."""
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f'Did you mean "{close[0]}"?' if close else f"Known are: {', '.join(choices)}."


def read_config(file: Path) -> TrainingConfig:
    """The checked settings in `file`. Raises TrainingError with a sentence about what is wrong."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TrainingError(f"There is no settings file {file}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"The settings file {file} is not JSON: {error}.") from None
    return parse_config(values)


def parse_config(values: object) -> TrainingConfig:
    """The checked settings in a mapping. Raises TrainingError."""
    if not isinstance(values, dict):
        raise TrainingError("The settings must be one JSON object with data, base and output.")
    known = {f.name for f in fields(TrainingConfig)}
    for name in values:
        if name not in known:
            raise TrainingError(f'There is no setting "{name}". {nearest(name, known)}')
    for name in ("data", "base", "output"):
        if name not in values:
            raise TrainingError(f'The setting "{name}" is missing: the path of a folder.')
    for name, value in values.items():
        accepted, fits = CHECKS[name]
        if not fits(value):
            raise TrainingError(f"The setting {name} is {json.dumps(value)}; accepted is {accepted}.")
    lora = values.get("lora", {})
    for name in lora:
        if name not in LORA_DEFAULTS:
            raise TrainingError(f'There is no setting "{name}" in lora. {nearest(name, LORA_DEFAULTS)}')
    return _checked_together(TrainingConfig(**{**values, "lora": {**LORA_DEFAULTS, **lora}}))


def _checked_together(config: TrainingConfig) -> TrainingConfig:
    """What is accepted alone but not together."""
    if config.merge_votes and config.criteria:
        raise TrainingError("Set merge_votes or criteria, not both: each makes one ranking of several.")
    return config


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


Check = tuple[str, Callable[[Any], bool]]  # what is accepted, in words, and whether a value is


def _number_from(low: float, *, above: bool = False, to: float = math.inf) -> Check:
    said = f"a number {'above' if above else 'from'} {low:g}" + ("" if to == math.inf else f" to {to:g}")
    return said, lambda v: _number(v) and (v > low if above else v >= low) and v <= to


def _whole_from(low: int, *, optional: bool = False) -> Check:
    said = f"a whole number from {low}" + (" or null" if optional else "")
    return said, lambda v: (optional and v is None) or (_whole(v) and v >= low)


def _one_of(options: Iterable[str]) -> Check:
    kept = tuple(options)
    return f"one of {', '.join(kept)}", lambda v: v in kept


def _text(*, optional: bool = False, what: str = "a text") -> Check:
    return what + (
        " or null" if optional else ""
    ), lambda v: (optional and v is None) or (isinstance(v, str) and v != "")


_YES_OR_NO: Check = ("true or false", lambda v: isinstance(v, bool))

CHECKS: dict[str, Check] = {
    "data": _text(what="the path of a folder"),
    "base": _text(what="the path of a folder"),
    "output": _text(what="the path of a folder"),
    "objective": _text(what="the name of an objective"),
    "objective_options": (
        "an object of numbers",
        lambda v: isinstance(v, dict) and all(map(_number, v.values())),
    ),
    "beta": _number_from(0, above=True),
    "sft_weight": _number_from(0),
    "online_kl": _number_from(0),
    "learning_rate": _number_from(0, above=True),
    "schedule": _one_of(SCHEDULES),
    "warmup": _number_from(0, to=1),
    "weight_decay": _number_from(0),
    "max_grad_norm": _number_from(0, above=True),
    "epochs": _whole_from(1),
    "batch_size": _whole_from(1),
    "micro_batch": _whole_from(1, optional=True),
    "micro_batch_tokens": _whole_from(1),
    "max_length": _whole_from(2, optional=True),
    "system_prompt": ("a text or null", lambda v: v is None or isinstance(v, str)),
    "seed": _whole_from(0),
    "dtype": _one_of(DTYPES),
    "device": _text(what="auto, cpu, cuda or cuda:N"),
    "threads": _whole_from(1, optional=True),
    "method": _one_of(METHODS),
    "lora": ("an object", lambda v: isinstance(v, dict)),
    "gradient_checkpointing": _YES_OR_NO,
    "gradient_cache": _YES_OR_NO,
    "dry_run": _YES_OR_NO,
    "compile": _YES_OR_NO,
    "merge_votes": _YES_OR_NO,
    "curriculum": _one_of(CURRICULA),
    "credit": _one_of(CREDITS),
    "vote_weights": (
        f"a list of {', '.join(VOTE_WEIGHTS)}",
        lambda v: isinstance(v, list) and all(one in VOTE_WEIGHTS for one in v) and len(set(v)) == len(v),
    ),
    "criteria": (
        "an object of criteria and their weights from 0, one of them above 0",
        lambda v: (
            isinstance(v, dict)
            and all(_number(weight) and weight >= 0 for weight in v.values())
            and (not v or any(v.values()))
        ),
    ),
    "reward_model": _text(optional=True, what="the path of a folder"),
    "sft_epochs": _whole_from(0),
    "scoring": _one_of(SCORINGS),
    "reference_cache": _text(optional=True, what="the path of a folder"),
    "eval_every_steps": _whole_from(0),
    "kl_prompts": _whole_from(0),
    "checkpoint_every_seconds": _number_from(0, above=True),
    "checkpoint_every_steps": _whole_from(1),
    "parent": _text(optional=True),
}
