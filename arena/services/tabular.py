"""Rows of files that users bring: JSON lines, CSV and Parquet, told apart by the ending of the name.

Files are read row by row, whatever their size. Every fault is a BadRow with its line, or
a BadInput where the whole file is not what its name says.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from arena.errors import BadInput, BadRow

Record = dict[str, Any]
LONGEST_LINE = 16 * 1024 * 1024
LONGEST_CELL = 16 * 1024 * 1024


def read_rows(file: Path) -> Iterator[tuple[int, Record]]:
    """(line, record) for every row; the line counts from 1 (in Parquet: the row's number)."""
    readers = {
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".csv": _csv_rows,
        ".parquet": _parquet_rows,
    }
    if file.suffix.lower() not in readers:
        raise BadInput(f"{file.name} ends in {file.suffix or 'nothing'}; known are {', '.join(readers)}.")
    if not file.is_file():
        raise BadInput(f"There is no file {file}.")
    try:
        yield from readers[file.suffix.lower()](file)
    except UnicodeDecodeError:
        raise BadInput(f"{file.name} is not UTF-8 text. Save it as UTF-8, then import again.") from None
    except OSError as error:
        raise BadInput(f"{file.name} cannot be read: {error.strerror or error}.") from None


def is_missing(value: Any) -> bool:
    """Whether a cell says nothing: absent, null, empty or not a number."""
    return value is None or value == "" or value != value


def text_of(line: int, record: Record, column: str) -> str:
    """The text of a cell, or "" where it says nothing."""
    value = record.get(column)
    if is_missing(value):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRow(line, f"{column} is {_short(value)}; it must be a text.")
    return str(value)


def first_text(line: int, record: Record, columns: Iterable[str]) -> str:
    """The text of the first of the columns that says something, or ""."""
    return next((text for name in columns if (text := text_of(line, record, name))), "")


def json_of(line: int, record: Record, column: str) -> Any:
    """The value of a cell; where it is a text, as in CSV, what the JSON in it says."""
    value = record.get(column)
    if not isinstance(value, str) or is_missing(value):
        return None if is_missing(value) else value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise BadRow(line, f"{column} is {_short(value)}; it must be JSON.") from None


def _json_lines(file: Path) -> Iterator[tuple[int, Record]]:
    with file.open(encoding="utf-8-sig") as stream:
        line = 0
        while text := stream.readline(LONGEST_LINE + 1):
            line += 1
            if len(text) > LONGEST_LINE:
                raise BadRow(line, f"It is longer than {LONGEST_LINE:,} characters.")
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except (ValueError, RecursionError):
                raise BadRow(line, "It is not JSON.") from None
            if not isinstance(record, dict):
                raise BadRow(line, "It is not a JSON object.")
            yield line, record


def _csv_rows(file: Path) -> Iterator[tuple[int, Record]]:
    csv.field_size_limit(LONGEST_CELL)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream)
        line = 1
        try:
            header = [name.strip() for name in next(reader, [])]
            _check_header(file, header)
            line = reader.line_num + 1
            for cells in reader:
                if cells and len(cells) != len(header):
                    raise BadRow(line, f"It has {len(cells)} cells; the header has {len(header)}.")
                if cells:
                    yield line, dict(zip(header, cells, strict=True))
                line = reader.line_num + 1
        except csv.Error as error:
            raise BadRow(line, f"It is not CSV: {error}.") from None


def _check_header(file: Path, header: list[str]) -> None:
    if not header:
        raise BadInput(f"{file.name} is empty; its first line must name the columns.")
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise BadInput(f"The column {twice[0]!r} of {file.name} is there twice. Remove one.")


def _parquet_rows(file: Path) -> Iterator[tuple[int, Record]]:
    try:
        row = 0
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=1000):
                for record in batch.to_pylist():
                    row += 1
                    yield row, record
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadInput(f"{file.name} is not Parquet: {error}.") from None


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
