"""The files of a data set: written once, hashed, and put in place whole."""

import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from arena.services.data_sets.formats import Format

SHARD = "00000-of-00001"


class Table:
    """One format and split while it is written, as Parquet and as JSON lines."""

    def __init__(self, folder: Path, form: Format, split: str) -> None:
        (folder / form.name).mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self.lines = folder / form.name / f"{split}-{SHARD}.jsonl"
        self.parquet = folder / form.name / f"{split}-{SHARD}.parquet"
        self._schema = form.schema
        self._lines = self.lines.open("w", encoding="utf-8", newline="\n")
        self._parquet = pq.ParquetWriter(self.parquet, form.schema, compression="zstd")

    def add(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        self.rows += len(rows)
        self._lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._parquet.write_table(pa.Table.from_pylist(rows, schema=self._schema))

    def __enter__(self) -> "Table":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._parquet.close()


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def put_in_place(draft: Path, final: Path) -> None:
    """Make the draft the final folder in one step. One that is there already stays: it is the same."""
    draft.chmod(0o755)
    for path in draft.rglob("*"):
        _flush(path)
    _flush(draft)
    if not final.exists():
        draft.rename(final)
        _flush(final.parent)


def _flush(path: Path) -> None:
    """To the disk, so that a power cut after the rename finds the contents too."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
