"""The compose file, the images and the CI script, read as text: no container engine is needed."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from arena.services.jobs import TASKS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def stage(dockerfile: str, name: str) -> str:
    stages = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)
    return next(text for text in stages if text.splitlines()[0].endswith(f" AS {name}"))


def test_all_that_the_arena_needs_is_started(compose):
    assert set(compose["services"]) == {
        "migrate",
        "web",
        "worker",
        "generate-worker",
        "train-worker",
        "postgres",
        "redis",
    }


def test_every_queue_has_a_worker_and_no_worker_an_unknown_queue(compose):
    commands = [str(service.get("command", "")) for service in compose["services"].values()]
    heard = {queue for command in commands for queue in re.findall(r"--queues (\S+)", command)[0:1] if queue}

    assert heard == {queue for _, queue in TASKS.values()}


def test_only_the_workers_with_torch_hear_of_the_tasks_that_need_it(compose):
    for name, service in compose["services"].items():
        needs_torch = "--include gpu_workers.tasks" in str(service.get("command", ""))
        assert needs_torch == (service.get("image") == "preference-arena-gpu:local"), name


def test_what_must_last_lies_in_volumes(compose):
    for name, service in compose["services"].items():
        volumes = [volume.partition(":")[0] for volume in service["volumes"]]
        assert volumes, name
        assert set(volumes) <= set(compose["volumes"]), name
    assert "--appendonly yes" in compose["services"]["redis"]["command"]
    assert "--maxmemory-policy noeviction" in compose["services"]["redis"]["command"]


def test_everything_that_runs_on_is_checked_and_waits_for_what_it_needs(compose):
    for name, service in compose["services"].items():
        if name in {"postgres", "redis"}:
            assert service["healthcheck"]["test"], name
        elif name != "migrate":
            needs = {other: wait["condition"] for other, wait in service["depends_on"].items()}
            assert needs == {
                "migrate": "service_completed_successfully",
                "postgres": "service_healthy",
                "redis": "service_healthy",
            }, name
            assert service["restart"] == "unless-stopped", name


def test_nothing_is_open_to_the_network_but_the_web_server(compose):
    open_to = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}

    assert open_to == {"web": ["${ARENA_LISTEN:-127.0.0.1:8000}:8000"]}


def test_no_secret_has_a_default(compose):
    text = (ROOT / "docker-compose.yml").read_text()

    assert re.findall(r"\$\{POSTGRES_PASSWORD(?!:\?)", text) == []
    example = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert (example["ARENA_SECRET_KEY"], example["POSTGRES_PASSWORD"]) == ("", "")


@pytest.mark.parametrize("name", ["web", "gpu"])
def test_the_images_run_as_nobody_special(dockerfile, name):
    lines = stage(dockerfile, name).splitlines()

    assert "USER arena" in lines
    after = lines[lines.index("USER arena") + 1 :]
    assert [line for line in after if line.startswith(("RUN", "COPY", "USER"))] == []


def test_the_web_image_carries_no_torch(dockerfile):
    assert "[gpu]" not in stage(dockerfile, "web")
    assert "[gpu]" in stage(dockerfile, "gpu")


def test_the_image_copies_the_code_and_nothing_of_an_installation():
    """Deny first: what is not named does not travel, neither .env nor var/ nor .git."""
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]

    assert rules[0] == "*"
    named = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert named == {
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "manage.py",
        "arena",
        "annotation",
        "ranking",
        "gpu_workers",
    }


def test_the_ci_script_is_a_script_and_runs_what_the_readme_says():
    script = ROOT / ".ci/run"

    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    lines = script.read_text().splitlines()
    assert "make lint" in lines
    assert "make test" in lines


def test_torch_is_pinned_exactly():
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()
    assert '"torch==2.13.0"' in (ROOT / "pyproject.toml").read_text()
