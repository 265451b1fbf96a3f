"""The board as a picture: one dot and interval per model, as a self-contained SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10

from ranking.result import Row

ROW, TOP, LEFT, PLOT, RIGHT = 26, 44, 220, 560, 150
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1a1a1a}.t{font-weight:600;font-size:15px}.n{text-anchor:end}"
    ".m{text-anchor:middle;fill:#595959}.g{stroke:#ddd}.i{stroke:#2458a6;stroke-width:3;stroke-opacity:.5}"
    "circle{fill:#2458a6}"
)


def board_svg(rows: Sequence[Row], *, level: float) -> str:
    """An SVG document: models from the best down, rating with its interval, rank range at the right."""
    height = TOP + ROW * max(len(rows), 1) + 30
    width = LEFT + PLOT + RIGHT
    low = min((row.lower for row in rows), default=0.0)
    high = max((row.upper for row in rows), default=1.0)
    span = (high - low) or 1.0

    def x(rating: float) -> float:
        return LEFT + PLOT * (rating - low) / span

    title = f"Leaderboard with {100 * level:g} % intervals"
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
        reach = f'x1="{x(row.lower):.1f}" x2="{x(row.upper):.1f}"'
        body.append(f'<line {reach} y1="{y:.1f}" y2="{y:.1f}" class="i"/>')
        body.append(f'<circle cx="{x(row.rating):.1f}" cy="{y:.1f}" r="4"/>')
        places = f"rank {row.rank_lower} to {row.rank_upper}"
        body.append(f'<text x="{LEFT + PLOT + 12}" y="{y + 4:.1f}">{label}, {places}</text>')
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">'
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"


def _ticks(low: float, high: float) -> list[float]:
    """At most six round numbers between low and high."""
    span = (high - low) or 1.0
    power = 10.0 ** floor(log10(span / 6.0))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 6.0)
    return [round(step * place, 6) for place in range(ceil(low / step), floor(high / step) + 1)]
