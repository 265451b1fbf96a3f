"""Starts processes, starts those that die again, and leaves none behind: what `manage.py serve` runs on.

Knows nothing of Django. On Linux the children also end when this process is killed outright.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

GRACE_SECONDS = 25.0
LONGEST_PAUSE = 30.0
# A process that lived this long is well: its next death is a first one.
WELL_AFTER = 60.0
# Deaths in a row after which a vital process is given up.
VITAL_DEATHS = 4
PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One process to keep alive. Without a `vital` one there is nothing to serve."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    niceness: int = 0
    vital: bool = False
    deaths: int = 0
    started_at: float = 0.0
    start_after: float = 0.0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)


class Supervisor:
    """Keeps its children alive until it is told to stop."""

    def __init__(self, children: Sequence[Child], say: Callable[[str], None]) -> None:
        self.children = list(children)
        self._say = say
        self._stop = threading.Event()
        self._hurry = threading.Event()

    def run(self, each_turn: Callable[[], None], seconds: float = 0.5) -> bool:
        """Blocks until SIGINT, SIGTERM or SIGHUP. False: a vital child could not be kept alive."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._told_to_stop)
        try:
            while not self._stop.is_set():
                if not all(self._look_after(child) for child in self.children):
                    return False
                each_turn()
                self._stop.wait(seconds)
            return True
        finally:
            self._end_all()

    def _told_to_stop(self, number: int, frame: object) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _look_after(self, child: Child) -> bool:
        """Start the child where it does not run. False: it is vital and dies each time."""
        now = time.monotonic()
        if child.process is not None:
            status = child.process.poll()
            if status is None:
                return True
            child.process = None
            child.deaths = 1 if now - child.started_at > WELL_AFTER else child.deaths + 1
            if child.vital and child.deaths >= VITAL_DEATHS:
                self._say(
                    f"The {child.name} process ended {child.deaths} times in a row; the lines above say why."
                )
                return False
            pause = min(LONGEST_PAUSE, 2.0 ** (child.deaths - 1))
            child.start_after = now + pause
            self._say(
                f"The {child.name} process ended ({_in_words(status)}). It is started again in {pause:.0f} s."
            )
        if now >= child.start_after:
            child.process = _start(child)
            child.started_at = now
        return True

    def _end_all(self) -> None:
        """Ask all to end, wait for the work they finish or give back, and kill what is left."""
        for child in self.children:
            if child.process is not None and child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for child in self.children:
            while child.process is not None and child.process.poll() is None:
                if self._hurry.is_set() or time.monotonic() > deadline:
                    self._say(f"The {child.name} process did not end in time and is killed.")
                    os.killpg(child.process.pid, signal.SIGKILL)
                    child.process.wait()
                else:
                    self._hurry.wait(0.1)


def _start(child: Child) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def before_exec() -> None:
        # Ctrl-C goes to the whole foreground group: only the supervisor shall hear it.
        os.setsid()
        os.nice(child.niceness)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

    # This process has one thread, so that running Python between fork and exec is safe.
    return subprocess.Popen(
        list(child.command),
        env=dict(child.environment),
        stdin=subprocess.DEVNULL,
        preexec_fn=before_exec,
    )


def _in_words(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
