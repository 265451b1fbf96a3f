"""A circuit breaker for each address: a server that fails again and again is left alone for a while.

Shared by everything in this process that asks the address, so that the failures of one job spare
the next one, and other addresses go on.
"""

import threading
import time
from collections.abc import Callable

from gpu_workers.backends.base import BackendError

# Broken so often in a row without one answer in between, and the work ends.
GIVEN_UP_AFTER = 4


class Breaker:
    """Counts failures in a row. `after` of them break the circuit for `rest` seconds, then twice that."""

    def __init__(
        self, address: str, *, after: int, rest: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.address = address
        self._after = after
        self._rest = rest
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._breaks = 0
        self._until = 0.0
        self._last = ""

    def wait(self, ended: threading.Event) -> None:
        """Return when a request may go out, or the work was ended. Raises BackendError when given up."""
        while not ended.is_set():
            with self._lock:
                left = self._until - self._clock()
                if self._breaks >= GIVEN_UP_AFTER:
                    # The next job begins anew; this one ends.
                    self._breaks = self._failures = 0
                    self._until = 0.0
                    raise BackendError(f"The endpoint {self.address} is left alone. {self._last}")
                if left <= 0:
                    if self._breaks:
                        # One goes out to see; the others wait for what becomes of it.
                        self._until = self._clock() + self._rest
                    return
            ended.wait(min(left, 1.0))

    def failed(self, sentence: str) -> None:
        with self._lock:
            self._last = sentence
            self._failures += 1
            if self._failures >= self._after or self._breaks:
                self._failures = 0
                self._breaks += 1
                self._until = self._clock() + self._rest * 2 ** (self._breaks - 1)

    def worked(self) -> None:
        with self._lock:
            self._failures = self._breaks = 0
            self._until = 0.0


_breakers: dict[str, Breaker] = {}
_lock = threading.Lock()


def breaker_of(address: str, *, after: int, rest: float) -> Breaker:
    """The breaker of this address in this process."""
    with _lock:
        return _breakers.setdefault(address, Breaker(address, after=after, rest=rest))


def forget() -> None:
    """Close every circuit. For tests."""
    with _lock:
        _breakers.clear()
