"""Votes whose answers are printed in the literature, and the answers."""

from __future__ import annotations

import numpy as np

from ranking import Votes

# Stigler (1994), as in Turner and Firth (2012), table 1: row journal cited by column journal.
CITATIONS = Votes.from_counts(
    ["Biometrika", "CommStat", "JASA", "JRSS-B"],
    [[0, 730, 498, 221], [33, 0, 68, 17], [320, 813, 0, 142], [284, 276, 325, 0]],
)
CITATION_STRENGTHS = [0.0, -2.9491, -0.4796, 0.2690]
CITATION_FIRTH = [0.0, -2.9444, -0.4791, 0.2685]
CITATION_ERRORS = [0.1025, 0.0606, 0.0708]

# Davidson (1970): six brands of pudding; pair: wins of the first, of the second, ties.
_PUDDINGS = (
    "12:19,22,16 13:16,19,12 23:19,19,10 14:18,23,13 24:23,19,9 34:19,20,15 15:13,19,18 25:16,20,12 "
    "35:16,15,17 45:17,14,16 16:18,21,12 26:22,20,12 36:13,18,10 46:14,19,18 56:11,21,12"
)
PUDDING_WORTH = [0.1388, 0.1730, 0.1617, 0.1654, 0.1587, 0.2024]


def puddings() -> Votes:
    wins, ties = np.zeros((6, 6)), np.zeros((6, 6))
    for cell in _PUDDINGS.split():
        pair, numbers = cell.split(":")
        i, j = int(pair[0]) - 1, int(pair[1]) - 1
        wins[i, j], wins[j, i], ties[i, j] = (float(number) for number in numbers.split(","))
    return Votes.from_counts([f"pudding {place}" for place in range(1, 7)], wins, ties)


def toy(*, with_loser: bool) -> Votes:
    """A beats B, C beats A, B beats A, B beats C; with_loser adds A beats D."""
    first, second = list("ACBB"), list("BAAC")
    if with_loser:
        first, second = [*first, "A"], [*second, "D"]
    return Votes.from_pairs(first, second, ["model_a"] * len(first), models=sorted(set(first + second)))
