"""Jobs: the row is the truth, the queue a doorbell.

A message may be lost, doubled, late or reordered, and nothing breaks: a worker
claims the row by a conditional update, holds it by a lease that it renews, and
every write carries the attempt number, so that a worker that lost its lease
(stopped, cut off, too slow) changes nothing. The reaper puts expired leases back
and rings again for what was never heard. All times are the database's clock.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Concat, Now, Right
from django.utils.translation import gettext as _
from kombu.exceptions import ChannelError, KombuError
from redis.exceptions import RedisError

from arena.celery import app
from arena.errors import BadInput, JobLost
from arena.models import Arena, Job

log = logging.getLogger(__name__)

# kind: (the task that does it, its queue). Sent by name: the web process knows no torch.
TASKS: dict[str, tuple[str, str]] = {
    Job.Kind.GENERATE: ("gpu_workers.tasks.generate", "generate"),
    Job.Kind.TRAIN: ("gpu_workers.tasks.train", "train"),
    Job.Kind.DEMO_MODELS: ("gpu_workers.tasks.build_demo_models", "train"),
    Job.Kind.EXPORT: ("arena.tasks.export_data_set", "default"),
    Job.Kind.ANALYSIS: ("arena.tasks.analyse_leaderboard", "default"),
    Job.Kind.JUDGE: ("gpu_workers.tasks.judge", "generate"),
    Job.Kind.CURATE: ("gpu_workers.tasks.curate", "generate"),
    Job.Kind.CHECK: ("gpu_workers.tasks.check_backend", "generate"),
}
QUEUES = sorted({queue for _task, queue in TASKS.values()})
# Somebody waits in front of the screen.
LIVE = 10
RING_AGAIN_AFTER = timedelta(seconds=30)
LOG_LIMIT = 100_000


def enqueue(
    *,
    kind: str,
    title: str,
    arena: Arena | None = None,
    payload: Mapping[str, Any] | None = None,
    total: int = 0,
    unique_key: str = "",
    priority: int = 0,
    created_by: User | None = None,
) -> Job:
    """A new job, told to the queue once this transaction is committed.

    Of the jobs that wait in one queue, a worker takes one of the highest `priority`.

    With a `unique_key` there is at most one unfinished job of that key: where one
    exists it is returned instead.
    """
    row = Job(
        kind=kind,
        title=title,
        arena=arena,
        payload=dict(payload or {}),
        total=total,
        unique_key=unique_key,
        priority=priority,
        created_by=created_by,
        max_attempts=settings.JOB_ATTEMPTS,
    )
    waiting = _create_or_waiting(row)
    if waiting is not None:
        return waiting
    transaction.on_commit(lambda: ring(row))
    return row


def _create_or_waiting(row: Job) -> Job | None:
    """Store the row, or give the unfinished job that has its key. That one may end meanwhile: then again."""
    for _attempt in range(5):
        try:
            with transaction.atomic():
                row.save(force_insert=True)
            return None
        except IntegrityError:
            if not row.unique_key:
                raise
        waiting = Job.objects.unfinished().filter(unique_key=row.unique_key).first()
        if waiting is not None:
            return waiting
    raise BadInput(_("The same work was queued and ended several times just now. Try again."))


def ring(job: Job) -> None:
    """Tell the queue of the job. A broker that is down costs nothing: the reaper rings again."""
    task, queue = TASKS[job.kind]
    try:
        app.send_task(task, args=[job.pk], queue=queue, retry=False)
    except (KombuError, ChannelError, RedisError, OSError) as error:
        log.warning("The queue could not be told of job %s: %s. It is told again later.", job.pk, error)
        return
    Job.objects.filter(pk=job.pk).update(rung_at=Now())


def note_unheard(job_id: int) -> None:
    """The message of a queued job came to nothing: the reaper rings again at its next round."""
    Job.objects.filter(pk=job_id, state=Job.State.QUEUED).update(rung_at=None)


def ring_again(job_id: int) -> None:
    """Tell the queue anew of a job whose message was used for a more urgent one."""
    job = Job.objects.filter(pk=job_id, state=Job.State.QUEUED).first()
    if job is not None:
        ring(job)


def claim(*, job_id: int, owner: str) -> Job | None:
    """Take the job, or None: somebody else has it, it is finished, or it is not yet time."""
    due = Q(run_at=None) | Q(run_at__lte=Now())
    free = Q(state=Job.State.QUEUED) | Q(state=Job.State.RUNNING, lease_until__lt=Now())
    taken = Job.objects.filter(
        due, free, pk=job_id, attempt__lt=F("max_attempts"), cancel_requested=False
    ).update(
        state=Job.State.RUNNING,
        attempt=F("attempt") + 1,
        lease_owner=owner,
        done_before=F("done"),
        lease_until=_lease_end(),
        started_at=Now(),
        progress_at=Now(),
        error="",
        message="Started",
    )
    if not taken:
        return None
    # Between the update and this read another claim is impossible: the lease has just begun.
    return Job.objects.get(pk=job_id)


def most_urgent(job_id: int) -> int:
    """The job to take at this ring: the one rung for, or a more urgent one of the same queue.

    A broker hands out messages in their order; the rows know what is urgent.
    """
    rung = Job.objects.filter(pk=job_id).only("kind", "priority").first()
    if rung is None:
        return job_id
    waiting = _waiting(rung.kind).filter(priority__gt=rung.priority).order_by("-priority", "id")
    return waiting.values_list("pk", flat=True).first() or job_id


def more_urgent_waits(job: Job) -> bool:
    """Whether the work of this job should let another go first."""
    return bool(_waiting(job.kind).filter(priority__gt=job.priority).exists())


def _waiting(kind: str) -> Any:
    """Queued jobs that are due, of this kind's task."""
    kinds = [other for other, task in TASKS.items() if task == TASKS[kind]]
    due = Q(run_at=None) | Q(run_at__lte=Now())
    return Job.objects.filter(due, kind__in=kinds, state=Job.State.QUEUED, cancel_requested=False)


