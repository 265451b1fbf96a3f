"""Work that the answer to a request need not wait for: done in the same thread when it has been sent.

For what is cheap to lose and is done again by whoever needs it; everything else is a job. Outside of
requests (a command, a task) it is done at once.
"""

import logging
from collections.abc import Callable
from threading import local
from typing import Any

from django.core.signals import request_finished, request_started

log = logging.getLogger(__name__)


class _Thread(local):
    """What this thread owes; None where it is not answering a request."""

    waiting: dict[str, Callable[[], Any]] | None = None


_thread = _Thread()


def do_afterwards(key: str, work: Callable[[], Any]) -> None:
    """Call `work` once the answer is on its way. Of several with one key the first is done."""
    if _thread.waiting is None:
        work()
    else:
        _thread.waiting.setdefault(key, work)


def connect() -> None:
    """Called once, when Django is set up."""
    request_started.connect(_begin, dispatch_uid="afterwards")
    request_finished.connect(_finish, dispatch_uid="afterwards")


def _begin(**_kwargs: object) -> None:
    _thread.waiting = {}


def _finish(**_kwargs: object) -> None:
    waiting, _thread.waiting = _thread.waiting or {}, None
    for key, work in waiting.items():
        try:
            work()
        except Exception:
            # Nobody is left to be told. What was to be renewed is renewed at the next request.
            log.exception("%s failed after its request was answered.", key)
