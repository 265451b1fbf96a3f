"""Commands that wait for jobs: a worker does them, or with --here this process does."""

import threading
import time
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError
from django.db import connection

from arena.celery import app
from arena.management.progress import ProgressLine
from arena.models import Job
from arena.services import jobs

LOOK_EVERY = 0.3
UNHEARD_AFTER = 10.0
NOBODY = "No worker has taken it yet. Start one (manage.py serve), or use --here."


def add_waiting(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--here", action="store_true", help="do the work in this process instead of waiting for a worker"
    )
    parser.add_argument(
        "--wait",
        action=BooleanOptionalAction,
        default=True,
        help="wait for the end and show the progress (default), or only queue the work",
    )


def see_through(queued: Sequence[Job], *, here: bool, out: Any) -> list[Job]:
    """Wait until the jobs have ended, doing them here if asked. CommandError where one did not end well."""
    ended = []
    for job in queued:
        worker = threading.Thread(target=_do, args=(job,)) if here else None
        if worker is not None:
            worker.start()
        try:
            ended.append(_follow(job, out, may_wait=here))
        except KeyboardInterrupt:
            if worker is None:
                raise CommandError(f"Job {job.pk} goes on without this command.") from None
            jobs.cancel(job)
            raise CommandError(f"Job {job.pk} was cancelled.") from None
        finally:
            if worker is not None:
                worker.join()
    unwell = [job for job in ended if job.state != Job.State.DONE]
    if unwell:
        raise CommandError("\n".join(f"{job.title}: {job.error or job.message}" for job in unwell))
    return ended


def _do(job: Job) -> None:
    """The job's task, by its name: the web side imports none of the workers' modules."""
    name, _ = jobs.TASKS[job.kind]
    try:
        app.loader.import_task_module(name.rpartition(".")[0])
        app.tasks[name](job.pk)
    except ImportError as error:
        _give_up(job, f"The workers' packages are not installed here: {error}.")
    finally:
        connection.close()


def _give_up(job: Job, why: str) -> None:
    held = jobs.claim(job_id=job.pk, owner="manage.py")
    if held is not None:
        jobs.fail(held, error=why)


def _follow(job: Job, out: Any, *, may_wait: bool) -> Job:
    began = time.monotonic()
    with ProgressLine(out) as line:
        while True:
            job.refresh_from_db()
            if job.is_finished:
                return job
            unheard = job.attempt == 0 and time.monotonic() - began > UNHEARD_AFTER
            line.show(
                job.done, job.total, NOBODY if unheard and not may_wait else f"{job.title}: {job.message}"
            )
            time.sleep(LOOK_EVERY)
