"""What a worker does with one job: claim it, keep its lease alive, end it well or badly.

`work_on` is the whole life of an attempt; the function it calls gets a `Lease`
and needs to know nothing of leases beyond `lease.progress(…)`.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from arena.errors import ArenaError, JobLost
from arena.models import Job
from arena.services import jobs

log = logging.getLogger(__name__)


# Set when this worker was told to stop (arena/keeper.py).
_stopping = threading.Event()
# Set in a worker, which is started again when it ends: work that hangs can be ended only with its process.
_may_exit = threading.Event()
HANGS = 70  # exit status


class JobCancelled(Exception):
    """Somebody asked for the job to end."""


class WorkerStops(Exception):
    """This worker was told to stop: the job goes back to the queue."""


class GivesWay(Exception):
    """The work lets a more urgent job go first: its own goes to the end of the queue."""


def stop_all() -> None:
    """Make every job of this process stop at its next look at its lease."""
    _stopping.set()


def allow_exit() -> None:
    """From here on, work that goes on after its lease was lost ends this process. For workers only."""
    _may_exit.set()


class Lease:
    """One attempt at one job. A thread renews it; `progress` and `check` tell the work to stop."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{job.pk}", daemon=True)

    def check(self) -> None:
        """Raise JobCancelled, WorkerStops or JobLost where the work must stop. Cheap: reads three flags."""
        if self._lost.is_set():
            raise JobLost(f"Job {self.job.pk} was taken over; attempt {self.job.attempt} stops here.")
        if self._cancelled.is_set():
            raise JobCancelled()
        if _stopping.is_set():
            raise WorkerStops()

    def progress(
        self, done: int | None = None, total: int | None = None, message: str = "", line: str = ""
    ) -> None:
        """Record how far the work is, and stop it where it must stop."""
        self.check()
        jobs.note_progress(self.job, done=done, total=total, message=message, line=line)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join(timeout=30)

    def _keep(self) -> None:
        # A cancel is looked for every second, the lease renewed every JOB_BEAT_SECONDS.
        waited = 0.0
        try:
            while not self._ended.wait(1.0):
                waited += 1.0
                try:
                    if jobs.is_cancelled(self.job):
                        self._cancelled.set()
                    if waited >= settings.JOB_BEAT_SECONDS:
                        waited = 0.0
                        if not jobs.beat(self.job):
                            self._lost.set()
                            return self._end_hanging()
                except Exception:
                    # The database may be restarting; the lease outlasts some missed beats.
                    log.exception("The lease of job %s could not be renewed; trying again.", self.job.pk)
                    connection.close()
        finally:
            connection.close()

    def _end_hanging(self) -> None:
        """The job is another's. Work that does not notice would hold this worker's place for ever."""
        connection.close()
        if _may_exit.is_set() and not self._ended.wait(settings.JOB_HANG_GRACE_SECONDS):
            log.critical("The work of job %s hangs; this worker ends, to be started again.", self.job.pk)
            os._exit(HANGS)


def work_on(job_id: int, work: Callable[[Lease], Mapping[str, Any] | None]) -> Job | None:
    """Claim the job, do `work`, and record how it ended. None: it was not to be had.

    An ArenaError's sentence becomes the job's error; anything else is logged whole and
    becomes one sentence. Safe to call twice for the same message.
    """
    if _stopping.is_set():
        # The message is used up, and must be sent again for another worker.
        jobs.note_unheard(job_id)
        return None
    chosen = jobs.most_urgent(job_id)
    job = jobs.claim(job_id=chosen, owner=f"{socket.gethostname()}:{os.getpid()}")
    if chosen != job_id:
        # The message was for another, whose turn comes after.
        jobs.ring_again(job_id)
    if job is None:
        return None
    with Lease(job) as lease:
        try:
            jobs.finish(job, result=work(lease))
        except JobCancelled:
            jobs.end_cancelled(job)
        except WorkerStops:
            jobs.give_back(job, message="Its worker was stopped; queued again")
        except GivesWay as reason:
            jobs.give_back(job, message=str(reason))
            jobs.ring(job)
        except JobLost as error:
            log.warning("%s", error)
        except ArenaError as error:
            jobs.fail(job, error=str(error))
        except (OperationalError, InterfaceError):
            # The database went away, or its disk is full. What is written is safe; the rest is done again
            # when the lease has run out, here or elsewhere.
            log.exception("Job %s lost its database; it is taken up again.", job.pk)
            connection.close()
            return None
        except Exception as error:
            log.exception("Job %s failed", job.pk)
            jobs.fail(job, error=f"{type(error).__name__}: {error}")
    job.refresh_from_db()
    return job
