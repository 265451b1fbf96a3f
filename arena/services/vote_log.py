"""The votes of one arena as the ranking engine reads them: the only reader of the log.

Votes, rulings and slots are only ever added, so what was read once stays true and a
process keeps it: bringing it up to date costs the new rows only.

Ids are handed out before transactions end, so on PostgreSQL a vote with a smaller id may
appear after one with a larger id was read. A writer therefore holds a shared lock from
before its id is drawn until it commits (`hold_for_append`), and `settled_marks` waits for
all holders: below the marks it gives, nothing can appear any more. SQLite has one writer
at a time and needs neither.
"""

import threading
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from django.db import OperationalError, connection, transaction

from arena.models import Arena, Battle, Slot, Vote, Voter, VoteRuling

ADVISORY_SPACE = 0x41524E41  # keeps these PostgreSQL locks apart from others'
LOCK_WAIT = "1s"

# Whose votes make ratings, battles and data sets unless somebody asks for others. Judges and
# adjudicators are never mixed in silently, and neither is what was asked to check a voter.
COUNTED_SOURCES = (Voter.Kind.PERSON.value, Voter.Kind.IMPORTED.value, Voter.Kind.SIMULATED.value)
# What the battle was for. Adjudicated answers are of a kind of voter that must be asked for.
COUNTED_PURPOSES = (Battle.Purpose.ORDINARY.value, Battle.Purpose.ADJUDICATION.value)


@dataclass(frozen=True)
class Marks:
    """Up to where the log is read: the newest vote and ruling, and how many votes there are."""

    last_vote: int
    last_ruling: int
    votes: int


@dataclass(frozen=True)
class LoggedVote:
    """One vote. `group` holds contestants' ids and `ranks` their ranks, both by slot position."""

    id: int
    kind: str
    voter: int
    prompt: int | None
    group: tuple[int, ...]
    ranks: tuple[int | None, ...] | None
    weight: float = 1.0
    source: str = Voter.Kind.PERSON
    purpose: str = Battle.Purpose.ORDINARY

    def is_of(self, sources: Collection[str]) -> bool:
        """Whether it is an ordinary vote of these kinds of voters, or an adjudicated one asked for."""
        return self.source in sources and self.purpose in COUNTED_PURPOSES


@dataclass
class _Kept:
    """What this process has read of one arena's log."""

    votes: list[LoggedVote] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept: dict[int, _Kept] = {}
_kept_lock = threading.Lock()


def hold_for_append(arena_id: int) -> None:
    """Call first in the transaction that adds votes or rulings. See the module's docstring."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [ADVISORY_SPACE, arena_id % 2**31])


def newest_ids(arena: Arena) -> tuple[int, int]:
    """The newest vote's and the newest ruling's id, 0 for none: two look-ups in an index."""
    votes = Vote.objects.filter(arena=arena).order_by("-id")
    rulings = VoteRuling.objects.filter(vote__arena=arena).order_by("-id")
    return (
        votes.values_list("id", flat=True).first() or 0,
        rulings.values_list("id", flat=True).first() or 0,
    )


def marks(arena: Arena) -> Marks:
    """Where the log ends now; votes whose transaction is under way may still appear below it."""
    return Marks(*newest_ids(arena), Vote.objects.filter(arena=arena).count())


def settled_marks(arena: Arena) -> Marks | None:
    """Where the log ends now, and for good. None while a long import keeps its end open.

    A caller's transaction must hold no row that a vote refers to, but with `no_key`.
    """
    if connection.vendor != "postgresql":
        return marks(arena)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [ADVISORY_SPACE, arena.pk % 2**31])
            cursor.execute("SET LOCAL lock_timeout = DEFAULT")
            return marks(arena)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != "55P03":  # lock_not_available
            raise
        return None


def read_votes(arena: Arena, up_to: Marks | None = None) -> Sequence[LoggedVote]:
    """All votes of the arena in the order of their ids, counted or not, up to the marks."""
    with _kept_lock:
        kept = _kept.setdefault(arena.pk, _Kept())
    with kept.lock:
        _bring_up_to_date(arena, kept.votes)
        votes = _up_to(kept.votes, up_to)
        if up_to is not None and len(votes) != up_to.votes:
            # Another database, or a vote that appeared late: what was kept is not the log.
            kept.votes.clear()
            _bring_up_to_date(arena, kept.votes)
            votes = _up_to(kept.votes, up_to)
        return votes


def ruled_out(arena: Arena, last_ruling: int | None = None) -> set[int]:
    """Ids of the votes that were out of the count after the ruling `last_ruling`; None: now."""
    rulings = VoteRuling.objects.filter(vote__arena=arena)
    if last_ruling is not None:
        rulings = rulings.filter(id__lte=last_ruling)
    newest = dict(rulings.order_by("id").values_list("vote_id", "action"))
    return {vote for vote, action in newest.items() if action != VoteRuling.Action.RESTORED}


def forget() -> None:
    """Drop what this process has read. For tests and after a database was restored."""
    with _kept_lock:
        _kept.clear()


def _up_to(votes: list[LoggedVote], up_to: Marks | None) -> list[LoggedVote]:
    if up_to is None:
        return votes[:]
    return votes[: bisect_right(votes, up_to.last_vote, key=lambda vote: vote.id)]


def _bring_up_to_date(arena: Arena, votes: list[LoggedVote]) -> None:
    after = votes[-1].id if votes else 0
    rows = list(
        Vote.objects.filter(arena=arena, id__gt=after)
        .order_by("id")
        .values_list(
            "id",
            "kind",
            "voter_id",
            "battle__prompt_id",
            "ranks",
            "details__weight",
            "voter__kind",
            "battle__purpose",
        )
    )
    if not rows:
        return
    groups: dict[int, list[int]] = {}
    slots = Slot.objects.filter(battle__votes__arena=arena, battle__votes__id__gt=after)
    for vote_id, contestant in slots.order_by("battle__votes__id", "position").values_list(
        "battle__votes__id", "contestant_id"
    ):
        groups.setdefault(vote_id, []).append(contestant)
    votes.extend(
        LoggedVote(
            id=vote_id,
            kind=kind,
            voter=voter,
            prompt=prompt,
            group=tuple(groups[vote_id]),
            ranks=None if ranks is None else tuple(ranks),
            weight=1.0 if weight is None else float(weight),
            source=source,
            purpose=purpose,
        )
        for vote_id, kind, voter, prompt, ranks, weight, source, purpose in rows
    )
