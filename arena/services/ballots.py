"""What a voter can answer to a battle, read and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.errors import BadBallot
from arena.models import Vote

WAYS = ("ranks", "best", "strength", "all_bad", "skip")
ONE_WAY = gettext_lazy(
    'Answer in exactly one way: "ranks" with a rank for each response, "best" with the place of one, '
    '"strength" from -3 to 3 between two, "all_bad" as true, or "skip" with a reason.'
)
LONGEST_REASON = 200


@dataclass(frozen=True)
class Ballot:
    """A checked answer. `ranks` go by slot position: 1 is best, equal is tied, None is not ranked.

    `strength` compares two: -3 is "the first is much better", 0 a tie, 3 "the second is much better".
    """

    kind: str
    ranks: tuple[int | None, ...] | None = None
    skip_reason: str = ""
    strength: int | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any], k: int) -> "Ballot":
        """Read {"ranks": [...]}, {"best": i}, {"strength": s}, {"all_bad": true} or {"skip": "reason"}.

        Ranks are kept as competition ranks: 1, 3, 3 becomes 1, 2, 2. Other keys are not looked
        at. Raises BadBallot with a sentence that says what is wrong.
        """
        given = [way for way in WAYS if data.get(way) is not None and data.get(way) is not False]
        if len(given) != 1:
            raise BadBallot(str(ONE_WAY))
        way, value = given[0], data[given[0]]
        if way == "ranks":
            return cls(Vote.Kind.RANKING, competition_ranks(checked_ranks(value, k)))
        if way == "best":
            return cls(Vote.Kind.BEST, best_ranks(value, k))
        if way == "strength":
            strength = _checked_strength(value, k)
            ranks = (1, 1) if strength == 0 else (1, 2) if strength < 0 else (2, 1)
            return cls(Vote.Kind.RANKING, ranks, strength=strength)
        if way == "all_bad":
            if value is not True:
                raise BadBallot(_('"all_bad" can only be true.'))
            return cls(Vote.Kind.ALL_BAD)
        return cls(Vote.Kind.SKIP, skip_reason=_reason(value))


def checked_ranks(value: Any, k: int) -> list[int]:
    if not isinstance(value, list | tuple):
        raise BadBallot(
            _('"ranks" is a list with a whole number from 1 to %(k)s for each response.') % {"k": k}
        )
    if len(value) != k:
        raise BadBallot(
            _("There are %(k)s responses but %(count)s ranks. Give each response one.")
            % {"k": k, "count": len(value)}
        )
    for position, rank in enumerate(value, start=1):
        if rank is None:
            raise BadBallot(
                _("Response %(position)s of %(k)s has no rank. Rank each one; equal ranks are ties.")
                % {"position": position, "k": k}
            )
        if isinstance(rank, bool) or not isinstance(rank, int):
            raise BadBallot(
                _("The rank of response %(position)s is not a whole number.") % {"position": position}
            )
        if not 1 <= rank <= k:
            raise BadBallot(
                _("The rank of response %(position)s is %(rank)s; ranks go from 1 (best) to %(k)s.")
                % {"position": position, "rank": rank, "k": k}
            )
    return list(value)


def competition_ranks(ranks: Sequence[int]) -> tuple[int | None, ...]:
    """1 + the number of better ones: 1, 2, 2, 4 whatever numbers were used for the same order."""
    return tuple(1 + sum(other < rank for other in ranks) for rank in ranks)


def best_ranks(value: Any, k: int) -> tuple[int | None, ...]:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < k:
        raise BadBallot(_('"best" is the place of one response, from 0 to %(last)s.') % {"last": k - 1})
    return tuple(1 if position == value else None for position in range(k))


def _checked_strength(value: Any, k: int) -> int:
    if k != 2:
        raise BadBallot(_('"strength" compares two responses, and there are %(k)s. Rank them.') % {"k": k})
    if isinstance(value, bool) or not isinstance(value, int) or not -3 <= value <= 3:
        raise BadBallot(
            _('"strength" is a whole number from -3 (the first is much better) to 3 (the second is).')
        )
    return value


def _reason(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadBallot(_('"skip" is the reason in a few words, such as "I cannot judge this".'))
    reason = " ".join(value.replace("\x00", "").split())
    if len(reason) > LONGEST_REASON:
        raise BadBallot(
            _("The reason is longer than %(most)s characters. Say it shorter.") % {"most": LONGEST_REASON}
        )
    return reason
