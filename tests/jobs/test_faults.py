"""Each fault once, with real processes; `python -m tests.faults --runs 100` makes them a hundred times."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.conf import settings

from tests.faults import __main__ as suite
from tests.faults import scenarios
from tests.faults.services import postgres_programs


def test_the_suite_knows_every_scenario():
    assert suite.known() == list(scenarios.ALL)
    assert set(suite.NEEDS) <= set(scenarios.ALL)


SLOW = ("poison", "kill-tree", "kill-serve", "fill-10000")


@pytest.fixture(scope="module")
def migrated(django_db_setup, tmp_path_factory) -> Path | None:
    """The tests' own database as it was made, for the faults that begin with an empty one."""
    if settings.DATABASES["default"]["ENGINE"] != "django.db.backends.sqlite3":
        return None
    file = tmp_path_factory.mktemp("migrated") / "db.sqlite3"
    with closing(sqlite3.connect(settings.DATABASES["default"]["NAME"])) as ours:
        ours.execute("VACUUM INTO ?", [str(file)])
    return file


@pytest.mark.parametrize("name", [name for name in suite.known() if name not in SLOW])
def test_nothing_is_lost_and_nothing_doubled(name: str, migrated: Path | None):
    needs = suite.NEEDS.get(name, ())
    if "redis" in needs and not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed.")
    if "postgres" in needs and postgres_programs() is None:
        pytest.skip("PostgreSQL's server is not installed.")

    row = suite.play(name, 1, migrated=migrated)

    assert row.get("fault") is None
    assert (row["runs"], row["lost"], row["doubled"]) == (1, 0, 0)


def test_the_table_goes_between_its_marks(monkeypatch, tmp_path):
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs/reliability.md"
    kept = "| eight keepers at once | 9 | 0 | 0 | – |  |"
    forgotten = "| a fault of old | 9 | 0 | 0 | – |  |"
    page.write_text(f"Before\n{suite.BEGIN}\nold\n{kept}\n{forgotten}\n{suite.END}\nAfter\n")
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    row = {
        "what": "disk full for 2 s",
        "runs": 2,
        "lost": 0,
        "doubled": 0,
        "recovery": [1.0, 2.5],
        "note": "wet",
    }

    suite.write([row])

    assert page.read_text().splitlines() == [
        "Before",
        suite.BEGIN,
        "| fault | runs | lost | doubled | longest recovery | |",
        "|---|---|---|---|---|---|",
        "| disk full for 2 s | 2 | 0 | 0 | 2.5 s | wet |",
        kept,
        suite.END,
        "After",
    ]
