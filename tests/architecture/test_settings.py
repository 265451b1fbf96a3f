"""Every variable is documented, wrong values are refused in words, and a production setting is clean."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from arena import env

ROOT = Path(__file__).resolve().parents[2]
READERS = {name for name, value in vars(env).items() if callable(value) and value.__module__ == env.__name__}


def variables() -> dict[str, int]:
    """The variables that arena/settings.py reads, with their lines."""
    found = {}
    for node in ast.walk(ast.parse((ROOT / "arena/settings.py").read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "env"
        ):
            assert node.func.attr in READERS
            name = node.args[0]
            assert isinstance(name, ast.Constant), f"line {node.lineno}: name the variable in full"
            found[str(name.value)] = node.lineno
    assert len(found) > 10
    return found


def documented() -> set[str]:
    return set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))


def manage(*arguments: str, **variables_set: str) -> subprocess.CompletedProcess[str]:
    """manage.py as a shell with only these variables would run it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env={**kept, **variables_set},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_variable_is_documented_and_every_documented_one_is_read():
    assert documented() == set(variables())


def test_the_environment_is_read_in_one_place():
    """Elsewhere it is only handed on to child processes."""
    allowed = {"arena/env.py", "arena/management/commands/serve.py"}
    readers = {
        str(path.relative_to(ROOT))
        for package in ("arena", "annotation")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"os\.environ\b(?!\.setdefault\(\"DJANGO_SETTINGS_MODULE)|os\.getenv", path.read_text())
    }

    assert readers - allowed == set()


def test_the_example_for_compose_names_only_variables_that_exist():
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}

    assert named - set(variables()) == {"POSTGRES_PASSWORD", "ARENA_LISTEN"}  # compose reads these itself


@pytest.mark.parametrize(
    ("reader", "value", "accepted"),
    [
        (lambda: env.number("X", 1), "many", "a whole number"),
        (lambda: env.decimal("X", 1.0), "half", "a number"),
        (lambda: env.switch("X", False), "perhaps", "one of 1, true, yes, on"),
        (lambda: env.choice("X", "a", ["a", "b"]), "c", "one of a, b"),
    ],
)
def test_a_wrong_value_names_the_variable_the_value_and_what_is_accepted(
    monkeypatch, reader, value, accepted
):
    monkeypatch.setenv("X", value)

    with pytest.raises(ImproperlyConfigured, match=re.escape(f"X is '{value}'; accepted is {accepted}")):
        reader()


def test_a_wrong_value_ends_the_start_with_that_sentence(tmp_path):
    done = manage("check", ARENA_DATA_DIR=str(tmp_path), ARENA_JOB_ATTEMPTS="thrice")

    assert done.returncode != 0
    assert "ARENA_JOB_ATTEMPTS is 'thrice'; accepted is a whole number." in done.stderr


def test_a_production_setting_passes_djangos_own_check(tmp_path):
    done = manage(
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        ARENA_DATA_DIR=str(tmp_path),
        ARENA_PUBLIC_URL="https://arena.example.org",
        ARENA_ALLOWED_HOSTS="arena.example.org,localhost",
        ARENA_BEHIND_PROXY="1",
        DATABASE_URL="postgres://arena:secret@127.0.0.1:1/arena",
        REDIS_URL="redis://127.0.0.1:1/0",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout


def test_no_migration_is_missing(tmp_path):
    done = manage("makemigrations", "--check", "--dry-run", ARENA_DATA_DIR=str(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No changes detected" in done.stdout


def test_the_secret_key_is_made_once_and_for_its_owner_only(tmp_path):
    script = "from django.conf import settings; print(settings.SECRET_KEY)"
    first = manage("shell", "--no-imports", "--command", script, ARENA_DATA_DIR=str(tmp_path))
    second = manage("shell", "--no-imports", "--command", script, ARENA_DATA_DIR=str(tmp_path))

    assert first.returncode == 0, first.stderr
    assert len(first.stdout.strip()) > 60
    assert first.stdout == second.stdout
    assert (tmp_path / "secret-key").stat().st_mode & 0o077 == 0
