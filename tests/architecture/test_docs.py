"""The pages for readers say nothing that is not so."""

import re
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.urls import Resolver404, resolve

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_to_a_file_leads_somewhere(page):
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_that_is_named_exists(page):
    named = set(re.findall(r"manage\.py (\w+)", page.read_text()))

    assert named - set(get_commands()) == set()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_make_target_that_is_named_exists(page):
    named = set(re.findall(r"(?:^    |`|&& )make ([a-z-]+)", page.read_text(), re.MULTILINE))
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert named - known == set()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_address_of_the_demo_is_served(page):
    missing = []
    for path in re.findall(r"http://127\.0\.0\.1:8000(/[^\s)>`]*)", page.read_text()):
        try:
            resolve(path)
        except Resolver404:
            missing.append(path)

    assert missing == []


def test_the_help_of_make_lists_what_people_need():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for target in ("run", "test", "lint", "bench", "clean"):
        assert re.search(rf"^  make {target}\s+\S", shown, re.MULTILINE), target
