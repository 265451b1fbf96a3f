"""Each Celery worker keeps the jobs: it puts lost ones right, and gives its own back when told to stop.

There is no separate scheduler to start, watch or lose: `jobs.reap` is safe to run in several
places at once, so every worker runs it every JOB_REAP_SECONDS in a thread of its own.
"""

import logging
import os
import threading

from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

log = logging.getLogger(__name__)

POST_SECONDS = 2.0

_stopped = threading.Event()
# Each held by a thread of this module while it is in the database. A pool that forks (prefork) in that moment
# would give its child SQLite's and the log's locks as they are then: held by a thread that the child
# has not got, so that it waits for ever. A fork waits until nobody is in the database.
_keeping, _posting = threading.RLock(), threading.RLock()
for _inside in (_keeping, _posting):
    os.register_at_fork(
        before=_inside.acquire, after_in_parent=_inside.release, after_in_child=_inside.release
    )


_chores: list[str] = []


def also_do(path: str) -> None:
    """Name a function of another package that each round calls. It must be safe to run in several places."""
    if path not in _chores:
        _chores.append(path)


@worker_ready.connect
def start(**_: object) -> None:
    from arena.services import leases

    leases.allow_exit()
    threading.Thread(target=keep, name="keeper", daemon=True).start()
    threading.Thread(target=post, name="postman", daemon=True).start()


@worker_shutting_down.connect
def give_back(**_: object) -> None:
    """The jobs of this worker stop at their next look at their lease and are queued again."""
    from arena.services import leases

    # First: what this worker rang for now, it would take from the queue itself, and not do.
    _stopped.set()
    leases.stop_all()


def keep() -> None:
    """Reap until the worker stops. What goes wrong (a database that restarts) is logged and tried again."""
    from arena.services import canaries, jobs

    try:
        while True:
            with _keeping:
                try:
                    put_right = jobs.reap()
                    canaries.send_canaries()
                    for path in _chores:
                        import_string(path)()
                except Exception:
                    # A keeper that ended quietly would leave every lost job lost.
                    log.exception("Lost jobs could not be looked for. Trying again.")
                else:
                    if any(put_right.values()):
                        log.info("Put right: %s", put_right)
                # Nor shall a child of a fork inherit an open connection.
                connection.close()
            if _stopped.wait(settings.JOB_REAP_SECONDS):
                return
    finally:
        connection.close()


def post() -> None:
    """Send what webhooks wait for until the worker stops. A thread of its own: receivers may be slow."""
    from arena.services import webhooks

    rounds = 0
    try:
        while not _stopped.wait(POST_SECONDS):
            with _posting:
                try:
                    while webhooks.deliver_due() and not _stopped.is_set():
                        pass
                    if rounds % 1000 == 0:
                        webhooks.forget_old()
                    rounds += 1
                except Exception:
                    # As above: one fault of the database must not end all messages.
                    log.exception("Webhooks could not be sent. Trying again.")
                connection.close()
    finally:
        connection.close()
