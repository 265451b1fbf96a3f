"""A pattern of ties as a sequence of choices, worked out once per pattern.

Plackett-Luce reads a strict order as choosing the best of all, then the best of the rest, and so on.
Among t tied contestants, half wins generalise to the mean of the log-likelihood over all t! orders in
which they could have been written down. That mean needs only the 2^t subsets that can remain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from ranking.errors import BadVotes

Stage = tuple[tuple[int, ...], float]  # the columns still to be chosen from, and the weight of the choice

# 2^t subsets of a tie of t: beyond this a vote costs more than it tells.
LARGEST_TIE = 10
# Subsets up to the largest tie size among the contestants of one choice (Davidson-Luce).
LARGEST_CHOICE = 4096


@lru_cache(maxsize=4096)
def plackett_luce_stages(sizes: tuple[int, ...], width: int) -> tuple[Stage, ...]:
    """The choices of a vote whose tied groups, best first, have `sizes`; the rest of `width` is unranked."""
    stages: list[Stage] = []
    start = 0
    for size in sizes:
        if size > LARGEST_TIE:
            raise BadVotes(f"A vote ties {size} models; this model takes ties of up to {LARGEST_TIE}.")
        tied = range(start, start + size)
        below = tuple(range(start + size, width))
        for remaining in range(size, 0, -1):
            for subset in combinations(tied, remaining):
                if len(subset) + len(below) > 1:  # one candidate left is no choice
                    stages.append((subset + below, 1.0 / comb(size, remaining)))
        start += size
    return tuple(stages)


@lru_cache(maxsize=4096)
def tied_choices(start: int, width: int, tie_sizes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Every set that can be chosen from columns start .. width-1: one, or as many as a known tie size."""
    rest = range(start, width)
    allowed = [size for size in (1, *tie_sizes) if size <= len(rest)]
    if sum(comb(len(rest), size) for size in allowed) > LARGEST_CHOICE:
        raise BadVotes(
            f"Ties of {max(allowed)} among {len(rest)} models have too many cases for a tie strength; "
            "use plackett-luce, which shares the win."
        )
    return tuple(subset for size in allowed for subset in combinations(rest, size))


@dataclass(frozen=True)
class ChoiceSums:
    """What a choice among columns start .. width-1 needs of its S subsets' probabilities p: matrix @ p.

    The rows are: per column the mean share 1 / size of the chosen set it is in, per size of tie its
    probability, per pair of columns the mean product of their shares, per column and size of tie the mean
    share within such ties.
    """

    subsets: tuple[tuple[int, ...], ...]
    matrix: NDArray[np.float64]


@lru_cache(maxsize=4096)
def choice_sums(start: int, width: int, tie_sizes: tuple[int, ...]) -> ChoiceSums:
    """The subsets that can be chosen from columns start .. width-1, and the sums over them."""
    subsets = tied_choices(start, width, tie_sizes)
    size = np.array([len(subset) for subset in subsets])
    share = np.array([[column in subset for subset in subsets] for column in range(start, width)]) / size
    tied = np.array([size == tie for tie in tie_sizes], dtype=np.float64).reshape(-1, len(subsets))
    c, d = np.triu_indices(width - start, 1)
    within = (share[:, np.newaxis] * tied).reshape(-1, len(subsets))
    return ChoiceSums(subsets, np.concatenate([share, tied, share[c] * share[d], within]))
