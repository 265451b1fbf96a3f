"""What a voter can answer to a battle, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arena.errors import BadBallot
from arena.models import Vote

WAYS = ("ranks", "best", "all_bad", "skip")
ONE_WAY = (
    'Answer in exactly one way: "ranks" with a rank for each response, "best" with the place of one, '
    '"all_bad" as true, or "skip" with a reason.'
)
LONGEST_REASON = 200


@dataclass(frozen=True)
class Ballot:
    """A checked answer. `ranks` go by slot position: 1 is best, equal is tied, None is not ranked."""

    kind: str
    ranks: tuple[int | None, ...] | None = None
    skip_reason: str = ""

    @classmethod
    def parse(cls, data: Mapping[str, Any], k: int) -> "Ballot":
        """Read {"ranks": [...]}, {"best": i}, {"all_bad": true} or {"skip": "reason"} for K slots.

        Ranks are kept as competition ranks: 1, 3, 3 becomes 1, 2, 2. Other keys are not looked
        at. Raises BadBallot with a sentence that says what is wrong.
        """
        given = [way for way in WAYS if data.get(way) is not None and data.get(way) is not False]
        if len(given) != 1:
            raise BadBallot(ONE_WAY)
        way, value = given[0], data[given[0]]
        if way == "ranks":
            return cls(Vote.Kind.RANKING, _competition_ranks(_checked_ranks(value, k)))
        if way == "best":
            return cls(Vote.Kind.BEST, _best_ranks(value, k))
        if way == "all_bad":
            if value is not True:
                raise BadBallot('"all_bad" can only be true.')
            return cls(Vote.Kind.ALL_BAD)
        return cls(Vote.Kind.SKIP, skip_reason=_reason(value))


def _checked_ranks(value: Any, k: int) -> list[int]:
    if not isinstance(value, list | tuple):
        raise BadBallot(f'"ranks" is a list with a whole number from 1 to {k} for each response.')
    if len(value) != k:
        raise BadBallot(f"There are {k} responses but {len(value)} ranks. Give each response one.")
    for position, rank in enumerate(value, start=1):
        if rank is None:
            raise BadBallot(f"Response {position} of {k} has no rank. Rank each one; equal ranks are ties.")
        if isinstance(rank, bool) or not isinstance(rank, int):
            raise BadBallot(f"The rank of response {position} is not a whole number.")
        if not 1 <= rank <= k:
            raise BadBallot(f"The rank of response {position} is {rank}; ranks go from 1 (best) to {k}.")
    return list(value)


def _competition_ranks(ranks: list[int]) -> tuple[int | None, ...]:
    """1 + the number of better ones: 1, 2, 2, 4 whatever numbers were used for the same order."""
    return tuple(1 + sum(other < rank for other in ranks) for rank in ranks)


def _best_ranks(value: Any, k: int) -> tuple[int | None, ...]:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < k:
        raise BadBallot(f'"best" is the place of one response, from 0 to {k - 1}.')
    return tuple(1 if position == value else None for position in range(k))


def _reason(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadBallot('"skip" is the reason in a few words, such as "I cannot judge this".')
    reason = " ".join(value.replace("\x00", "").split())
    if len(reason) > LONGEST_REASON:
        raise BadBallot(f"The reason is longer than {LONGEST_REASON} characters. Say it shorter.")
    return reason
