"""What a child process says: JSON objects on standard output, a line each, and nothing else there."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_kept: list[TextIO] = []


def say(event: str, **values: Any) -> None:
    """Print one progress line."""
    line = json.dumps({"event": event, **values}, ensure_ascii=False) + "\n"
    out = _kept[-1] if _kept else sys.stdout
    # In one piece: of several processes that share the output none may come between.
    out.write(line)
    out.flush()


@contextmanager
def alone_on_standard_output() -> Iterator[None]:
    """Meanwhile what others print, libraries that log there as they are imported, goes to standard error."""
    _kept.append(sys.stdout)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = _kept.pop()
