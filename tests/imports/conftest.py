import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arena.models import Arena
from tests import factories


@pytest.fixture
def arena(db: None) -> Arena:
    """An arena with nothing in it."""
    return factories.make_arena("empty")


@pytest.fixture
def write(tmp_path: Path):
    """`write("votes.csv", rows)` is a file of these rows in the format of its ending."""

    def written(name: str, rows: list[dict[str, Any]]) -> Path:
        file = tmp_path / name
        if file.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), file)
        elif file.suffix == ".csv":
            with file.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, rows[0].keys())
                writer.writeheader()
                for row in rows:
                    cells = {
                        name: json.dumps(cell) if isinstance(cell, list | dict) else cell
                        for name, cell in row.items()
                    }
                    writer.writerow(cells)
        else:
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return file

    return written
