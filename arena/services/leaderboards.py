"""Leaderboards: snapshots fitted to the vote log, made when it has grown and kept until then.

A snapshot holds all that its fit was given beside the votes, so that `reproduce` makes the
same numbers from the log again, to the last bit.
"""

import csv
import hashlib
import io
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.utils import timezone

from arena.models import Arena, Contestant, Leaderboard, Vote
from arena.services import vote_log
from arena.services.vote_log import LoggedVote, Marks
from ranking import Votes, fit
from ranking.result import METHOD_VERSION

LEVEL = 0.95
SEED = 0
# With fewer voters the spread between them is known too badly to widen intervals by it.
VOTERS_TO_CLUSTER = 20
COLUMNS = (
    "rank", "rank_lower", "rank_upper", "model", "rating", "lower", "upper", "votes", "retired",
)  # fmt: skip

RECENT = timedelta(seconds=5)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

_fitting: dict[int, threading.Lock] = defaultdict(threading.Lock)


def current_leaderboard(arena: Arena) -> Leaderboard:
    """The leaderboard after the newest vote and ruling: the newest snapshot, or a new fit.

    Requests that come while a fit is under way wait for it rather than fit again.
    """
    board = _newest_if_current(arena)
    if board is not None:
        return board
    with _fitting[arena.pk]:
        return _newest_if_current(arena) or fit_leaderboard(arena=arena)


def recent_leaderboard(arena: Arena) -> Leaderboard:
    """A leaderboard that is some seconds old at most, or being renewed by somebody else now.

    For the reveal after each vote: in a busy arena it must not wait for a fit per vote.
    """
    newest = _newest(arena)
    if newest is None:
        return current_leaderboard(arena)
    if newest.created_at > timezone.now() - RECENT or not _fitting[arena.pk].acquire(blocking=False):
        return newest
    try:
        return _newest_if_current(arena) or fit_leaderboard(arena=arena)
    finally:
        _fitting[arena.pk].release()


def fit_leaderboard(*, arena: Arena) -> Leaderboard:
    """Fit the votes as they are now and keep the result."""
    up_to = vote_log.settled_marks(arena)
    if up_to is None:
        # Votes are being imported: they count when all of them are in.
        newest = arena.leaderboards.first()
        if newest is not None:
            return newest
        up_to = Marks(0, 0, 0)
    contestants = _contestants(arena)
    votes = vote_log.read_votes(arena, up_to)
    out = vote_log.ruled_out(arena, up_to.last_ruling)
    settings = {
        "method_version": METHOD_VERSION,
        "level": LEVEL,
        "seed": SEED,
        "cluster": "voter" if _voters(votes, out) >= VOTERS_TO_CLUSTER else None,
        "contestants": contestants,
    }
    method, rows, details = _fitted(settings, votes, out)
    board = Leaderboard.objects.create(
        arena=arena,
        last_vote=up_to.last_vote,
        last_ruling=up_to.last_ruling,
        contestants=_digest(contestants),
        counts=_counts(votes, out),
        method=method,
        settings=settings,
        rows=rows,
        fit=details,
    )
    _thin_out(board)
    return board


def reproduce(board: Leaderboard) -> list[dict[str, Any]]:
    """The rows of the snapshot, computed again from the log and its settings."""
    log = [vote for vote in vote_log.read_votes(board.arena) if vote.id <= board.last_vote]
    out = vote_log.ruled_out(board.arena, board.last_ruling)
    return _fitted(board.settings, log, out)[1]


def leaderboard_data(board: Leaderboard) -> dict[str, Any]:
    """The leaderboard as the API and the JSON beside the page give it."""
    return {
        "arena": board.arena.slug,
        "created_at": board.created_at.isoformat(),
        "last_vote": board.last_vote,
        "last_ruling": board.last_ruling,
        "method": board.method,
        "settings": {name: value for name, value in board.settings.items() if name != "contestants"},
        "counts": board.counts,
        "warnings": board.fit["warnings"],
        "leaderboard": board.rows,
    }


