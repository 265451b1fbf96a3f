"""Votes from files, pairs or rankings, with the line that is at fault when one is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ranking.columns import is_missing
from ranking.covariates import relative
from ranking.errors import BadVotes
from ranking.outcomes import ALL_BAD, FIRST, SECOND, TIE, WINNER_WORDS
from ranking.records import records
from ranking.votes import Votes

# What other releases call the same columns; LMArena's say judge and question_id, later evaluation_session_id.
VOTER_COLUMNS = ("voter", "judge", "evaluation_session_id")
PROMPT_COLUMNS = ("prompt", "prompt_id", "question_id")
STYLE_PREFIX = "style_"
LMARENA_STYLE = {
    "length": "sum_assistant_{}_tokens",
    "headers": "header_count_{}",
    "lists": "list_count_{}",
    "bold": "bold_count_{}",
}
RANKS_OF_WINNER: Mapping[int, list[int | None]] = {
    FIRST: [1, 2],
    SECOND: [2, 1],
    TIE: [1, 1],
    ALL_BAD: [None, None],
}


@dataclass(frozen=True)
class FileVotes:
    """What a file held: its votes, and which covariates are relative (see covariates.relative)."""

    votes: Votes
    relative: frozenset[str]


@dataclass
class _Columns:
    """The columns of the votes read so far; every list is as long as `lines`."""

    lines: list[int] = field(default_factory=list)
    groups: list[list[str]] = field(default_factory=list)
    ranks: list[list[int | None]] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    voters: list[Any] = field(default_factory=list)
    prompts: list[Any] = field(default_factory=list)
    styles: list[dict[str, list[float]]] = field(default_factory=list)


def read_votes(path: Path, *, style: str = "columns", all_bad: str = "omit") -> FileVotes:
    """The votes of a file. Raises BadVotes with one sentence that names the line and the fault.

    style: "columns" reads the style columns, "lmarena" the conv_metadata of LMArena's releases (tokens,
    headers, lists and bold of both answers), "none" neither.
    """
    columns = _Columns()
    for line, record in records(path, _is_wanted):
        try:
            _add(columns, line, record, style)
        except BadVotes as error:
            raise BadVotes(f"Line {line} {error.fault}") from None
    if not columns.lines:
        raise BadVotes(f"{path.name} holds no votes.")
    try:
        return _votes(columns, all_bad)
    except BadVotes as error:
        if error.vote is None:
            raise
        raise BadVotes(f"Line {columns.lines[error.vote]} {error.fault}") from None


def _is_wanted(name: str) -> bool:
    known = ("model_a", "model_b", "winner", "models", "ranks", "weight", "conv_metadata", "style")
    return name in (*known, *VOTER_COLUMNS, *PROMPT_COLUMNS) or name.startswith(STYLE_PREFIX)


def _add(columns: _Columns, line: int, record: Mapping[str, Any], style: str) -> None:
    group, ranks = _order(record)
    columns.lines.append(line)
    columns.groups.append(group)
    columns.ranks.append(ranks)
    columns.weights.append(_number(record.get("weight"), "weight"))
    columns.voters.append(_first_of(record, VOTER_COLUMNS))
    columns.prompts.append(_first_of(record, PROMPT_COLUMNS))
    columns.styles.append(_STYLE_READERS[style](record, len(group)))


def _order(record: Mapping[str, Any]) -> tuple[list[str], list[int | None]]:
    if "responses" in record and "models" not in record:
        record = _kwise_row(record)
    if "models" in record:
        group, ranks = _list_cell(record["models"], "models"), _list_cell(record.get("ranks"), "ranks")
        if len(group) != len(ranks):
            raise BadVotes(f"has {len(group)} models but {len(ranks)} ranks.")
        if len(group) < 2:
            raise BadVotes("compares fewer than two models.")
        return [_name(cell) for cell in group], [_rank(cell) for cell in ranks]
    for column in ("model_a", "model_b", "winner"):
        if column not in record:
            raise BadVotes(f"has no {column}.")
    winner = record["winner"]
    code = WINNER_WORDS.get(winner) if isinstance(winner, str) else None
    if code is None:
        said = "no winner" if is_missing(winner) else f"{winner!r} as its winner"
        raise BadVotes(f"has {said}; the words are {', '.join(WINNER_WORDS)}.")
    pair = [_name(record["model_a"]), _name(record["model_b"])]
    if pair[0] == pair[1]:
        raise BadVotes("compares a model with itself.")
    return pair, RANKS_OF_WINNER[code]


def _kwise_row(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of our own data sets: responses with their contestants; no ranks where all are bad."""
    responses = _list_cell(record["responses"], "responses")
    if not all(isinstance(one, dict) for one in responses):
        raise BadVotes("has responses that are not objects with a contestant.")
    ranks = record.get("ranks")
    return {
        "models": [one.get("contestant") for one in responses],
        "ranks": [None] * len(responses) if ranks is None else ranks,
    }


def _list_cell(cell: Any, what: str) -> list[Any]:
    if isinstance(cell, str):  # CSV writes a list as JSON
        try:
            cell = json.loads(cell)
        except ValueError:
            raise BadVotes(f"has {what} that are not a JSON list.") from None
    if not isinstance(cell, list):
        raise BadVotes(f"has no list of {what}.")
    return cell


def _name(cell: Any) -> str:
    if is_missing(cell) or not isinstance(cell, str | int) or isinstance(cell, bool) or not str(cell).strip():
        raise BadVotes("has no model name.")
    return str(cell)


