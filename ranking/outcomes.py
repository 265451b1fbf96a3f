"""The words for who won a pair, and their codes. One home, so that no unknown word becomes a tie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.columns import codes_of
from ranking.errors import BadVotes

FIRST, SECOND, TIE, ALL_BAD = 0, 1, 2, 3

# LMArena's releases write "tie (bothbad)"; its logs write "bothbad".
WINNER_WORDS: Mapping[str, int] = {
    "model_a": FIRST,
    "model_b": SECOND,
    "tie": TIE,
    "both_bad": ALL_BAD,
    "tie (bothbad)": ALL_BAD,
    "bothbad": ALL_BAD,
}


def outcome_codes(winners: Iterable[Any], words: Mapping[str, int] = WINNER_WORDS) -> NDArray[np.int8]:
    """Outcome codes (m,), 0 first wins, 1 second wins, 2 tie, 3 both bad, from words or from such codes.

    Raises BadVotes naming the first vote (from 0) whose word is not known.
    """
    if isinstance(winners, np.ndarray) and winners.dtype.kind in "iub":
        if winners.size and (winners.min() < FIRST or winners.max() > ALL_BAD):
            row = int(np.flatnonzero((winners < FIRST) | (winners > ALL_BAD))[0])
            raise BadVotes(f"has winner code {winners[row]}; the codes are 0, 1, 2 and 3.", vote=row)
        return winners.astype(np.int8, copy=False)
    codes, names = codes_of(winners)
    table = np.full(len(names) + 1, -1, dtype=np.int8)  # the last entry is for missing values, code -1
    for position, name in enumerate(names):
        known = words.get(name, name) if isinstance(name, str) else name
        if isinstance(known, int | np.integer) and not isinstance(known, bool) and FIRST <= known <= ALL_BAD:
            table[position] = known
    outcomes = table[codes]
    if (outcomes < 0).any():
        row = int(np.flatnonzero(outcomes < 0)[0])
        said = repr(names[codes[row]]) if codes[row] >= 0 else "no winner"
        accepted = ", ".join(dict.fromkeys(words))
        raise BadVotes(f"has {said} as its winner; the words are {accepted}.", vote=row)
    return outcomes