def leaderboard_csv(board: Leaderboard) -> str:
    """The rows as CSV (RFC 4180). Names that a spreadsheet would run as a formula get a ' in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in board.rows:
        writer.writerow([_harmless(row[column]) for column in COLUMNS])
    return text.getvalue()


def _harmless(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\0")):
        return f"'{value}"
    return value


def _newest(arena: Arena) -> Leaderboard | None:
    # The covariance is large and few look at it.
    return arena.leaderboards.select_related("arena").defer("fit").first()


def _newest_if_current(arena: Arena) -> Leaderboard | None:
    newest = _newest(arena)
    if newest is None or newest.settings.get("method_version") != METHOD_VERSION:
        return None
    if (newest.last_vote, newest.last_ruling) != vote_log.newest_ids(arena):
        return None
    return newest if newest.contestants == _digest(_contestants(arena)) else None


def _thin_out(board: Leaderboard) -> None:
    """Of past hours keep the last snapshot: the log makes the others again.

    Those of the last minute stay, since somebody may be reading them.
    """
    earlier = board.arena.leaderboards.filter(
        id__lt=board.pk, created_at__gt=board.created_at - 2 * HOUR, created_at__lt=board.created_at - MINUTE
    )
    by_hour = defaultdict(list)
    for pk, created_at in earlier.order_by("id").values_list("id", "created_at"):
        by_hour[created_at.replace(minute=0, second=0, microsecond=0)].append(pk)
    this_hour = board.created_at.replace(minute=0, second=0, microsecond=0)
    superseded = [pk for hour, pks in by_hour.items() for pk in (pks if hour == this_hour else pks[:-1])]
    Leaderboard.objects.filter(id__in=superseded).delete()


def _contestants(arena: Arena) -> list[dict[str, Any]]:
    rows = Contestant.objects.filter(arena=arena).order_by("id").values_list("id", "name", "retired_at")
    return [{"id": pk, "name": name, "retired": retired is not None} for pk, name, retired in rows]


def _digest(contestants: Sequence[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(contestants, sort_keys=True).encode()).hexdigest()


def _fitted(
    settings: dict[str, Any], votes: Sequence[LoggedVote], out: set[int]
) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Method, rows best first, and the details of the fit."""
    contestants = settings["contestants"]
    place = {one["id"]: index for index, one in enumerate(contestants)}
    counted = [vote for vote in votes if vote.ranks is not None and vote.id not in out]
    weighted = any(vote.weight != 1.0 for vote in counted)
    fitted = fit(
        Votes.from_rankings(
            [one["name"] for one in contestants],
            [[place[each] for each in vote.group] for vote in counted],
            [vote.ranks or () for vote in counted],
            voters=[vote.voter for vote in counted],
            weights=[vote.weight for vote in counted] if weighted else None,
        ),
        cluster=settings["cluster"],
        level=settings["level"],
        seed=settings["seed"],
    )
    by_name = {one["name"]: one for one in contestants}
    rows = []
    for row in fitted.table(seed=settings["seed"]):
        one = by_name[row.model]
        rows.append({"contestant": one["id"], **asdict(row), "retired": one["retired"]})
    details = {
        "strengths": fitted.strengths.tolist(),
        "covariance": fitted.covariance.tolist(),
        "converged": bool(fitted.converged),
        "iterations": int(fitted.iterations),
        "log_likelihood": float(fitted.log_likelihood),
        "warnings": list(fitted.warnings),
    }
    return fitted.method, rows, details


def _voters(votes: Sequence[LoggedVote], out: set[int]) -> int:
    return len({vote.voter for vote in votes if vote.ranks is not None and vote.id not in out})


def _counts(votes: Sequence[LoggedVote], out: set[int]) -> dict[str, int]:
    """Votes by kind that count, how many were ruled out, and how many voters there are."""
    kinds = Counter(vote.kind for vote in votes if vote.id not in out)
    return {
        **{kind: kinds[kind] for kind in Vote.Kind.values},
        "votes": sum(kinds.values()),
        "ruled_out": len(votes) - sum(kinds.values()),
        "voters": len({vote.voter for vote in votes if vote.id not in out}),
    }
