"""A real generation worker for the fault suite; only its patience with endpoints is shorter.

TEST_CLOCK_SHIFT moves this process's clock by so many seconds, as on a machine whose clock is wrong.
"""

import os
import time
from pathlib import Path

from celery.signals import worker_ready

import gpu_workers.tasks
from gpu_workers.backends.asking import AskingBackend, Limits

__all__ = ["gpu_workers"]

AskingBackend.default_limits = Limits(
    concurrency=4,
    attempts=6,
    connect=1,
    silence=0.5,
    whole=1.5,
    first_pause=0.05,
    longest_pause=0.2,
    largest=200_000,
    breaks_after=40,
    rest=0.2,
)

if shift := float(os.environ.get("TEST_CLOCK_SHIFT", "0")):
    real = time.time
    time.time = lambda: real() + shift


@worker_ready.connect
def tell(**_: object) -> None:
    Path(os.environ["TEST_READY"]).touch()
