"""How an answer came about, as the voter's own browser tells it: bounded, and hearsay.

Nothing here is refused: a clock that is wrong must not cost a vote. What is out of bounds is
cut to them and what is not understood is left out.
"""

from collections.abc import Mapping
from typing import Any

LONGEST_MS = 24 * 60 * 60 * 1000
MOST_REVISIONS = 10_000
DEVICES = ("mouse", "touch", "keyboard", "pen")
SCREENS = ("small", "medium", "large")


def read_timing(given: Any, k: int) -> dict[str, Any]:
    """{"first_ms", "revisions", "dwell_ms", "scroll", "device", "screen"}: what of it could be read.

    `dwell_ms` is by slot how long the response was on the screen; `scroll` by slot how much of
    it ever was, from 0 to 1.
    """
    if not isinstance(given, Mapping):
        return {}
    found: dict[str, Any] = {
        "first_ms": _bounded(given.get("first_ms"), LONGEST_MS),
        "revisions": _bounded(given.get("revisions"), MOST_REVISIONS),
        "dwell_ms": _each(given.get("dwell_ms"), k, LONGEST_MS),
        "scroll": _shares(given.get("scroll"), k),
        "device": given.get("device") if given.get("device") in DEVICES else None,
        "screen": given.get("screen") if given.get("screen") in SCREENS else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _bounded(value: Any, most: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return int(min(max(0, value), most))


def _each(value: Any, k: int, most: int) -> list[int] | None:
    if not isinstance(value, list) or len(value) != k:
        return None
    found = [_bounded(one, most) for one in value]
    return [one for one in found if one is not None] if None not in found else None


def _shares(value: Any, k: int) -> list[float] | None:
    thousandths = _each([one * 1000 for one in value], k, 1000) if _numbers(value) else None
    return None if thousandths is None else [one / 1000 for one in thousandths]


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in value
    )
