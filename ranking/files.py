"""Votes from files: JSONL, CSV and Parquet, pairs or rankings, with the line that is at fault when one is.

pyarrow is imported only for Parquet.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ranking.columns import is_missing
from ranking.covariates import relative
from ranking.errors import BadVotes
from ranking.outcomes import ALL_BAD, FIRST, SECOND, TIE, WINNER_WORDS
from ranking.votes import Votes

# What other releases call the same columns; LMArena's say judge and question_id.
VOTER_COLUMNS = ("voter", "judge")
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
    for line, record in _records(path):
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


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line from 1, record) of each vote. For Parquet the line is the row."""
    reader = {".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json_lines, ".csv": _csv_rows,
              ".parquet": _parquet_rows}.get(path.suffix.lower())  # fmt: skip
    if reader is None:
        raise BadVotes(f"{path.name} is not a .jsonl, .csv or .parquet file.")
    try:
        yield from reader(path)
    except FileNotFoundError:
        raise BadVotes(f"There is no file {path}.") from None
    except UnicodeDecodeError:
        raise BadVotes(f"{path.name} is not UTF-8 text.") from None
    except OSError as error:
        raise BadVotes(f"{path.name} cannot be read: {error.strerror or error}.") from None


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig") as stream:
        for line, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except ValueError:
                raise BadVotes(f"Line {line} is not JSON.") from None
            if not isinstance(record, dict):
                raise BadVotes(f"Line {line} is not a JSON object.")
            yield line, record


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    csv.field_size_limit(1 << 26)  # dumps carry whole conversations in a cell
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream)
        header = next(reader, [])
        line = reader.line_num + 1
        try:
            for cells in reader:
                if cells and len(cells) != len(header):
                    raise BadVotes(f"Line {line} has {len(cells)} cells; the header has {len(header)}.")
                if cells:
                    yield line, dict(zip(header, cells, strict=True))
                line = reader.line_num + 1
        except csv.Error as error:
            raise BadVotes(f"Line {line} is not CSV: {error}.") from None


def _parquet_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        wanted = [name for name in file.schema_arrow.names if _is_wanted(name)]
        line = 1
        for batch in file.iter_batches(columns=wanted):
            for record in batch.to_pylist():
                yield line, record
                line += 1
    except pa.ArrowInvalid as error:
        raise BadVotes(f"{path.name} is not Parquet: {error}.") from None


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
