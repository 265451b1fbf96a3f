"""A real `manage.py serve` for tests: child processes, a port and a data folder of its own."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.services import free_port

ROOT = Path(__file__).resolve().parents[1]


def until(condition: Callable[[], object], what: str, *, seconds: float = 120.0, pause: float = 0.1) -> None:
    """Wait for the condition, and fail with `what` did not come where it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(pause)


class Served:
    """A `manage.py serve` below `folder`: nothing of it is in the repository's own folders."""

    def __init__(self, folder: Path, *options: str, cache: Path | None = None, **variables: str) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.data = folder / "data"
        self.log = folder / f"serve-{self.port}.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ARENA_")}
        environment = {
            **kept,
            "ARENA_DATA_DIR": str(self.data),
            "ARENA_CACHE_DIR": str(cache or folder / "cache"),
            **variables,
        }
        # What it says must be in the log at once without Python's help too.
        for name in ("DATABASE_URL", "REDIS_URL", "PYTHONUNBUFFERED"):
            environment.pop(name, None)
        command = [sys.executable, "manage.py", "serve", "--port", str(self.port), *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def said(self) -> str:
        return self.log.read_text()

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self) -> None:
        """Whatever became of the test, nothing stays: the children end with their parent."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=30)


def ended(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)
