"""A child process that prints JSON lines, watched by a job: it ends when the job is to end.

Work that can take all memory, or crash in native code, runs in a child: a worker that
loses it tells so in one sentence and goes on to the next job.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import IO, Any

GRACE = 5.0  # seconds between asking a child to end and ending it
KEPT_LINES = 20  # of what the child wrote to standard error


class ChildFailed(Exception):
    """The child ended badly. The text is its own sentence, or the last thing that it wrote."""


def events(
    module: str, arguments: Sequence[str], *, check: Callable[[], None], seconds: float = 1.0
) -> Iterator[dict[str, Any]]:
    """Run `python -m MODULE ARGUMENTS` and yield the JSON objects that it prints, one a line.

    `check` is called at least every `seconds` and may raise: the child is then ended. The
    child is told `--die-with PID`, so that it does not outlive this process. Raises
    ChildFailed where it ends with another status than 0, or prints an "error" event.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments, "--die-with", str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    said: list[str] = []
    readers = [
        threading.Thread(target=_read, args=(child.stdout, lines.put), daemon=True),
        threading.Thread(target=_read, args=(child.stderr, lambda line: _keep(said, line)), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        yield from _events(lines, check, seconds)
        child.wait()
        readers[1].join(timeout=GRACE)
        if child.returncode:
            last = said[-1] if said else "It wrote nothing."
            raise ChildFailed(f"{module} ended with status {child.returncode}. {last}")
    finally:
        _end(child)


def _events(
    lines: "queue.SimpleQueue[str | None]", check: Callable[[], None], seconds: float
) -> Iterator[dict[str, Any]]:
    while True:
        check()
        try:
            line = lines.get(timeout=seconds)
        except queue.Empty:
            continue
        if line is None:
            return
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a library's own chatter
        if not isinstance(event, dict):
            continue
        if event.get("event") == "error":
            raise ChildFailed(str(event.get("message", "The child told of an error without a word.")))
        yield event


def _read(stream: IO[str], put: Callable[[str | None], None]) -> None:
    with stream:
        for line in stream:
            put(line)
    put(None)


def _keep(said: list[str], line: str | None) -> None:
    if line and line.strip():
        said.append(line.strip())
        del said[:-KEPT_LINES]


def _end(child: "subprocess.Popen[str]") -> None:
    if child.poll() is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
    if child.poll() is None:
        child.kill()
        child.wait()
