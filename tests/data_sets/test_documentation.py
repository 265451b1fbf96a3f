"""docs/data-format.md names the fields and formats that the code writes, and no others."""

import re
from pathlib import Path

from arena.services.data_sets import DEFAULT_FORMATS, FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "data-format.md").read_text()


def names_in_table(heading: str) -> list[str]:
    """What the first column of the first table below the heading names, in code marks."""
    below = PAGE.split(f"\n### {heading}\n", 1)[1].split("\n###", 1)[0]
    cells = [line.split("|")[1] for line in below.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_the_kwise_fields_are_those_of_the_schema():
    assert sorted(names_in_table("kwise")) == sorted(FORMATS["kwise"].schema.names)


def test_every_view_is_described():
    assert set(names_in_table("The views")) == set(FORMATS) - {"kwise"}
    assert set(DEFAULT_FORMATS) <= set(FORMATS)
