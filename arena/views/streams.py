"""Server-sent events for pages: a word whenever something changed, and nothing that needs guarding.

Each open stream holds one of the web server's threads, so there are few, and each ends after a
minute (the browser comes again by itself). A page without one asks every two seconds instead.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterator

from django.conf import settings

LIFETIME = 60.0
HEARTBEAT = 15.0
LOOK_EVERY = 1.0


class _Streams:
    """Places for streams in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.open = 0

    def take(self) -> bool:
        with self._lock:
            if self.open >= settings.JOB_STREAMS:
                return False
            self.open += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self.open -= 1


STREAMS = _Streams()


class changes:
    """The events of one stream, whose place was taken. `mark` gives a value that differs after a change.

    A class and not a generator: one that is never begun would never give its place back.
    """

    def __init__(self, mark: Callable[[], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._mark = mark
        self._clock = clock
        self._events = self._make()
        self._left = False

    def __iter__(self) -> Iterator[bytes]:
        return self._events

    def close(self) -> None:
        """Called by the server in the end, whatever became of the stream."""
        if not self._left:
            self._left = True
            self._events.close()
            STREAMS.leave()

    def _make(self) -> Generator[bytes]:
        began = spoken = self._clock()
        last = self._mark()
        yield b"retry: 2000\n\n"
        while self._clock() - began < LIFETIME:
            time.sleep(LOOK_EVERY)
            now = self._mark()
            if now != last:
                last, spoken = now, self._clock()
                yield b"event: changed\ndata: jobs\n\n"
            elif self._clock() - spoken >= HEARTBEAT:
                spoken = self._clock()
                yield b": still here\n\n"
