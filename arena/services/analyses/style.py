"""What can be measured of a response without understanding it: length, Markdown, its place on the screen."""

import re
from collections.abc import Sequence

import numpy as np

from arena.models import Arena, Response, Slot
from arena.services.vote_log import LoggedVote
from ranking.covariates import relative

HEADINGS = re.compile(r"^ {0,3}#{1,6}\s", re.MULTILINE)
LIST_ITEMS = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s", re.MULTILINE)
BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")
CODE_BLOCKS = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)

# Of the text, each relative to the mean of its battle; the last is the place, 0 first and 1 last.
COUNTED = ("length", "headings", "lists", "bold", "code")
POSITION = "position"
BATCH = 500


def counts(text: str) -> tuple[float, ...]:
    """Characters, headings, list items, bold spans and code blocks of a text, in the order of COUNTED."""
    return (
        float(len(text)),
        float(len(HEADINGS.findall(text))),
        float(len(LIST_ITEMS.findall(text))),
        float(len(BOLD.findall(text))),
        float(len(CODE_BLOCKS.findall(text)) // 2),
    )


def style_of(arena: Arena, counted: Sequence[LoggedVote]) -> dict[str, list[list[float]]]:
    """The covariates of every vote, one number per slot. Only those that differ somewhere are kept.

    A response without text (a file, or an imported vote without its responses) is as long as the others.
    """
    shown = _responses_shown(arena, {vote.id for vote in counted})
    measured = _measured(arena)
    found: dict[str, list[list[float]]] = {name: [] for name in (*COUNTED, POSITION)}
    for vote in counted:
        width = len(vote.group)
        numbers = [measured.get(response) for response in shown.get(vote.id, [None] * width)]
        known = np.array([row if row is not None else (0.0,) * len(COUNTED) for row in numbers])
        complete = len(numbers) == width and all(row is not None for row in numbers)
        for place, name in enumerate(COUNTED):
            column = relative(known[:, place][np.newaxis])[0] if complete else np.zeros(width)
            found[name].append(column.tolist())
        found[POSITION].append(np.linspace(0.0, 1.0, width).tolist())
    return {name: rows for name, rows in found.items() if any(len(set(row)) > 1 for row in rows)}


def _responses_shown(arena: Arena, wanted: set[int]) -> dict[int, list[int | None]]:
    """Responses by slot position of each vote."""
    shown: dict[int, list[int | None]] = {}
    slots = Slot.objects.filter(battle__votes__arena=arena).order_by("battle__votes__id", "position")
    for vote, response in slots.values_list("battle__votes__id", "response_id").iterator(chunk_size=5000):
        if vote in wanted:
            shown.setdefault(vote, []).append(response)
    return shown


def _measured(arena: Arena) -> dict[int | None, tuple[float, ...]]:
    texts = Response.objects.filter(contestant__arena=arena).exclude(text="").values_list("id", "text")
    return {pk: counts(text) for pk, text in texts.iterator(chunk_size=BATCH)}
