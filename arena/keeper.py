"""Each Celery worker keeps the jobs: it puts lost ones right, and gives its own back when told to stop.

There is no separate scheduler to start, watch or lose: `jobs.reap` is safe to run in several
places at once, so every worker runs it every JOB_REAP_SECONDS in a thread of its own.
"""

import logging
import threading

from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import connection

log = logging.getLogger(__name__)

_stopped = threading.Event()


@worker_ready.connect
def start(**_: object) -> None:
    threading.Thread(target=keep, name="keeper", daemon=True).start()


@worker_shutting_down.connect
def give_back(**_: object) -> None:
    """The jobs of this worker stop at their next look at their lease and are queued again."""
    from arena.services import leases

    # First: what this worker rang for now, it would take from the queue itself, and not do.
    _stopped.set()
    leases.stop_all()


def keep() -> None:
    """Reap until the worker stops. What goes wrong (a database that restarts) is logged and tried again."""
    from arena.services import jobs

    try:
        while True:
            try:
                put_right = jobs.reap()
            except Exception:
                # A keeper that ended quietly would leave every lost job lost.
                log.exception("Lost jobs could not be looked for. Trying again.")
                connection.close()
            else:
                if any(put_right.values()):
                    log.info("Put right: %s", put_right)
            if _stopped.wait(settings.JOB_REAP_SECONDS):
                return
    finally:
        connection.close()
