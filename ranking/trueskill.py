"""TrueSkill (Herbrich, Minka and Graepel 2007) for free-for-alls: expectation propagation along the order.

Performance is skill plus noise; neighbours in the order differ by more than the draw margin, or by less
when tied. With two contestants one pass is exact; with more the messages go up and down the chain of
differences until they rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, log, pi, sqrt

from scipy.special import log_ndtr, ndtri

NOISE = 25.0 / 6.0
DYNAMICS = 25.0 / 300.0
DRAW_PROBABILITY = 0.10
MOST_SWEEPS = 50
REST = 1e-6


def trueskill_update(
    mean: Sequence[float], sd: Sequence[float], levels: Sequence[int], *, noise: float = NOISE,
    dynamics: float = DYNAMICS, draw_probability: float = DRAW_PROBABILITY,
) -> tuple[list[float], list[float]]:  # fmt: skip
    """New means and standard deviations of contestants that finished at `levels` (0 is best)."""
    order = sorted(range(len(mean)), key=lambda place: levels[place])
    margin = float(ndtri(0.5 * (draw_probability + 1.0))) * sqrt(2.0) * noise
    spread = [sd[place] ** 2 + dynamics**2 for place in order]
    # Performance in natural parameters: precision and precision times mean, before any difference is seen.
    own = [
        (1.0 / (v + noise**2), mean[place] / (v + noise**2)) for v, place in zip(spread, order, strict=True)
    ]
    tied = [levels[a] == levels[b] for a, b in pairwise(order)]
    messages = _propagate(own, tied, margin)
    new_mean, new_sd = list(mean), list(sd)
    for place, i in enumerate(order):
        precision = sum(message[0] for message in messages[place])
        shift = sum(message[1] for message in messages[place])
        # Through the noise back to the skill: a message N(m, 1/p) becomes N(m, 1/p + noise^2).
        back = precision / (1.0 + precision * noise**2)
        pulled = shift / (1.0 + precision * noise**2)
        total = 1.0 / spread[place] + back
        new_mean[i] = (mean[i] / spread[place] + pulled) / total
        new_sd[i] = sqrt(1.0 / total)
    return new_mean, new_sd


Message = tuple[float, float]  # precision, precision times mean


def _propagate(own: Sequence[Message], tied: Sequence[bool], margin: float) -> list[list[Message]]:
    """What the differences tell each performance: for every place the messages from above and below."""
    n = len(own)
    messages: list[list[Message]] = [[(0.0, 0.0), (0.0, 0.0)] for _ in range(n)]
    for _ in range(MOST_SWEEPS):
        moved = 0.0
        down = list(range(n - 1))
        for d in down + down[-2::-1]:
            upper = _sum(own[d], messages[d][0])  # all but the difference's own message
            lower = _sum(own[d + 1], messages[d + 1][1])
            to_upper, to_lower = _difference(upper, lower, tied=tied[d], margin=margin)
            old = messages[d][1], messages[d + 1][0]
            messages[d][1], messages[d + 1][0] = to_upper, to_lower
            for new, before in zip((to_upper, to_lower), old, strict=True):
                moved = max(moved, abs(new[0] - before[0]), abs(new[1] - before[1]))
        if moved < REST or n == 2:
            break
    return messages


def _sum(one: Message, other: Message) -> Message:
    return one[0] + other[0], one[1] + other[1]


def _difference(upper: Message, lower: Message, *, tied: bool, margin: float) -> tuple[Message, Message]:
    """Truncate the difference of two performances and tell each what follows."""
    mean = upper[1] / upper[0] - lower[1] / lower[0]
    variance = 1.0 / upper[0] + 1.0 / lower[0]
    c = sqrt(variance)
    v, w = draw_moments(mean / c, margin / c) if tied else win_moments((mean - margin) / c)
    w = min(w, 1.0 - 1e-9)
    # The truncated difference in natural parameters, less what went in.
    precision = w / (variance * (1.0 - w))
    shift = precision * mean + v / (c * (1.0 - w))
    if precision <= 0.0:
        return (0.0, 0.0), (0.0, 0.0)
    said = shift / precision
    to_upper = 1.0 / (1.0 / precision + 1.0 / lower[0])
    to_lower = 1.0 / (1.0 / precision + 1.0 / upper[0])
    return (
        (to_upper, to_upper * (said + lower[1] / lower[0])),
        (to_lower, to_lower * (upper[1] / upper[0] - said)),
    )


def win_moments(x: float) -> tuple[float, float]:
    """V and W of a win, phi(x) / Phi(x) and V (V + x), stable far out in the tail."""
    v = exp(-0.5 * x * x - 0.5 * log(2.0 * pi) - float(log_ndtr(x)))
    return v, v * (v + x)


def draw_moments(x: float, margin: float) -> tuple[float, float]:
    """V and W of a draw: a unit normal at x truncated to within the margin of zero."""
    size = abs(x)
    above, below = margin - size, -margin - size
    mass = exp(float(log_ndtr(above))) - exp(float(log_ndtr(below)))
    if mass < 1e-300:
        return (above if x >= 0 else -above), 1.0
    up, low = (exp(-0.5 * end * end) / sqrt(2.0 * pi) for end in (above, below))
    v = (low - up) / mass
    w = v * v + (above * up - below * low) / mass
    return (v if x >= 0 else -v), w
