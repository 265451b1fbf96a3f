"""A worker with work made for tests, under the names of the real tasks. It writes what it does into a diary.

Appending a short line to a file is atomic, so that the diary holds even when its writer is killed.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery.signals import worker_ready

from arena.celery import app
from arena.services.leases import Lease, work_on

DIARY = os.environ.get("TEST_DIARY", "")


def note(*words: object) -> None:
    with Path(DIARY).open("a") as diary:
        diary.write(" ".join(str(word) for word in words) + "\n")


@app.task(name="gpu_workers.tasks.generate")
def generate(job_id: int) -> None:
    note("heard", job_id, os.getpid())
    work_on(job_id, work)


@app.task(name="gpu_workers.tasks.train")
def train(job_id: int) -> None:
    note("trained", job_id, os.getpid())
    work_on(job_id, work)


def work(lease: Lease) -> dict[str, Any]:
    """As many steps as the job's total; the payload says how it misbehaves, on which attempt."""
    attempt = lease.job.attempt
    payload = lease.job.payload
    note("started", lease.job.pk, attempt, os.getpid())
    for step in range(1, lease.job.total + 1):
        if payload.get("kill_on_attempts", 0) >= attempt:
            os.kill(os.getpid(), signal.SIGKILL)
        if payload.get("hang_on_attempts", 0) >= attempt:
            time.sleep(3600)  # looks at nothing, as native code in a dead lock
        lease.progress(done=step, line=f"attempt {attempt} step {step}")
        note("step", lease.job.pk, attempt, step)
        deadline = time.monotonic() + payload.get("seconds", 0.0)
        while time.monotonic() < deadline:
            lease.check()
            time.sleep(0.02)
    return {"attempt": attempt, "pid": os.getpid()}


@worker_ready.connect
def tell(**_: object) -> None:
    Path(os.environ["TEST_READY"]).touch()
