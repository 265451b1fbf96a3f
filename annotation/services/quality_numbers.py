"""Counts and sums by voter that the quality report is made of. Numbers only; no judgement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp

import numpy as np
from numpy.typing import NDArray

from annotation.services.vote_facts import NO_TIME, Facts
from arena.models import Vote
from arena.models.arenas import LARGEST_BATTLE

HOUR = 3600.0
# Too fast is below a fifth of the arena's median time, within these bounds.
FAST_SHARE, FAST_LEAST_MS, FAST_MOST_MS = 0.2, 1000, 5000


@dataclass
class Counts:
    """What one voter did."""

    votes: int = 0
    skips: int = 0
    all_bad: int = 0
    abandoned: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    hours: set[int] = field(default_factory=set)
    ms: list[int] = field(default_factory=list)
    fast: int = 0
    # Votes with one best: how often it was in each slot, and how often by chance.
    single: int = 0
    slots: list[int] = field(default_factory=lambda: [0] * LARGEST_BATTLE)
    by_chance: list[float] = field(default_factory=lambda: [0.0] * LARGEST_BATTLE)
    # Votes with one best and one longest response.
    measured: int = 0
    longest: int = 0
    longest_expected: float = 0.0

    @property
    def served(self) -> int:
        return self.votes + self.abandoned

    @property
    def left(self) -> int:
        """Battles that were shown and ended without a judgement."""
        return self.skips + self.abandoned

    @property
    def per_hour(self) -> float | None:
        """Votes in an hour in which there were any."""
        return self.votes / len(self.hours) if self.hours else None


def fast_below(ms: NDArray[np.int64]) -> int:
    """Milliseconds below which a vote of this arena is too fast to have been read for."""
    known = ms[ms != NO_TIME]
    if not len(known):
        return FAST_LEAST_MS
    return int(min(FAST_MOST_MS, max(FAST_LEAST_MS, FAST_SHARE * float(np.median(known)))))


def counts_by_voter(
    facts: Facts,
    *,
    abandoned: Mapping[int, int],
    lengths: Mapping[tuple[int, int], float],
    strengths: Mapping[int, float],
) -> dict[int, Counts]:
    """Everybody's counts. `strengths` are on the natural-log scale, by contestant."""
    limit = fast_below(facts.ms)
    found: dict[int, Counts] = {}
    for vote, at, ms in zip(facts.votes, facts.at.tolist(), facts.ms.tolist(), strict=True):
        counts = found.setdefault(vote.voter, Counts(first_at=at, abandoned=abandoned.get(vote.voter, 0)))
        counts.votes += 1
        counts.last_at = at
        counts.hours.add(int(at // HOUR))
        counts.skips += vote.kind == Vote.Kind.SKIP
        counts.all_bad += vote.kind == Vote.Kind.ALL_BAD
        if ms != NO_TIME:
            counts.ms.append(ms)
            counts.fast += ms < limit
        if vote.ranks is not None:
            best = [slot for slot, rank in enumerate(vote.ranks) if rank == 1]
            if len(best) == 1:
                _note_best(counts, best[0], vote.group, vote.prompt, lengths, strengths)
    return found


def _note_best(
    counts: Counts,
    best: int,
    group: Sequence[int],
    prompt: int | None,
    lengths: Mapping[tuple[int, int], float],
    strengths: Mapping[int, float],
) -> None:
    counts.single += 1
    counts.slots[best] += 1
    for slot in range(len(group)):
        counts.by_chance[slot] += 1.0 / len(group)
    if prompt is None:
        return
    known = [lengths.get((prompt, one)) for one in group]
    most = max((length for length in known if length is not None), default=None)
    if None in known or most is None or known.count(most) != 1:
        return
    longest = known.index(most)
    weights = [exp(strengths.get(one, 0.0)) for one in group]
    counts.measured += 1
    counts.longest += longest == best
    counts.longest_expected += weights[longest] / sum(weights)