def beat(job: Job) -> bool:
    """Renew the lease. False: it is lost, and this worker must stop and write nothing more."""
    return bool(_held(job).update(lease_until=_lease_end()))


def is_cancelled(job: Job) -> bool:
    return Job.objects.filter(pk=job.pk, cancel_requested=True).exists()


def note_progress(
    job: Job, *, done: int | None = None, total: int | None = None, message: str = "", line: str = ""
) -> None:
    """Record how far the job is. Raises JobLost where the lease is gone."""
    changes: dict[str, Any] = {"progress_at": Now(), "lease_until": _lease_end()}
    if done is not None:
        changes["done"] = done
    if total is not None:
        changes["total"] = total
    if message:
        changes["message"] = message[:300]
    if line:
        # The newest part is what somebody who looks for a fault needs.
        changes["log"] = Right(Concat(F("log"), Value(line.rstrip("\n")[:2000] + "\n")), LOG_LIMIT)
    if not _held(job).update(**changes):
        raise JobLost(f"Job {job.pk} was taken over or ended; attempt {job.attempt} stops here.")


def finish(job: Job, *, result: Mapping[str, Any] | None = None, message: str = "Done") -> None:
    """End the job well. Raises JobLost where the lease is gone: the result must not count then."""
    done = _held(job).update(
        state=Job.State.DONE,
        result=dict(result or {}),
        message=message[:300],
        error="",
        done=F("total"),
        finished_at=Now(),
        lease_until=None,
    )
    if not done:
        raise JobLost(f"Job {job.pk} was taken over or ended; attempt {job.attempt} stops here.")


def fail(job: Job, *, error: str) -> None:
    """End the job with one sentence for the user. Nothing is raised where the lease is gone."""
    _held(job).update(
        state=Job.State.FAILED, error=error[:4000], message="Failed", finished_at=Now(), lease_until=None
    )


def end_cancelled(job: Job) -> None:
    _held(job).update(state=Job.State.CANCELLED, message="Cancelled", finished_at=Now(), lease_until=None)


