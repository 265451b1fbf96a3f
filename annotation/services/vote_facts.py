"""What is known of each vote beside its ranks, in columns: who, when, how long, of which campaign.

Votes are only added, so a process keeps what it has read (as arena/services/vote_log.py does for
ranks), and looking again costs the new rows only.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from django.db.models import Avg, Count, Q
from django.db.models.functions import Length
from django.utils import timezone
from numpy.typing import NDArray

from arena.models import Arena, Battle, Response, Vote
from arena.services import vote_log
from arena.services.vote_log import LoggedVote

NO_TIME = -1


@dataclass(frozen=True)
class Facts:
    """The votes that count, in the order of their ids; all columns have one entry a vote."""

    votes: list[LoggedVote]
    voter: NDArray[np.int64]
    at: NDArray[np.float64]  # seconds since 1970
    ms: NDArray[np.int64]  # active time, or wall time where the browser told none; NO_TIME for neither
    channel: list[str]

    def chosen(self, mask: NDArray[np.bool_]) -> "Facts":
        rows = np.flatnonzero(mask)
        return Facts(
            [self.votes[row] for row in rows],
            self.voter[rows],
            self.at[rows],
            self.ms[rows],
            [self.channel[row] for row in rows],
        )


@dataclass
class _Kept:
    ids: list[int] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    ms: list[int] = field(default_factory=list)
    channel: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept: dict[int, _Kept] = {}


def forget() -> None:
    """Drop what this process has read. For tests and after a database was restored."""
    _kept.clear()


def read_facts(arena: Arena, *, channel: str | None = None, purposes: tuple[str, ...] = ("",)) -> Facts:
    """The votes of people, imported files and simulations that count, with their facts.

    `channel` narrows to one campaign; `purposes` are ordinary votes only unless told otherwise.
    """
    log = vote_log.read_votes(arena)
    out = vote_log.ruled_out(arena)
    kept = _up_to_date(arena, log)
    place = {pk: row for row, pk in enumerate(kept.ids)}
    rows, votes = [], []
    for vote in log:
        row = place.get(vote.id)
        wanted = vote.source in vote_log.COUNTED_SOURCES and vote.purpose in purposes
        if row is None or not wanted or vote.id in out:
            continue
        if channel is None or kept.channel[row] == channel:
            rows.append(row)
            votes.append(vote)
    index = np.array(rows, dtype=np.intp)
    return Facts(
        votes,
        np.array([vote.voter for vote in votes], dtype=np.int64),
        np.array(kept.at, dtype=np.float64)[index],
        np.array(kept.ms, dtype=np.int64)[index],
        [kept.channel[row] for row in rows],
    )


def abandoned_by_voter(arena: Arena, *, channel: str | None = None) -> dict[int, int]:
    """How many battles each voter was shown and left without a vote. Open ones count after an hour."""
    hour_ago = timezone.now() - timedelta(hours=1)
    left = Battle.objects.filter(
        Q(closed_at__isnull=False) | Q(shown_at__lt=hour_ago),
        arena=arena,
        purpose=Battle.Purpose.ORDINARY,
        shown_at__isnull=False,
        votes__isnull=True,
    )
    if channel is not None:
        left = left.filter(channel=channel)
    return dict(left.order_by().values_list("voter").annotate(left=Count("pk")))


def response_lengths(arena: Arena) -> dict[tuple[int, int], float]:
    """Characters by (prompt, contestant); of several samples their mean."""
    rows = Response.objects.filter(prompt__arena=arena).order_by().values_list("prompt", "contestant")
    return {(prompt, one): length for prompt, one, length in rows.annotate(length=Avg(Length("text")))}


def _up_to_date(arena: Arena, log: Sequence[LoggedVote]) -> _Kept:
    kept = _kept.setdefault(arena.pk, _Kept())
    with kept.lock:
        known = [vote.id for vote in log]
        if kept.ids and (len(kept.ids) > len(known) or known[len(kept.ids) - 1] != kept.ids[-1]):
            # Another database, or a vote that appeared late: read it all again.
            for column in (kept.ids, kept.at, kept.ms, kept.channel):
                column.clear()
        after = kept.ids[-1] if kept.ids else 0
        rows = Vote.objects.filter(arena=arena, id__gt=after, id__lte=known[-1] if known else 0)
        columns = ("id", "created_at", "active_ms", "wall_ms", "battle__channel")
        for pk, created, active, wall, channel in rows.order_by("id").values_list(*columns).iterator():
            time = active if active is not None else wall
            kept.ids.append(pk)
            kept.at.append(created.timestamp())
            kept.ms.append(NO_TIME if time is None else time)
            kept.channel.append(channel)
    return kept