def _rank(cell: Any) -> int | None:
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    if isinstance(cell, bool) or not isinstance(cell, int | float) or cell != int(cell):
        raise BadVotes(f"has the rank {cell!r}; ranks are whole numbers from 1, or null.")
    return int(cell)


def _number(cell: Any, what: str) -> float | None:
    if is_missing(cell):
        return None
    try:
        return float(cell)
    except (TypeError, ValueError):
        raise BadVotes(f"has {cell!r} as its {what}, which is not a number.") from None


def _first_of(record: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if not is_missing(record.get(name)):
            cell = record[name]
            return cell if isinstance(cell, str | int) else json.dumps(cell, sort_keys=True, default=str)
    return None


def _styles(record: Mapping[str, Any], width: int) -> dict[str, list[float]]:
    """Covariates of one vote. Two or K values: one per slot, of which the relative size counts.

    For pairs style_x_a and style_x_b, or style_x alone as a number of a minus b; for rankings style_x as
    a list. An object in the column `style` holds the same without the prefix.
    """
    nested = record.get("style")
    cells = (
        {f"{STYLE_PREFIX}{name}": cell for name, cell in nested.items()} if isinstance(nested, dict) else {}
    )
    cells |= {name: cell for name, cell in record.items() if name.startswith(STYLE_PREFIX)}
    found: dict[str, list[float]] = {}
    for column, cell in cells.items():
        name = column.removeprefix(STYLE_PREFIX)
        if name.endswith("_b") and f"{column[:-2]}_a" in cells:
            continue
        if name.endswith("_a") and f"{column[:-2]}_b" in cells:
            name, cell = name[:-2], [cell, cells[f"{column[:-2]}_b"]]
        if isinstance(cell, str) and cell.startswith("["):
            cell = _list_cell(cell, column)
        values = cell if isinstance(cell, list) else [cell]
        numbers = [_number(value, f"style {name}") for value in values]
        if None in numbers or len(numbers) not in ((width, 1) if width == 2 else (width,)):
            raise BadVotes(f"has {len(numbers)} values of style {name} for {width} models, or an empty one.")
        found[name] = [float(number) for number in numbers if number is not None]
    return found


def _lmarena_styles(record: Mapping[str, Any], width: int) -> dict[str, list[float]]:
    """Tokens, headers, lists and bold of both answers, as LMArena's releases count them."""
    metadata = record.get("conv_metadata")
    if isinstance(metadata, str):
        try:
            metadata = json.loads(metadata)
        except ValueError:
            metadata = None
    if not isinstance(metadata, dict) or width != 2:
        raise BadVotes("has no conv_metadata to read its style from.")
    return {
        name: [_total(metadata, column.format(side)) for side in ("a", "b")]
        for name, column in LMARENA_STYLE.items()
    }


def _total(metadata: Mapping[str, Any], column: str) -> float:
    """A count, or the sum of its kinds: headers come by level, lists by ordered or not."""
    cell = metadata.get(column)
    # Parquet gives every kind that any vote had; a kind that this one lacks is null.
    parts = [part for part in cell.values() if part is not None] if isinstance(cell, dict) else [cell]
    numbers = [_number(part, column) for part in parts]
    if not numbers or any(number is None for number in numbers):
        raise BadVotes(f"has no {column} in its conv_metadata.")
    return sum(number for number in numbers if number is not None)


_STYLE_READERS: Mapping[str, Callable[[Mapping[str, Any], int], dict[str, list[float]]]] = {
    "columns": _styles,
    "lmarena": _lmarena_styles,
    "none": lambda _record, _width: {},
}
STYLES = tuple(_STYLE_READERS)


def _votes(columns: _Columns, all_bad: str) -> FileVotes:
    names = list(dict.fromkeys(name for group in columns.groups for name in group))
    position = {name: place for place, name in enumerate(names)}
    covariates, relatives = _covariates(columns)
    votes = Votes.from_rankings(
        names,
        [[position[name] for name in group] for group in columns.groups],
        columns.ranks,
        weights=_filled(columns.weights),
        voters=None if all(map(is_missing, columns.voters)) else columns.voters,
        prompts=None if all(map(is_missing, columns.prompts)) else columns.prompts,
        covariates=covariates,
        all_bad=all_bad,
    )
    return FileVotes(votes, relatives)


def _filled(weights: list[float | None]) -> list[float] | None:
    """Weights with 1 where none was given; None when none was given at all."""
    if all(weight is None for weight in weights):
        return None
    return [1.0 if weight is None else weight for weight in weights]


def _covariates(columns: _Columns) -> tuple[dict[str, list[list[float]]], frozenset[str]]:
    """Covariates as one list of slot values per vote, and the names of those taken relative."""
    names = list(dict.fromkeys(name for styles in columns.styles for name in styles))
    covariates: dict[str, list[list[float]]] = {}
    relatives: set[str] = set()
    for name in names:
        for line, styles in zip(columns.lines, columns.styles, strict=True):
            if name not in styles:
                raise BadVotes(f"Line {line} has no style {name}; other votes have.")
        cells = [styles[name] for styles in columns.styles]
        if all(len(cell) > 1 and min(cell) >= 0 for cell in cells):
            relatives.add(name)
            covariates[name] = [relative(np.array([cell]))[0].tolist() for cell in cells]
        else:
            covariates[name] = [cell if len(cell) > 1 else [0.5 * cell[0], -0.5 * cell[0]] for cell in cells]
    return covariates, frozenset(relatives)
