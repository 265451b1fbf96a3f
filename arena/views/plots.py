"""Where things are drawn: places in percent and paths for the SVG templates, so that no script draws."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import Any


@dataclass(frozen=True)
class Tick:
    place: str  # percent along the axis
    label: str


@dataclass(frozen=True)
class Axis:
    low: float
    high: float
    ticks: tuple[Tick, ...]

    def place(self, value: float) -> str:
        """Percent along the axis, as an SVG length: never localised, never out of the frame."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(1.0, max(0.0, share)):.2f}%"


def interval_axis(rows: Sequence[Mapping[str, Any]]) -> Axis | None:
    """An axis that holds every finite interval, with at most six round ticks. None without any."""
    ends = [row[end] for row in rows for end in ("lower", "rating", "upper") if _known(row[end])]
    if not ends:
        return None
    low, high = min(ends), max(ends)
    margin = max(1.0, 0.04 * (high - low))
    low, high = low - margin, high + margin
    step = _round_step((high - low) / 5)
    values = [step * n for n in range(ceil(low / step), floor(high / step) + 1)]
    axis = Axis(low, high, ())
    return Axis(low, high, tuple(Tick(axis.place(value), f"{value:g}") for value in values))


def with_places(rows: Iterable[Mapping[str, Any]], axis: Axis | None) -> list[dict[str, Any]]:
    """The rows with `left`, `middle` and `right`: where their interval is drawn; None where unknown."""
    placed = []
    for row in rows:
        known = axis is not None and all(_known(row[end]) for end in ("lower", "rating", "upper"))
        places = (
            {
                "left": axis.place(row["lower"]),
                "middle": axis.place(row["rating"]),
                "right": axis.place(row["upper"]),
            }
            if axis is not None and known
            else {"left": None, "middle": None, "right": None}
        )
        placed.append({**row, **places})
    return placed


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _round_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5 or 10 times a power of ten that is not below `rough`."""
    power = 10.0 ** floor(log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
