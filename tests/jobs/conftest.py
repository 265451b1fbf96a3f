"""Queues that can be looked into, and real Celery workers on the test's own database."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.conf import settings
from django.db import connection

from arena.celery import app
from arena.models import Job
from arena.services import jobs
from tests.nursery import Born, Nursery

Until = Callable[..., None]
# So that recoveries are seen in seconds.
PACE = {
    "ARENA_JOB_LEASE_SECONDS": "5",
    "ARENA_JOB_BEAT_SECONDS": "1",
    "ARENA_JOB_REAP_SECONDS": "1",
    "ARENA_LOG_LEVEL": "INFO",
}


class Queue:
    """What waits at the broker, whichever it is."""

    def messages(self, name: str) -> int:
        with app.connection_for_read() as broker:
            channel = broker.channel()
            return int(channel._size(name))

    def lose_everything(self) -> None:
        """What a broker without persistence does when its machine ends."""
        if settings.REDIS_URL:
            with app.connection_for_read() as broker:
                broker.channel().client.flushall()
        for file in (settings.BROKER_DIR / "messages").glob("*"):
            file.unlink()


@pytest.fixture
def queue() -> Iterator[Queue]:
    ours = Queue()
    ours.lose_everything()
    yield ours
    ours.lose_everything()


@pytest.fixture
def until() -> Until:
    """`until(lambda: …)` waits for what another process does. The limit is for a machine that is busy."""

    def wait(condition: Callable[[], Any], what: str = "it happens", seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
            time.sleep(0.05)

    return wait


class Workers:
    """Starts real workers (tests/jobs/worker.py) and leaves none behind."""

    def __init__(self, folder: Path, until: Until, nursery: Nursery) -> None:
        self._nursery = nursery
        self.diary = folder / "diary"
        self.diary.touch()
        self._folder = folder
        self._until = until
        self._started: list[Born | subprocess.Popen[bytes]] = []

    def start(self, queues: str = "generate", **settings_changed: object) -> "Born | subprocess.Popen[bytes]":
        """A worker from the nursery, or with other settings one that starts from nothing."""
        number = len(self._started)
        ready = self._folder / f"ready-{number}"
        environment = {
            **os.environ,
            **PACE,
            "DATABASE_URL": _database_url(),
            "TEST_DIARY": str(self.diary),
            "TEST_READY": str(ready),
            **{name: str(value) for name, value in settings_changed.items()},
        }
        born = subprocess.Popen if settings_changed else self._nursery.popen
        command = [sys.executable, "-m", "celery", "--app", "arena", "--quiet", "worker"]
        command += [
            "--queues",
            queues,
            "--pool",
            "threads",
            "--concurrency",
            "1",
            "--hostname",
            f"w{number}@%h",
        ]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
        command += ["--include", "tests.jobs.worker"]
        with (self._folder / f"log-{number}").open("wb") as log:
            worker = born(command, env=environment, stdout=log, stderr=log, cwd=settings.BASE_DIR)
        self._started.append(worker)
        self._until(lambda: ready.exists() or worker.poll() is not None, "the worker is ready")
        # One that was ready and has died since died of its work, as some tests want it to.
        assert ready.exists(), (self._folder / f"log-{number}").read_text()
        return worker

    def logs(self) -> str:
        return "\n".join(file.read_text() for file in sorted(self._folder.glob("log-*")))

    def entries(self, word: str) -> list[str]:
        """The lines of the diary that begin with the word: what workers really did."""
        return [line for line in self.diary.read_text().splitlines() if line.split()[0] == word]

    def end_all(self) -> None:
        for worker in self._started:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait(timeout=30)


@pytest.fixture(scope="session")
def nursery(django_db_setup: None) -> Iterator[Nursery]:
    """Where workers of the tests' own database are born. Its settings are read once, for all of them."""
    made = Nursery(
        "django",
        "arena.celery",
        "celery.apps.worker",
        "celery.bin.celery",
        "celery.concurrency.thread",
        "celery.worker.worker",
        environment={**os.environ, **PACE, "DATABASE_URL": _database_url()},
    )
    yield made
    made.close()


@pytest.fixture
def workers(
    tmp_path: Path, until: Until, queue: Queue, nursery: Nursery, transactional_db: None
) -> Iterator[Workers]:
    team = Workers(tmp_path, until, nursery)
    try:
        yield team
    finally:
        team.end_all()


def _database_url() -> str:
    """The test database, for another process."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    host = database["HOST"] or ""
    sign_in = f"{database['USER']}:{database['PASSWORD']}@" if database["USER"] else ""
    return f"postgres://{sign_in}{host}{':' if database['PORT'] else ''}{database['PORT']}/{database['NAME']}"


@pytest.fixture
def make_job(db: None) -> Callable[..., Job]:
    """A job as it stands in the table, with no message sent."""

    def make(**fields: Any) -> Job:
        return Job.objects.create(
            **{"kind": Job.Kind.GENERATE, "title": "Generate responses", "total": 10, **fields}
        )

    return make


@pytest.fixture
def broken_queue(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """The broker does not answer. Call it to mend the broker."""
    if settings.REDIS_URL:
        # Port 1 is nobody's: a connection is refused at once.
        with monkeypatch.context() as patch:
            patch.setattr(jobs, "app", Celery("dead", broker="redis://127.0.0.1:1/0", set_as_current=False))
            yield patch.undo
        return
    folder = settings.BROKER_DIR / "messages"
    shutil.rmtree(folder)
    folder.write_text("not a folder")

    def mend() -> None:
        if folder.is_file():
            folder.unlink()
            folder.mkdir()

    yield mend
    mend()
