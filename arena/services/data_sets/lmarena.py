"""The view in the columns of LMArena's 140k release: one row per compared pair of a vote."""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pyarrow as pa

Row = dict[str, Any]

_PART = pa.struct([("type", pa.string()), ("text", pa.string())])
_CONVERSATION = pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(_PART))]))
_HEADERS = pa.struct([(f"h{level}", pa.int64()) for level in range(1, 7)])
_LISTS = pa.struct([("ordered", pa.int64()), ("unordered", pa.int64())])
_BOLD = pa.struct([("**", pa.int64()), ("__", pa.int64())])
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("model_a", pa.string()),
        ("model_b", pa.string()),
        ("winner", pa.string()),
        ("evaluation_session_id", pa.string()),
        ("evaluation_order", pa.int64()),
        ("conversation_a", _CONVERSATION),
        ("conversation_b", _CONVERSATION),
        (
            "full_conversation",
            pa.list_(
                pa.struct(
                    [
                        ("user", pa.struct([("role", pa.string()), ("content", pa.list_(_PART))])),
                        ("model_side_a", pa.struct([("role", pa.string()), ("content", pa.list_(_PART))])),
                        ("model_side_b", pa.struct([("role", pa.string()), ("content", pa.list_(_PART))])),
                    ]
                )
            ),
        ),
        (
            "conv_metadata",
            pa.struct(
                [
                    ("header_count_a", _HEADERS),
                    ("header_count_b", _HEADERS),
                    ("list_count_a", _LISTS),
                    ("list_count_b", _LISTS),
                    ("bold_count_a", _BOLD),
                    ("bold_count_b", _BOLD),
                    ("turns", pa.int64()),
                ]
            ),
        ),
        ("category_tag", pa.string()),
        ("language", pa.string()),
        ("is_code", pa.bool_()),
        ("timestamp", pa.string()),
    ]
)

FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
ORDERED = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)
UNORDERED = re.compile(r"^\s*[-*+]\s", re.MULTILINE)


def battles(row: Row) -> Iterator[Row]:
    """The pairs of the vote that were compared; unranked slots are not compared with each other.

    Language and category are not known here and stay empty; `is_code` says whether the prompt
    or a response holds a fenced code block. `evaluation_order` is the place of the pair in its vote.
    """
    order = 0
    for a, b in combinations(range(len(row["responses"])), 2):
        winner = _winner(row, a, b)
        if winner is None:
            continue
        order += 1
        yield _battle(row, a, b, winner, order)


def style_counts(text: str) -> dict[str, dict[str, int]]:
    """Markdown headers by level, list items and bold marks, outside fenced code."""
    prose = FENCED.sub("", text)
    return {
        "header_count": {
            f"h{level}": len(re.findall(rf"^#{{{level}}}\s", prose, re.MULTILINE)) for level in range(1, 7)
        },
        "list_count": {"ordered": len(ORDERED.findall(prose)), "unordered": len(UNORDERED.findall(prose))},
        "bold_count": {
            "**": len(re.findall(r"\*\*[^*\n]+\*\*", prose)),
            "__": len(re.findall(r"__[^_\n]+__", prose)),
        },
    }


def _battle(row: Row, a: int, b: int, winner: str, order: int) -> Row:
    sides = {"a": row["responses"][a], "b": row["responses"][b]}
    asked, own = _asked(row, a), _asked(row, b)
    answers = {side: _said("assistant", response["text"]) for side, response in sides.items()}
    texts = [message["content"] for message in row["messages"]] + [one["text"] for one in sides.values()]
    return {
        "id": f"{row['vote_id']}-{a}-{b}",
        "model_a": sides["a"]["contestant"],
        "model_b": sides["b"]["contestant"],
        "winner": winner,
        "evaluation_session_id": row["voter"],
        "evaluation_order": order,
        "conversation_a": [*asked, answers["a"]],
        "conversation_b": [*own, answers["b"]],
        # Across prompts the sides share no turn.
        "full_conversation": _turns(asked, answers) if asked == own else [],
        "conv_metadata": {
            f"{what}_{side}": count
            for side, response in sides.items()
            for what, count in style_counts(response["text"]).items()
        }
        | {"turns": sum(message["role"] == "user" for message in asked)},
        "category_tag": None,
        "language": None,
        "is_code": any("```" in text for text in texts),
        "timestamp": row["created_at"],
    }


def _asked(row: Row, slot: int) -> list[Row]:
    """What the response answers: the prompt of all, or its own."""
    messages = row["responses"][slot].get("messages") or row["messages"]
    return [_said(message["role"], message["content"]) for message in messages]


def _turns(asked: list[Row], answers: dict[str, Row]) -> list[Row]:
    """Each user message with what both sides answered; before the last turn that is the same text."""
    turns: list[Row] = []
    for message in asked:
        if message["role"] == "user":
            turns.append({"user": message, "model_side_a": None, "model_side_b": None})
        elif turns:
            turns[-1] |= {"model_side_a": message, "model_side_b": message}
    turns[-1] |= {"model_side_a": answers["a"], "model_side_b": answers["b"]}
    return turns


def _said(role: str, text: str) -> Row:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _winner(row: Row, a: int, b: int) -> str | None:
    if row["kind"] == "all_bad":
        return "both_bad"
    first, second = row["ranks"][a], row["ranks"][b]
    if first is None and second is None:
        return None
    if first == second:
        return "tie"
    return "model_a" if second is None or (first is not None and first < second) else "model_b"
