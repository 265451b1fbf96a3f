"""The board as a picture: one dot and interval per model, as a self-contained SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from statistics import median

from ranking.result import Row

ROW, TOP, LEFT, PLOT, RIGHT = 26, 44, 220, 560, 150
# Intervals reach over the edge, with an arrow, where they are this many times as wide as the middle one.
WIDE = 4.0
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1a1a1a}.t{font-weight:600;font-size:15px}.n{text-anchor:end}"
    ".m{text-anchor:middle;fill:#595959}.g{stroke:#ddd}.i{stroke:#2458a6;stroke-width:3;stroke-opacity:.5}"
    "circle{fill:#2458a6}.a{fill:#2458a6;fill-opacity:.5}"
)


def board_svg(rows: Sequence[Row], *, level: float) -> str:
    """An SVG document: models from the best down, rating with its interval, rank range at the right."""
    height = TOP + ROW * max(len(rows), 1) + 30
    width = LEFT + PLOT + RIGHT
    low, high = _edges(rows)
    span = (high - low) or 1.0

    def x(rating: float) -> float:
        return LEFT + PLOT * (rating - low) / span

    title = f"Leaderboard with {100 * level:g} % intervals and the ranks that may be true"
    body = [f'<text x="{LEFT}" y="22" class="t">{title}</text>']
    for tick in _ticks(low, high):
        body.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP - 8}" y2="{height - 24}" class="g"/>'
        )
        body.append(f'<text x="{x(tick):.1f}" y="{height - 8}" class="m">{tick:g}</text>')
    for place, row in enumerate(rows):
        y = TOP + ROW * place + ROW / 2
        label = f"{row.rating:.4g}" if span < 20 else f"{row.rating:.0f}"
        body.append(f'<text x="{LEFT - 10}" y="{y + 4:.1f}" class="n">{escape(_short(row.model))}</text>')
        reach = f'x1="{x(max(row.lower, low)):.1f}" x2="{x(min(row.upper, high)):.1f}"'
        body.append(f'<line {reach} y1="{y:.1f}" y2="{y:.1f}" class="i"/>')
        body += [_arrow(LEFT, y, -7)] * (row.lower < low) + [_arrow(LEFT + PLOT, y, 7)] * (row.upper > high)
        body.append(f'<circle cx="{x(row.rating):.1f}" cy="{y:.1f}" r="4"/>')
        places = _places(row)
        body.append(f'<text x="{LEFT + PLOT + 12}" y="{y + 4:.1f}">{label}, {places}</text>')
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">'
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def _edges(rows: Sequence[Row]) -> tuple[float, float]:
    """What the axis spans: all intervals, but of very wide ones only what leaves room for the others."""
    if not rows:
        return 0.0, 1.0
    most = WIDE * median(row.upper - row.lower for row in rows) / 2.0
    low = min(max(row.lower, row.rating - most) for row in rows)
    return low, max(min(row.upper, row.rating + most) for row in rows)


def _arrow(x: float, y: float, length: float) -> str:
    return f'<path d="M{x:.1f} {y - 5:.1f}l{length} 5l{-length} 5z" class="a"/>'


def _places(row: Row) -> str:
    if row.rank_lower == row.rank_upper:
        return f"rank {row.rank_lower}"
    return f"rank {row.rank_lower} to {row.rank_upper}"


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"


def _ticks(low: float, high: float) -> list[float]:
    """At most six round numbers between low and high."""
    span = (high - low) or 1.0
    power = 10.0 ** floor(log10(span / 6.0))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 6.0)
    return [round(step * place, 6) for place in range(ceil(low / step), floor(high / step) + 1)]
