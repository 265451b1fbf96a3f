"""The records of a file of votes: JSON Lines, one JSON list, CSV or Parquet.

pyarrow is imported only for Parquet.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ranking.errors import BadVotes

# The line, or the place in a list or table, from 1; and what it says.
Record = tuple[int, Mapping[str, Any]]


def records(path: Path, wanted: Callable[[str], bool]) -> Iterator[Record]:
    """Each record of a .jsonl, .json, .csv or .parquet file, of Parquet only the columns that are wanted.

    Raises BadVotes with one sentence on a file that is missing or not what its name says.
    """
    kind = path.suffix.lower()
    if not path.exists():
        raise BadVotes(f"There is no file {path}.")
    if path.is_dir():
        raise BadVotes(f"{path} is a folder; name a file of votes in it.")
    if kind not in READERS:
        raise BadVotes(f"{path.name} is not a .jsonl, .json, .csv or .parquet file.")
    try:
        yield from READERS[kind](path, wanted)
    except UnicodeDecodeError:
        raise BadVotes(f"{path.name} is not UTF-8 text.") from None
    except OSError as error:
        raise BadVotes(f"{path.name} cannot be read: {error.strerror or error}.") from None


def _json_lines(path: Path, _wanted: Callable[[str], bool]) -> Iterator[Record]:
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


def _json_list(path: Path, wanted: Callable[[str], bool]) -> Iterator[Record]:
    """One list of objects, as LMArena's first releases are; where it is none, the lines."""
    with path.open(encoding="utf-8-sig") as stream:
        if stream.read(1024).lstrip()[:1] != "[":
            yield from _json_lines(path, wanted)
            return
        stream.seek(0)
        try:
            found = json.load(stream)
        except ValueError:
            raise BadVotes(f"{path.name} is not one list of JSON objects.") from None
    for place, record in enumerate(found, start=1):
        if not isinstance(record, dict):
            raise BadVotes(f"Line {place} is not a JSON object.")
        yield place, record


def _csv_rows(path: Path, _wanted: Callable[[str], bool]) -> Iterator[Record]:
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


def _parquet_rows(path: Path, wanted: Callable[[str], bool]) -> Iterator[Record]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        names = [name for name in file.schema_arrow.names if wanted(name)]
        line = 1
        for batch in file.iter_batches(columns=names):
            for record in batch.to_pylist():
                yield line, record
                line += 1
    except pa.ArrowInvalid as error:
        raise BadVotes(f"{path.name} is not Parquet: {error}.") from None


READERS: Mapping[str, Callable[[Path, Callable[[str], bool]], Iterator[Record]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_list,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
