"""A small installation for faults: database, queue, a model's endpoint and real worker processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from arena.models import Arena, Contestant, Job, Prompt, Response
from arena.services import jobs, responses
from tests.gpu_workers import small
from tests.services import free_port

# Workers are slow enough to be killed in the middle of a fill.
os.environ.setdefault("ARENA_ENDPOINT_REQUESTS", "4")
ROOT = Path(__file__).resolve().parents[2]
LIMIT = 120.0


def until(condition: Callable[[], Any], what: str, seconds: float = LIMIT) -> float:
    """Wait for what other processes do; how long it took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"waited {seconds:g} s in vain until {what}")
        time.sleep(0.02)
    return time.monotonic() - began


class World:
    """One arena with a contestant on the endpoint, and workers that live as long as this."""

    def __init__(self, folder: Path, endpoint: small.Endpoint) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self.workers: list[Worker] = []
        self._nursery: subprocess.Popen[str] | None = None
        self.arena = Arena.objects.create(slug="faults", name="Faults")

    def contestant(self, prompts: int, name: str = "Echo", address: str = "") -> Contestant:
        missing = prompts - self.arena.prompts.count()
        first = self.arena.prompts.count()
        Prompt.objects.bulk_create(
            Prompt(arena=self.arena, key=f"p{n}", messages=[{"role": "user", "content": f"Question {n}?"}])
            for n in range(first, first + missing)
        )
        return Contestant.objects.create(
            arena=self.arena,
            name=name,
            backend="openai",
            endpoint=address or self.endpoint.address,
            endpoint_model="m",
        )

    def fill(self, contestant: Contestant) -> Job:
        return responses.plan_generation(arena=self.arena, contestants=[contestant])[0]

    def worker(
        self, include: str = "tests.faults.worker", pool: str = "threads", **environment: object
    ) -> "Worker":
        """Start a worker; a plain one is born in the nursery, in a moment."""
        number = len(self.workers)
        ready, log = self.folder / f"ready-{number}", self.folder / f"worker-{number}.log"
        arguments = ["--app", "arena", "--quiet", "worker", "--queues", "generate"]
        arguments += ["--pool", pool, "--concurrency", "1", "--hostname", f"w{number}@%h"]
        arguments += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        arguments += ["--loglevel", "INFO", "--include", include]
        given = {name: str(value) for name, value in environment.items()}
        given |= {"TEST_READY": str(ready), "TEST_DIARY": str(self.folder / "diary")}
        if include == "tests.faults.worker" and not environment:
            worker = Worker(self._born(arguments, given, log))
        else:
            worker = Worker(_started(["-m", "celery", *arguments], given, log))
        self.workers.append(worker)
        until(lambda: ready.exists() or not worker.is_alive(), "the worker is ready")
        if not ready.exists():  # one that was ready and is gone died of its work
            raise RuntimeError(log.read_text()[-2000:])
        return worker

    def serve(self) -> "Worker":
        """The whole product as `manage.py serve` starts it: supervisor, web server and workers."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        tree = Tree(_started(["manage.py", "serve", "--no-demo", "--port", str(free_port())], {}, log))
        self.workers.append(tree)
        return tree

    def _born(self, arguments: list[str], environment: dict[str, str], log: Path) -> int:
        if self._nursery is None:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.nursery"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        asked = {"arguments": arguments, "environment": environment, "log": str(log)}
        self._nursery.stdin.write(json.dumps(asked) + "\n")
        self._nursery.stdin.flush()
        return int(self._nursery.stdout.readline())

    def made(self) -> int:
        return Response.objects.count()

    def kill(self, worker: "Worker") -> None:
        """kill -9 of the worker with all its children."""
        worker.kill()

    def last_words(self) -> str:
        """How the newest jobs stand, and what the newest worker wrote: for a fault that ended badly."""
        rows = Job.objects.order_by("-pk").values("pk", "state", "attempt", "max_attempts", "done", "message")
        log = self.folder / f"worker-{len(self.workers) - 1}.log"
        return "\n".join([*map(str, rows[:3]), log.read_text()[-2000:] if log.exists() else ""])

    def end(self) -> None:
        for worker in self.workers:
            if worker.is_alive():
                worker.kill()
        if self._nursery is not None:
            self._nursery.communicate(timeout=30)


class Worker:
    """A worker by its process id, which is also its process group's."""

    def __init__(self, process: "subprocess.Popen[bytes] | int") -> None:
        self._process = None if isinstance(process, int) else process
        self.pid = process if isinstance(process, int) else process.pid

    def is_alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return Path(f"/proc/{self.pid}").exists()

    def children(self) -> list[int]:
        """The processes that it started itself."""
        found = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(pid) for file in found for pid in file.read_text().split()]

    def kill(self) -> None:
        """End the whole group as by a power cut, and wait until it is gone."""
        os.killpg(self.pid, signal.SIGKILL)
        until(lambda: not self.is_alive(), "the worker is gone")


class Tree(Worker):
    """A process with all that it started, in whatever groups."""

    def kill(self) -> None:
        """End every process of the tree, the leaves first, so that none hears of the others' end."""
        for pid in [*self.descendants(), self.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.is_alive(), "the tree is gone")

    def descendants(self) -> list[int]:
        try:
            found = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [process.pid for process in reversed(found)]


def _started(arguments: list[str], environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **environment},
        )


def ended(job: Job) -> bool:
    job.refresh_from_db()
    return job.is_finished


def count_lost(wanted: int, contestant: Contestant) -> tuple[int, int]:
    """Responses that are missing, and those there are too many of."""
    keys = list(Response.objects.filter(contestant=contestant).values_list("prompt", "sample"))
    return wanted - len(set(keys)), len(keys) - len(set(keys))


__all__ = ["LIMIT", "World", "count_lost", "ended", "jobs", "until"]
