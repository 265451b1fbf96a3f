"""The model card of a training run: what made its checkpoint, what was seen, and whose rights it has."""

import re
from pathlib import Path
from typing import Any

from arena.models import Contestant, TrainingRun
from arena.services.contestants import is_hub_name
from arena.services.lineage import MOST_PARENTS, Step, line_of, retracted_votes

LARGEST_README = 100_000  # characters of a base's own card that are read
LICENCE = re.compile(r"^license:[ \t]*[\"']?([A-Za-z0-9][A-Za-z0-9.+-]{0,60})[\"']?[ \t]*$", re.MULTILINE)

CARD = """---
{head}
---

# {name}

A checkpoint fine-tuned from {base} on people's votes in the arena "{arena}", by Preference Arena.

## How it was made

| | |
| --- | --- |
| base | {base} |
| objective | {objective} |
| data set | {data_set}, {rankings} rankings to learn from |
| steps | {steps} |
| settings | {settings} |
| base sha256 | `{base_hash}` |
| data sha256 | `{data_hash}` |
| code sha256 | `{code_hash}` |
| result sha256 | `{result_hash}` |

## Line of descent, the newest first

{line}

## What was seen on held-out prompts

{figures}

These figures are the trainer's own. What people make of the model is on the arena's leaderboard.

## Rights

{licence} The votes are those of the arena's voters; weigh the rights to the prompts and to the other models'
outputs before passing it on.
"""


def model_card(run: TrainingRun, *, adapter: bool = False) -> str:
    """README.md of a run's checkpoint, or of its adapter, with the head that model hubs read."""
    manifest, summary = run.manifest, run.summary

    def digest(part: str) -> str:
        return str((manifest.get(part) or {}).get("sha256", ""))

    origin = _origin(run.base)
    licence = licence_of(origin.checkpoint)
    return CARD.format(
        head="\n".join(_head(run, origin, licence, adapter)),
        name=run.name,
        base=run.base.name,
        arena=run.arena.name,
        objective=run.objective,
        data_set=f"{run.arena.slug}, number {run.data_set.number}",
        rankings=summary.get("rankings", ""),
        steps=summary.get("steps", ""),
        settings=", ".join(f"{name} {value}" for name, value in sorted(run.parameters.items()))
        or "the usual",
        base_hash=digest("base"),
        data_hash=digest("data"),
        code_hash=digest("code"),
        result_hash=digest("result"),
        line="\n".join(_line(run)),
        figures=_figures(summary),
        licence=_rights(origin, licence),
    )


def licence_of(checkpoint: str) -> str:
    """The licence that the read-me file of a checkpoint's folder names, or "" where it names none."""
    file = Path(checkpoint).expanduser() / "README.md"
    try:
        with file.open(encoding="utf-8", errors="replace") as card:
            text = card.read(LARGEST_README)
    except OSError:
        return ""
    head = text.split("\n---", 1)[0] if text.startswith("---\n") else ""
    found = LICENCE.search(head)
    return found.group(1) if found else ""


def _origin(contestant: Contestant) -> Contestant:
    """The contestant that the line of descent began with: nobody here trained it."""
    for _generation in range(MOST_PARENTS):
        if contestant.parent is None:
            break
        contestant = contestant.parent
    return contestant


def _head(run: TrainingRun, origin: Contestant, licence: str, adapter: bool) -> list[str]:
    hub = origin.checkpoint
    named = is_hub_name(hub) and re.fullmatch(r"[\w.-]+/[\w.-]+", hub) is not None
    return [
        f"library_name: {'peft' if adapter else 'transformers'}",
        "pipeline_tag: text-generation",
        *([f"license: {licence}"] if licence else []),
        *([f"base_model: {hub}"] if named else []),
        "tags:",
        "- preference-arena",
        f"- {run.objective}",
    ]


def _rights(origin: Contestant, licence: str) -> str:
    if licence:
        return (
            f"The base it descends from, {origin.name}, is under the licence {licence}, and so is this, with "
            "all that it asks for."
        )
    return (
        f"It carries the licence of {origin.name}, the base it descends from, and what that licence asks "
        "for. No licence is named beside that base: find out before passing this on."
    )


def _line(run: TrainingRun) -> list[str]:
    steps = line_of(run.base)
    first = Step(run, retracted_votes(run.data_set))
    return [
        f"1. {step.run.name}: {step.run.objective} on data set {step.run.data_set.number}, from "
        f"{step.run.base.name}"
        + (f" ({step.retracted} of its votes were retracted since)" * bool(step.retracted))
        for step in (first, *steps)
    ]


def _figures(summary: dict[str, Any]) -> str:
    before, after = summary.get("before") or {}, summary.get("after") or {}
    rows = [
        f"| {name.replace('_', ' ')} | {_plain(before.get(name))} | {_plain(after.get(name))} |"
        for name in ("loss", "accuracy", "kendall_tau", "ranking_accuracy", "winner_log_ratio")
        if after.get(name) is not None
    ]
    fresh = summary.get("fresh") or {}
    sampled = [
        f"- {name.replace('_', ' ')}: {_plain(value)}" for name, value in fresh.items() if value is not None
    ]
    table = ["| | before | after |", "| --- | ---: | ---: |", *rows] if rows else ["None was held out."]
    return "\n".join([*table, "", *(["On fresh samples:", "", *sampled] if sampled else [])])


def _plain(value: Any) -> str:
    """Minus nought is nought."""
    return str(value + 0.0) if isinstance(value, float) else str(value)
