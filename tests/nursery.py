"""Processes that are there in a moment: forked from one that has loaded what they need.

`Nursery("torch", …).popen([sys.executable, "-m", "MODULE", …])` stands in for `subprocess.Popen`: a
process of its own, which runs the module as Python would, dies when killed and has an exit status. Only
starting the interpreter and importing the libraries are shared. Started as `python -m tests.nursery
SOCKET MODULE …` it reads a JSON line for each birth, and tells of each birth and each end.
"""

import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
LINE = 1 << 20  # bytes, the longest request


class Nursery:
    """The loaded process, and the ends of those that were born of it."""

    def __init__(self, *modules: str, environment: Mapping[str, str] | None = None) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery", str(theirs.fileno()), *modules],
            cwd=ROOT,
            env=environment,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._lock = threading.RLock()
        self._ended: dict[int, int] = {}

    def popen(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        stdin: int | None = None,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        start_new_session: bool = False,
        text: bool = False,
        **coding: Any,
    ) -> "Born":
        """As subprocess.Popen; the arguments are those of `python -m`."""
        assert list(arguments[:2]) == [sys.executable, "-m"], arguments
        pipes = [os.pipe() if one == subprocess.PIPE else None for one in (stdout, stderr)]
        given = [
            pipe[1] if pipe else own.fileno() if hasattr(own, "fileno") else place
            for pipe, own, place in zip(pipes, (stdout, stderr), (1, 2), strict=True)
        ]
        asked = {
            "arguments": list(map(str, arguments[2:])),
            "environment": dict(os.environ if env is None else env),
            "folder": str(cwd or Path.cwd()),
            "session": start_new_session,
        }
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(asked).encode()], given)
            pid = self._hear(until="born")
        for pipe in filter(None, pipes):
            os.close(pipe[1])
        mode = "r" if text else "rb"
        streams = [os.fdopen(pipe[0], mode, **coding) if pipe else None for pipe in pipes]
        return Born(self, pid, *streams)

    def status(self, pid: int) -> int | None:
        """How the process ended, as subprocess has it; None while it lives."""
        with self._lock:
            while select.select([self._socket], [], [], 0)[0]:
                self._hear()
            return self._ended.get(pid)

    def _hear(self, until: str = "") -> int:
        while True:
            told = json.loads(self._socket.recv(LINE) or "{}")
            if not told:
                raise RuntimeError("The nursery has ended.")
            if "ended" in told:
                self._ended[told["ended"]] = told["status"]
            if not until or until in told:
                return int(told.get(until, 0))

    def close(self) -> None:
        self._socket.close()
        self._process.wait(timeout=60)


class Born:
    """What of subprocess.Popen the tests and the product use."""

    def __init__(self, nursery: Nursery, pid: int, stdout: Any = None, stderr: Any = None) -> None:
        self.pid, self.stdout, self.stderr = pid, stdout, stderr
        self.returncode: int | None = None
        self._nursery = nursery

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.status(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(0.01)
        return int(self.returncode or 0)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def main() -> None:
    ours = socket.socket(fileno=int(sys.argv[1]))
    sys.argv[1:] = sys.argv[2:]
    for name in sys.argv[1:]:
        importlib.import_module(name)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([ours, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            bury(ours)
        if ours in ready:
            line, places, _, _ = socket.recv_fds(ours, LINE, 2)
            if not line:
                return
            asked = json.loads(line)
            if child := os.fork():
                for place in places:
                    os.close(place)
                ours.send(json.dumps({"born": child}).encode())
            else:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for place in (woken, wake):
                    os.close(place)
                ours.close()
                become(asked, places)
                return


def bury(ours: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        ours.send(json.dumps({"ended": pid, "status": os.waitstatus_to_exitcode(status)}).encode())


def become(asked: dict[str, Any], places: Sequence[int]) -> None:
    """The child: `python -m MODULE …` from here on."""
    if asked["session"]:
        os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for place, file in zip((0, 1, 2), (nothing, *places), strict=True):
        os.dup2(file, place)
    for file in (nothing, *places):
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    module, *arguments = asked["arguments"]
    if "--die-with" in arguments:  # whoever asked for it is not its parent: it dies with us, and we with them
        arguments[arguments.index("--die-with") + 1] = str(os.getppid())
    sys.argv[1:] = arguments
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
