"""What a benchmark writes with --json becomes its table in the page, and nothing else of the page changes."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import results, tables

ROOT = Path(__file__).resolve().parents[2]
PAGE = """# Speed

Before
<!-- page: begin -->
old
<!-- page: end -->
Between
<!-- page-cuda: begin -->
<!-- page-cuda: end -->
"""
ROWS = [
    {
        "measure": "cold page",
        "ours": 96.44,
        "unit": "KB",
        "peer": "Label Studio",
        "theirs": 8000.2,
        "ratio": 0.012055,
        "goal": 100,
        "met": True,
    },
    {"measure": "wins | all", "ours": 0.8931, "unit": "", "goal": ".85", "met": False, "low": 0.7, "high": 1},
    {"measure": "to the order", "ours": "not reached", "unit": "votes", "met": None},
]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    page = tmp_path / "benchmarks.md"
    page.write_text(PAGE)
    return page


def test_a_table_goes_between_its_marks_and_says_where_it_was_taken(page, tmp_path, monkeypatch):
    file = tmp_path / "page.json"
    monkeypatch.setattr("sys.argv", ["page.py", "--quick", "--json", str(file)])
    results.write(file, "page", ROWS)

    assert tables.main([str(file), "--write", str(page)]) == 0

    lines = page.read_text().splitlines()
    assert lines[:9] == [
        "# Speed",
        "",
        "Before",
        "<!-- page: begin -->",
        "| measure | ours | Label Studio | ratio | goal | met |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| cold page | 96.4 KB | 8,000 KB | 0.0121 | 100 | met |",
        "| wins \\| all | 0.893 [0.7, 1] |  |  | .85 | **missed** |",
        "| to the order | not reached |  |  |  |  |",
    ]
    assert re.fullmatch(
        r"`python -m benchmarks\.page --quick`, taken \d{4}-\d\d-\d\d: \d+ cores \(.+\).*, "
        r"Python 3\.\d+\.\d+, [\d.]+ processes running when it began\.",
        lines[10],
    )
    assert lines[11:] == PAGE.splitlines()[5:]  # "old" is gone, the other table's place is untouched


def test_writing_twice_changes_nothing(page, tmp_path):
    file = tmp_path / "page.json"
    results.write(file, "page", ROWS)
    tables.main([str(file), "--write", str(page)])
    once = page.read_text()

    tables.main([str(file), "--write", str(page)])

    assert page.read_text() == once


def test_several_peers_have_a_column_of_their_own(tmp_path, capsys):
    file = tmp_path / "speed.json"
    peers = [{**ROWS[0], "peer": name} for name in ("choix", "evalica")]
    file.write_text(json.dumps(peers))  # a bare list of rows, too

    assert tables.main([str(file)]) == 0

    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "speed"
    assert shown[2] == "| measure | ours | peer | theirs | ratio | goal | met |"
    assert shown[5] == "| cold page | 96.4 KB | evalica | 8,000 KB | 0.0121 | 100 | met |"


def test_a_file_without_a_place_changes_nothing_and_says_what_to_write(page, tmp_path, capsys):
    for name in ("page", "elsewhere"):
        results.write(tmp_path / f"{name}.json", name, ROWS)

    status = tables.main(
        [str(tmp_path / "page.json"), str(tmp_path / "elsewhere.json"), "--write", str(page)]
    )

    assert status == 1
    assert "<!-- elsewhere: begin -->" in capsys.readouterr().err
    assert page.read_text() == PAGE


@pytest.mark.parametrize("text", ["no JSON", '{"rows": 3}', '[{"ours": 1}]'])
def test_what_is_no_result_is_refused_in_a_sentence(text, tmp_path, capsys):
    file = tmp_path / "broken.json"
    file.write_text(text)

    assert tables.main([str(file)]) == 1
    assert str(file) in capsys.readouterr().err


def test_each_place_in_the_page_is_of_a_benchmark_that_is_there():
    page = (ROOT / "docs/benchmarks.md").read_text()
    places = re.findall(r"<!-- ([\w-]+): begin -->", page)

    assert places
    for place in places:
        assert f"<!-- {place}: end -->" in page
        assert (ROOT / f"benchmarks/{place.partition('-')[0]}.py").is_file(), place
