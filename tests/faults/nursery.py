"""Starts workers by fork from one process that has loaded everything: a worker is there in a moment.

`python -m tests.faults.nursery` reads a JSON line for each worker, {"arguments": […], "environment":
{…}, "log": "FILE"}, and answers with its process id. A worker leads a process group of its own, and
is a process like any other: killed, it is gone, with all that it held.
"""

import importlib
import json
import os
import signal
import sys
from typing import Any

import django

# All that a worker loads in its first second, so that each is born with it.
LOADED = (
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.concurrency.thread",
    "celery.worker.worker",
    "gpu_workers.generation_task",
    "tests.faults.worker",
)


def main() -> None:
    django.setup()
    for name in LOADED:
        importlib.import_module(name)
    # Nobody asks how a worker ended: the kernel buries it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        asked = json.loads(line)
        if child := os.fork():
            print(child, flush=True)
        else:
            become(asked)


def become(asked: dict[str, Any]) -> None:
    """The worker itself; never returns."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for place, file in ((0, nothing), (1, log), (2, log)):
        os.dup2(file, place)
    os.environ.update(asked["environment"])
    from celery.bin.celery import celery as program

    sys.argv = ["celery", *asked["arguments"]]
    try:
        program.main(asked["arguments"], prog_name="celery")
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
