"""Drawing a group one contestant at a time, and the probability of what was drawn.

Gumbel noise on log-scores and taking the largest is the same as drawing with probability
proportional to the scores, so the probability of every step is known.  The probability of a
set is the sum over the orders in which its members could have come, found level by level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import logsumexp

from ranking.matchmaking.weak_order import Floats, Ints

ATTEMPTS = 200

State = tuple[int, ...]


class DeadEnd(Exception):
    """The members drawn so far leave nobody who may join them."""


@dataclass(frozen=True)
class SequentialDraw:
    """A way to draw: log-scores of how to start, and of who joins the members so far."""

    start: Floats  # (c,) for one contestant to start with, (c, c) for a pair (upper triangle read)
    extend: Callable[[Ints, Floats], Floats]  # members (g, s), open (g, c) of 0 or -inf -> scores (g, c)
    allowed: Floats  # (c, c): 0 where two may meet, -inf where not and on the diagonal
    anchored: bool = False  # whether `extend` looks at who came first

    def draw(self, k: int, rng: np.random.Generator) -> State:
        """One group of k, in the order drawn.  Raises DeadEnd when exclusions leave no way on."""
        for _ in range(ATTEMPTS):
            members = self._start(rng)
            while members is not None and len(members) < k:
                scores = self._scores([members])[0]
                pick = int(np.argmax(scores + rng.gumbel(size=len(scores))))
                members = (*members, pick) if np.isfinite(scores[pick]) else None
            if members is not None:
                return members
        raise DeadEnd

    def probability(self, group: State) -> float:
        """Probability that one attempt ends with the set `group`, in whatever order."""
        reached = self._start_probabilities(group)
        for _ in range(len(group) - len(next(iter(reached)))):
            states = list(reached)
            scores = self._scores(states)
            following: dict[State, float] = {}
            for state, row in zip(states, scores, strict=True):
                if not np.isfinite(row).any():
                    continue
                total = logsumexp(row)
                for member in set(group) - set(state):
                    if not np.isfinite(row[member]):
                        continue
                    after = self._canonical((*state, member))
                    chance = reached[state] * float(np.exp(row[member] - total))
                    following[after] = following.get(after, 0.0) + chance
            if not following:
                return 0.0
            reached = following
        return sum(reached.values())

    def _scores(self, states: list[State]) -> Floats:
        members = np.array(states)
        open_to = self.allowed[members].sum(axis=1)  # (g, c)
        scores = self.extend(members, open_to)
        return np.where(np.isfinite(open_to), scores, -np.inf)

    def _start(self, rng: np.random.Generator) -> State | None:
        noisy = self._start_scores() + rng.gumbel(size=self.start.shape)
        flat = int(np.argmax(noisy))
        if not np.isfinite(noisy.flat[flat]):
            return None
        if self.start.ndim == 1:
            return (flat,)
        return self._canonical(divmod(flat, len(self.start)))

    def _start_scores(self) -> Floats:
        if self.start.ndim == 1:
            return self.start
        upper = np.triu(np.ones(self.start.shape, dtype=bool), 1)
        return np.where(upper, self.start + self.allowed, -np.inf)

    def _start_probabilities(self, group: State) -> dict[State, float]:
        scores = self._start_scores()
        total = logsumexp(scores)
        size = scores.ndim
        return {start: float(np.exp(scores[start] - total)) for start in combinations(sorted(group), size)}

    def _canonical(self, members: State) -> State:
        if self.anchored:
            return (members[0], *sorted(members[1:]))
        return tuple(sorted(members))
