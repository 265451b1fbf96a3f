"""Whether each queue is served: a canary is sent every minute, and must come out at the other end.

A worker's process may live and hear nothing: after a broker's restart a connection can be dead
on one side only. So it is not processes that are asked, but a message that makes the whole way.
"""

from datetime import datetime, timedelta

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import ChannelError, KombuError
from redis.exceptions import RedisError

from arena.celery import app
from arena.models import Canary, Job
from arena.services.jobs import QUEUES, TASKS

EVERY = timedelta(seconds=60)
TOO_LONG = timedelta(seconds=180)
TASK = "arena.tasks.hear_canary"


def send_canaries() -> int:
    """Send each queue its canary where the last one is a minute old. Of many who ask, one sends."""
    Canary.objects.bulk_create([Canary(queue=queue) for queue in QUEUES], ignore_conflicts=True)
    sent = 0
    for queue in QUEUES:
        due = Q(sent_at=None) | Q(sent_at__lt=Now() - EVERY)
        if Canary.objects.filter(due, queue=queue).update(sent_at=Now()):
            try:
                app.send_task(TASK, args=[queue], queue=queue, expires=EVERY.total_seconds(), retry=False)
            except (KombuError, ChannelError, RedisError, OSError):
                continue  # that it is not heard says enough
            sent += 1
    return sent


def hear(*, queue: str, worker: str) -> None:
    Canary.objects.filter(queue=queue).update(heard_at=Now(), worker=worker[:120])


def queue_faults(now: datetime | None = None) -> dict[str, str]:
    """A sentence for each queue that no worker serves, "" for those that are well.

    A worker that is at a long job hears no canary: a job that makes progress counts as well.
    """
    now = now or timezone.now()
    heard = {one.queue: one.heard_at for one in Canary.objects.all()}
    busy = {
        TASKS[kind][1]
        for kind in Job.objects.filter(state=Job.State.RUNNING, lease_until__gt=now)
        .order_by()
        .values_list("kind", flat=True)
        .distinct()
    }
    return {queue: "" if queue in busy else _fault(queue, heard.get(queue), now) for queue in QUEUES}


def unserved() -> list[str]:
    """The sentences for queues in which jobs wait that nobody takes."""
    waiting = Job.objects.filter(state=Job.State.QUEUED).filter(Q(run_at=None) | Q(run_at__lte=Now()))
    kinds = waiting.order_by().values_list("kind", flat=True).distinct()
    queues = {TASKS[kind][1] for kind in kinds}
    faults = queue_faults()
    return [faults[queue] for queue in sorted(queues) if faults[queue]]


def _fault(queue: str, heard_at: datetime | None, now: datetime) -> str:
    if heard_at is None:
        return _("No worker has listened to the queue %(queue)s yet.") % {"queue": queue}
    if now - heard_at > TOO_LONG:
        minutes = int((now - heard_at).total_seconds() // 60)
        return _("No worker has listened to the queue %(queue)s for %(minutes)s minutes.") % {
            "queue": queue,
            "minutes": minutes,
        }
    return ""
