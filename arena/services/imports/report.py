"""What every import has in common: what it tells at the end, and faults with their line."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from arena.errors import BadInput, BadRow

T = TypeVar("T")
Progress = Callable[[int], None]


def no_progress(rows: int) -> None:
    """For callers that need not know how far an import is."""


@dataclass
class ImportReport:
    """What a file held: its rows, how many were new, how many were there already, and notes."""

    rows: int = 0
    added: int = 0
    there_already: int = 0
    notes: Counter[str] = field(default_factory=Counter)


@contextmanager
def at_line(line: int) -> Iterator[None]:
    """Name the line of the file in whatever is found wrong with its row."""
    try:
        yield
    except BadRow:
        raise
    except BadInput as error:
        raise BadRow(line, str(error)) from None


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
