"""Django's cache in files, with `add` and `incr` as one step among all threads and processes.

Django's own looks whether the key is there and writes afterwards; two that look at the same moment
both find it missing. The sign-in library builds its lock on `add`, and so on it the limit on guessing.
Of the other methods nothing more is promised than Django does: the last to write wins.
"""

import fcntl
import pickle
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.filebased import FileBasedCache

LOCK = "lock"  # its name has not the entries' ending, so that neither clearing nor culling takes it away


class FileCache(FileBasedCache):
    _dir: str
    _createdir: Callable[[], None]
    _key_to_file: Callable[..., str]

    def add(
        self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        with self._alone():
            return bool(super().add(key, value, timeout, version))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Unlike Django's, it leaves the time at which the entry ends as it is."""
        with self._alone():
            try:
                with Path(self._key_to_file(key, version)).open("rb") as file:
                    ends = self._end(file)
                    value = pickle.loads(zlib.decompress(file.read()))  # noqa: S301  (our own folder)
            except FileNotFoundError:
                ends, value = 0.0, 0
            if ends is not None and ends < time.time():
                raise ValueError(f"Key '{key}' not found")
            left = None if ends is None else ends - time.time()
            self.set(key, value + delta, left, version)
            return int(value + delta)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Held by one thread of one process; given back by the system where that process dies."""
        self._createdir()
        with (Path(self._dir) / LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _is_expired(self, f: IO[bytes]) -> bool:
        """Leaves an expired file where it is: by now it may be another one, just added under its name."""
        ends = self._end(f)
        return ends is not None and ends < time.time()

    def _end(self, file: IO[bytes]) -> float | None:
        try:
            return pickle.load(file)  # type: ignore[no-any-return]  # noqa: S301  (our own folder)
        except EOFError:
            return 0.0
