"""One command for a laptop or a single machine: web server and workers, until Ctrl-C."""

import fcntl
import hashlib
import importlib.util
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection, connections
from django.db.models import Count

from arena.errors import ArenaError
from arena.models import Job, Prompt
from arena.services import demo
from arena.supervisor import Child, Supervisor

LOOK_SECONDS = 2.0
# Celery warns of a superuser at length, three times; on a laptop's container that is nothing to act on.
QUIET = "ignore:You're running the worker with superuser privileges"


class Command(BaseCommand):
    help = """Serve the arena on this machine: web server and workers, until Ctrl-C.

Brings the database up to date, seeds the demo arena, and starts what dies again.

Example: python manage.py serve --port 8000"""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(
            prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")
        parser.add_argument("--threads", type=int, default=8, help="requests answered at a time (8)")
        parser.add_argument("--no-demo", action="store_true", help="do not make the demo arena")
        parser.add_argument("--no-workers", action="store_true", help="start the web server alone")

    def handle(
        self, *, host: str, port: int, threads: int, no_demo: bool, no_workers: bool, **_: Any
    ) -> None:
        lock = _only_one()
        _need_free_port(host, port)
        self._prepare()
        local = f"http://{_as_host(host)}:{port}"
        address = os.environ.get("ARENA_PUBLIC_URL", local).rstrip("/")
        news = News(self.stdout.write, local, address, None if no_demo else _seed())
        environment = {**os.environ, "ARENA_PUBLIC_URL": address, "PYTHONUNBUFFERED": "1"}
        environment.setdefault("PYTHONWARNINGS", QUIET)
        children = [_web(host, port, threads, environment)]
        if not no_workers:
            children += _workers(environment, self.stdout.write)
        connections.close_all()
        with lock:
            if not Supervisor(children, say=self.stdout.write).run(news.tell):
                raise CommandError("The arena is not served. Everything that was started has ended.")
        self.stdout.write("Stopped. Everything that was started has ended.")

    def _prepare(self) -> None:
        self.stdout.write("Bringing the database and the static files up to date …")
        call_command("migrate", interactive=False, verbosity=0)
        if not settings.DEBUG:
            _collect_static()


class News:
    """What the person at the terminal wants to know: the address, then how the demo comes along."""

    def __init__(self, write: Any, local: str, address: str, seed: demo.DemoSeed | None) -> None:
        self._write = write
        self._local = local
        self._address = address
        self._seed = seed
        self._next_look = 0.0
        self._answers = False
        self._battle_told = seed is None
        self._patience_asked = False
        self._told: dict[int, tuple[str, str]] = {}

    def tell(self) -> None:
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        if not self._answers:
            self._answers = _answers(f"{self._local}/healthz")
            if not self._answers:
                return
            self._welcome()
        try:
            self._first_battle()
            self._jobs()
        except DatabaseError as error:
            self._write(f"The database did not answer: {error}".rstrip())
        finally:
            connection.close()

    def _welcome(self) -> None:
        lines = ["", f"Preference Arena is at {self._address}"]
        if self._seed is not None:
            lines += [f"  Vote      {self._address}/arenas/{self._seed.arena.slug}/"]
            known = self._seed.password or "(the password you gave it)"
            lines += [f"  Sign in   {self._address}/accounts/login/   {self._seed.user_name} / {known}"]
        self._write("\n".join([*lines, "  Stop      Ctrl-C", ""]))

    def _first_battle(self) -> None:
        if self._battle_told or self._seed is None:
            return
        arena = self._seed.arena
        ready = (
            Prompt.objects.active()
            .filter(arena=arena)
            .annotate(answers=Count("responses__contestant", distinct=True))
            .filter(answers__gte=arena.k)
        )
        if ready.exists():
            self._battle_told = True
            self._write(f"The first battle is ready: {self._address}/arenas/{arena.slug}/")
        elif not self._patience_asked:
            self._patience_asked = True
            self._write(
                "The demo's models are being trained here; the first battle takes a minute or two.\n"
                "Open the page now: it shows the battle when it is ready."
            )

    def _jobs(self) -> None:
        """A line for each job whose state or tenth of progress has changed."""
        running = Job.objects.filter(state=Job.State.RUNNING)
        ended = Job.objects.filter(pk__in=self._told).exclude(state=Job.State.QUEUED)
        for job in (running | ended).order_by("pk"):
            now = (job.state, f"{job.percent // 10}" if job.total else job.message)
            if self._told.get(job.pk) == now:
                continue
            self._told[job.pk] = now
            progress = f"{job.percent} %, " if job.total and not job.is_finished else ""
            detail = job.error or job.message or job.get_state_display()
            self._write(f"  {job.title}: {progress}{detail}")


def _only_one() -> TextIO:
    """A lock on this installation's folder: two servers would start each job's workers twice."""
    file = (Path(settings.DATA_DIR) / "serve.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise CommandError(
            f"This arena is already being served (its data folder is {settings.DATA_DIR}). "
            "Stop the other one with Ctrl-C, or set ARENA_DATA_DIR to another folder."
        ) from None
    return file


def _collect_static() -> None:
    """Gather and compress the static files, but only where one of them has changed since."""
    state = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            facts = Path(storage.path(path)).stat()
            state.update(f"{path} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    stamp = Path(settings.STATIC_ROOT) / ".collected"
    if stamp.exists() and stamp.read_text() == state.hexdigest():
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(state.hexdigest())


def _need_free_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not between 0 and 65535"
            raise CommandError(
                f"Port {port} on {host} cannot be used: {reason}. Choose another: make run PORT=8001"
            ) from None


def _as_host(host: str) -> str:
    """The name a browser on this machine reaches the server by."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _seed() -> demo.DemoSeed:
    try:
        return demo.seed_demo()
    except ArenaError as error:
        raise CommandError(f"{error} Or serve without it: python manage.py serve --no-demo") from error


def _web(host: str, port: int, threads: int, environment: dict[str, str]) -> Child:
    command = [sys.executable, "-m", "gunicorn", "arena.wsgi", "--bind", f"{_bindable(host)}:{port}"]
    # One process: what it keeps in memory (matchmaking's posterior) is then kept once.
    command += ["--workers", "1", "--threads", str(threads), "--log-level", "warning", "--no-control-socket"]
    command += ["--graceful-timeout", "10", "--timeout", "120"]
    return Child("web", command, environment, vital=True)


def _bindable(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _workers(environment: dict[str, str], say: Any) -> list[Child]:
    """One worker per queue, so that a training run of hours holds up no export and no generation."""
    children = [_worker("default", environment, threads=2, niceness=0)]
    if importlib.util.find_spec("torch") is None:
        say("PyTorch is not installed: no model generates or is trained here. See docs/self-hosting.md.")
        return children
    for queue in ("generate", "train"):
        # Nice, so that people who vote while a model trains on the same cores do not wait.
        children.append(
            _worker(queue, environment, threads=1, niceness=10, extra=["--include", "gpu_workers.tasks"])
        )
    return children


def _worker(
    queue: str, environment: dict[str, str], *, threads: int, niceness: int, extra: list[str] | None = None
) -> Child:
    command = [sys.executable, "-m", "celery", "--app", "arena", "--quiet", "worker", "--queues", queue]
    command += ["--hostname", f"{queue}@%h", "--pool", "threads", "--concurrency", str(threads)]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    return Child(f"{queue} worker", [*command, *(extra or [])], environment, niceness=niceness)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310  (our own http address)
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
