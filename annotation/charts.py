"""Where the bars of the lead's charts stand, in percent, for the SVG templates; no script draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from annotation.services.dashboard import Bars


@dataclass(frozen=True)
class Bar:
    """A bar in a frame of 100 × 100: never localised, since SVG reads it."""

    x: str
    y: str
    width: str
    height: str
    label: str
    count: int


@dataclass(frozen=True)
class BarChart:
    title: str
    bars: list[Bar]
    most: int
    first: str
    last: str


def bars_of(bars: Bars | None) -> BarChart | None:
    """Votes over time. None without any."""
    if bars is None:
        return None
    form = "DATETIME_FORMAT" if bars.unit == "hour" else "DATE_FORMAT"
    title = _("Votes per hour") if bars.unit == "hour" else _("Votes per day")
    return _chart(title, [_moment(at, form) for at in bars.at], bars.counts)


def histogram_of(counts: Sequence[int], ends: Sequence[int]) -> BarChart | None:
    """How long votes take. None without any."""
    if not sum(counts):
        return None
    begins = [0, *ends]
    labels = [
        _("%(low)s to %(high)s s") % {"low": low, "high": high}
        for low, high in zip(begins, ends, strict=False)
    ]
    labels.append(_("over %(low)s s") % {"low": ends[-1]})
    return _chart(_("Time per vote"), labels, counts)


def _moment(at: datetime, form: str) -> str:
    return date_format(at, form)


def _chart(title: str, labels: Sequence[str], counts: Sequence[int]) -> BarChart:
    most = max(counts) or 1
    step = 100.0 / len(counts)
    bars = [
        Bar(
            x=f"{step * (place + 0.1):.2f}%",
            y=f"{100 - 100 * count / most:.2f}%",
            width=f"{0.8 * step:.2f}%",
            height=f"{100 * count / most:.2f}%",
            label=label,
            count=count,
        )
        for place, (label, count) in enumerate(zip(labels, counts, strict=True))
    ]
    return BarChart(title, bars, max(counts), labels[0], labels[-1])
