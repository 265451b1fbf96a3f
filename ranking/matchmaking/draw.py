"""Drawing a group one contestant at a time, and the probability of what was drawn.

Gumbel noise on log-scores and taking the largest is the same as drawing with probability
proportional to the scores, so the probability of every step is known.  The probability of a
set is the sum over the orders in which its members could have come, found level by level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np

from ranking.matchmaking.weak_order import Floats, Ints

ATTEMPTS = 200

State = tuple[int, ...]


class DeadEnd(Exception):
    """The members drawn so far leave nobody who may join them."""


@dataclass(frozen=True)
class SequentialDraw:
    """A way to draw from c candidates: log-scores of how to start, and of who joins the members.

    The functions inside count candidates by their place in `ids`.
    """

    ids: Ints  # (c,) the contestants that can be drawn, in rising order
    start: Floats  # (c,) for one contestant to start with, (c, c) for a pair (upper triangle read)
    extend: Callable[[Ints, Floats], Floats]  # members (g, s), open (g, c) of 0 or -inf -> scores (g, c)
    forbidden: Floats | None  # (c, c): 0 where two may meet, -inf where not; None where all may
    anchored: bool = False  # whether `extend` looks at who came first
    alike: bool = False  # whether every set has the same chance

    def draw(self, k: int, rng: np.random.Generator) -> State:
        """k contestants, in the order drawn.  Raises DeadEnd when exclusions leave no way on."""
        for _ in range(ATTEMPTS):
            members = self._start(rng)
            while members is not None and len(members) < k:
                scores = self._scores([members])[0]
                pick = int(np.argmax(scores + rng.gumbel(size=len(scores))))
                members = (*members, pick) if np.isfinite(scores[pick]) else None
            if members is not None:
                return tuple(self.ids[list(members)].tolist())
        raise DeadEnd

    def probability(self, contestants: State) -> float:
        """Probability that one attempt ends with this set of contestants, in whatever order."""
        places = np.minimum(np.searchsorted(self.ids, contestants), len(self.ids) - 1)
        if (self.ids[places] != contestants).any():
            return 0.0
        if self.alike:
            return 1.0 / comb(len(self.ids), len(contestants))
        group = tuple(places.tolist())
        reached = self._start_probabilities(group)
        for _ in range(len(group) - len(next(iter(reached)))):
            states = list(reached)
            chances = _shares(self._scores(states))[:, group].tolist()  # (states, k)
            following: dict[State, float] = {}
            for state, row in zip(states, chances, strict=True):
                for member, chance in zip(group, row, strict=True):
                    if chance > 0.0:
                        after = self._canonical((*state, member))
                        following[after] = following.get(after, 0.0) + reached[state] * chance
            if not following:
                return 0.0
            reached = following
        return sum(reached.values())

    def _scores(self, states: list[State]) -> Floats:
        members = np.array(states)
        if self.forbidden is None:
            open_to = np.zeros((len(members), len(self.ids)))
            np.put_along_axis(open_to, members, -np.inf, axis=1)
        else:
            open_to = self.forbidden[members].sum(axis=1)  # (g, c)
        scores = self.extend(members, open_to)
        return np.where(np.isfinite(open_to), scores, -np.inf)

    def _start(self, rng: np.random.Generator) -> State | None:
        scores = self._start_scores()
        pick = int(np.argmax(scores + rng.gumbel(size=len(scores))))
        if not np.isfinite(scores[pick]):
            return None
        if self.start.ndim == 1:
            return (pick,)
        first, second = _pairs(len(self.start))
        return int(first[pick]), int(second[pick])

    def _start_scores(self) -> Floats:
        """Log-scores of the contestants (c,) or the pairs (c (c - 1) / 2,) to start with."""
        if self.start.ndim == 1:
            return self.start
        upper = _pairs(len(self.start))
        return self.start[upper] + (0.0 if self.forbidden is None else self.forbidden[upper])

    def _start_probabilities(self, group: State) -> dict[State, float]:
        shares = _shares(self._start_scores()[None, :])[0]
        size = self.start.ndim
        count = len(self.start)
        found = {}
        for start in combinations(sorted(group), size):
            # Row by row, pair (i, j) of c follows i (2 c - i - 1) / 2 earlier ones.
            at = (
                start[0]
                if size == 1
                else start[0] * (2 * count - start[0] - 1) // 2 + start[1] - start[0] - 1
            )
            found[start] = float(shares[at])
        return found

    def _canonical(self, members: State) -> State:
        if self.anchored:
            return (members[0], *sorted(members[1:]))
        return tuple(sorted(members))


@lru_cache(maxsize=8)
def _pairs(count: int) -> tuple[Ints, Ints]:
    """The pairs (i, j), i < j, of `count`, row by row."""
    first, second = np.triu_indices(count, 1)
    return first.astype(np.int64), second.astype(np.int64)


def _shares(scores: Floats) -> Floats:
    """Softmax of each row; a row of -inf has no shares at all."""
    top = scores.max(axis=-1, keepdims=True)
    raised = np.exp(scores - np.where(np.isfinite(top), top, 0.0))
    total = raised.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(raised, total, out=np.zeros_like(raised), where=total > 0.0))
