"""The formats of a data set: each is a view of the K-wise row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from django.utils.translation import gettext_noop

from arena.services.data_sets import lmarena, views

Row = dict[str, Any]

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCORED = pa.struct(
    [
        ("revision", pa.string()),
        ("dtype", pa.string()),
        ("tokens_sha256", pa.string()),
        ("log_probability", pa.float64()),
    ]
)
KWISE = pa.schema(
    [
        ("schema_version", pa.int32()),
        ("vote_id", pa.string()),
        ("battle_id", pa.string()),
        ("prompt_id", pa.string()),
        ("messages", MESSAGES),
        ("system", pa.string()),
        (
            "responses",
            pa.list_(
                pa.struct(
                    [
                        ("id", pa.string()),
                        ("contestant", pa.string()),
                        ("text", pa.string()),
                        ("sample", pa.int64()),
                        ("sha256", pa.string()),
                        # Its log-probability under the model that wrote it, where that was kept.
                        ("scored", SCORED),
                        # Its own prompt, where the battle had none for all.
                        ("prompt_id", pa.string()),
                        ("messages", MESSAGES),
                    ]
                )
            ),
        ),
        ("ranks", pa.list_(pa.int32())),
        ("kind", pa.string()),
        ("voter", pa.string()),
        ("judge", pa.string()),
        ("weight", pa.float64()),
        ("details", pa.string()),
        ("propensity", pa.float64()),
        ("strategy", pa.string()),
        ("display_order", pa.list_(pa.int32())),
        ("wall_ms", pa.int64()),
        ("active_ms", pa.int64()),
        ("created_at", pa.string()),
    ]
)
PREFERENCE = pa.schema(
    [
        ("prompt", MESSAGES),
        ("chosen", MESSAGES),
        ("rejected", MESSAGES),
        ("vote_id", pa.string()),
        ("weight", pa.float64()),
    ]
)
UNPAIRED = pa.schema(
    [
        ("prompt", MESSAGES),
        ("completion", MESSAGES),
        ("label", pa.bool_()),
        ("vote_id", pa.string()),
    ]
)

OPENAI = pa.schema(
    [
        (
            "input",
            pa.struct(
                [
                    ("messages", MESSAGES),
                    ("tools", pa.list_(pa.string())),
                    ("parallel_tool_calls", pa.bool_()),
                ]
            ),
        ),
        ("preferred_output", MESSAGES),
        ("non_preferred_output", MESSAGES),
    ]
)
_TURN = pa.struct([("from", pa.string()), ("value", pa.string())])
LLAMA_FACTORY = pa.schema(
    [
        ("conversations", pa.list_(_TURN)),
        ("chosen", _TURN),
        ("rejected", _TURN),
        ("system", pa.string()),
    ]
)


@dataclass(frozen=True)
class Format:
    """One format: what becomes of a K-wise row, and the columns that gives."""

    name: str
    view: Callable[[Row], Iterator[Row]]
    schema: pa.Schema
    description: str


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format(
            "kwise",
            lambda row: iter([row]),
            KWISE,
            gettext_noop(
                "One row per vote, lossless. `ranks` goes by `responses`: 1 is best, equal is tied, null is "
                "not ranked and below all ranked ones; no ranks at all where all are bad.",
            ),
        ),
        Format(
            "trl-preference",
            views.preference_pairs,
            PREFERENCE,
            gettext_noop(
                "One row per pair of which one is better: `prompt`, `chosen`, `rejected` as messages, for "
                "TRL's DPOTrainer. The pairs of one vote depend on each other: their `weight` sums "
                "to the vote's.",
            ),
        ),
        Format(
            "trl-unpaired",
            views.unpaired,
            UNPAIRED,
            gettext_noop(
                "One row per response that is clearly good or bad: the best of a ranking is good, the worst "
                "bad, and all of an all-bad vote. What lies between is left out.",
            ),
        ),
        Format(
            "openai-dpo",
            views.openai_pairs,
            OPENAI,
            gettext_noop(
                "The pairs as OpenAI, Together and Fireworks read them for DPO: upload the .jsonl file."
            ),
        ),
        Format(
            "llama-factory",
            views.llama_factory_pairs,
            LLAMA_FACTORY,
            gettext_noop("The pairs in LLaMA-Factory's sharegpt form; `dataset_info.json` registers them."),
        ),
        Format(
            "arena",
            lmarena.battles,
            lmarena.SCHEMA,
            gettext_noop("One row per compared pair in the columns of LMArena's 140k release."),
        ),
    )
}