def give_back(job: Job, *, message: str = "Queued again") -> None:
    """Queue the job again through no fault of its own (its worker stops, it gives way): no try is used up."""
    # One that was also cancelled stays as it is: its lease runs out, and the reaper ends it.
    _held(job).filter(cancel_requested=False).update(
        state=Job.State.QUEUED,
        max_attempts=F("max_attempts") + 1,
        lease_until=None,
        rung_at=None,
        message=message[:300],
    )


def cancel(job: Job) -> Job:
    """Ask for an end. A queued job ends at once; a running one when its worker looks, in seconds."""
    with transaction.atomic():
        # Locked, or the reaper could queue it again between the two updates and hide it from both.
        row = Job.objects.select_for_update().filter(pk=job.pk)
        row.get()
        row.filter(state=Job.State.QUEUED).update(
            state=Job.State.CANCELLED, cancel_requested=True, message="Cancelled", finished_at=Now()
        )
        row.filter(state=Job.State.RUNNING).update(cancel_requested=True, message="Cancelling …")
    job.refresh_from_db()
    return job


def retry(job: Job) -> Job:
    """Queue a failed, cancelled or given-up job again, from where it was."""
    again = Job.objects.filter(
        pk=job.pk, state__in=[Job.State.FAILED, Job.State.CANCELLED, Job.State.QUARANTINED]
    )
    try:
        with transaction.atomic():
            queued = again.update(
                state=Job.State.QUEUED,
                # The attempt is a fence and only grows: a worker of an old one may still be alive.
                max_attempts=F("attempt") + settings.JOB_ATTEMPTS,
                cancel_requested=False,
                error="",
                message="Queued again",
                finished_at=None,
                lease_until=None,
                run_at=None,
            )
    except IntegrityError:
        raise BadInput(_("The same work is already queued or running. Wait for it to end.")) from None
    if not queued:
        raise BadInput(_("Only a failed, cancelled or given-up job can be tried again."))
    job.refresh_from_db()
    transaction.on_commit(lambda: ring(job))
    return job


def reap() -> dict[str, int]:
    """Put right what got lost: expired leases, work that hangs, jobs given up, messages never heard.

    Safe to run twice, and in several places at once.
    """
    # Its process lives and renews the lease, but the work in it stands still: a dead lock, an endless loop.
    hung = Q(progress_at__lt=Now() - timedelta(seconds=settings.JOB_HANG_SECONDS))
    expired = Job.objects.filter(Q(lease_until__lt=Now()) | hung, state=Job.State.RUNNING)
    cancelled = expired.filter(cancel_requested=True).update(
        state=Job.State.CANCELLED, message="Cancelled", finished_at=Now(), lease_until=None
    )
    # One that is cancelled from here on is left to the next round.
    expired = expired.filter(cancel_requested=False)
    # An attempt that got on is no sign of a job that ends its worker: a long fill may lose many.
    expired.filter(done__gt=F("done_before")).update(
        max_attempts=F("max_attempts") + 1, done_before=F("done")
    )
    given_up = expired.filter(attempt__gte=F("max_attempts")).update(
        state=Job.State.QUARANTINED,
        finished_at=Now(),
        lease_until=None,
        message="Given up",
        error="It ended its worker, or stopped answering, at each try. See the log, then try again.",
    )
    requeued = expired.update(
        state=Job.State.QUEUED, lease_until=None, rung_at=None, message="Its worker went away; queued again"
    )
    unheard = Job.objects.filter(
        Q(run_at=None) | Q(run_at__lte=Now()),
        Q(rung_at=None) | Q(rung_at__lt=Now() - RING_AGAIN_AFTER),
        state=Job.State.QUEUED,
    )
    rung = 0
    for job in unheard:
        ring(job)
        rung += 1
    return {"cancelled": cancelled, "given_up": given_up, "requeued": requeued, "rung": rung}


def _held(job: Job) -> Any:
    """The row, if this attempt still holds it."""
    return Job.objects.filter(pk=job.pk, state=Job.State.RUNNING, attempt=job.attempt)


def _lease_end() -> Any:
    return Now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)
