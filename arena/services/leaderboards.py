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
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena, Contestant, Leaderboard, Vote, Voter
from arena.services import board_fit, vote_log
from arena.services.afterwards import do_afterwards
from arena.services.vote_log import COUNTED_SOURCES, LoggedVote, Marks
from ranking.result import METHOD_VERSION

COLUMNS = (
    "rank", "rank_lower", "rank_upper", "model", "rating", "lower", "upper", "votes", "new", "retired",
)  # fmt: skip

RECENT = timedelta(seconds=5)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

_fitting: dict[int, threading.Lock] = defaultdict(threading.Lock)


def current_leaderboard(arena: Arena, sources: Sequence[str] = COUNTED_SOURCES) -> Leaderboard:
    """The leaderboard after the newest vote and ruling: the newest snapshot, or a new fit.

    `sources` are the kinds of voters that count. Of other kinds than the usual ones a board is
    fitted for this once and not kept. Requests that come while a fit is under way wait for
    it rather than fit again. Raises BadInput for an unknown kind.
    """
    if unknown := [source for source in sources if source not in Voter.Kind.values]:
        raise BadInput(
            _("There is no kind of voter %(unknown)r. Known are %(known)s.")
            % {"unknown": unknown[0], "known": ", ".join(Voter.Kind.values)}
        )
    if set(sources) != set(COUNTED_SOURCES):
        return _fit_board(arena, vote_log.settled_marks(arena) or Marks(0, 0, 0), sorted(set(sources)))
    board = _newest_if_current(arena)
    if board is not None:
        return board
    with _fitting[arena.pk]:
        return _newest_if_current(arena) or fit_leaderboard(arena=arena)


def recent_leaderboard(arena: Arena) -> Leaderboard:
    """The newest snapshot, for the reveal after each vote: nobody who votes waits for a fit.

    One that is more than some seconds old is fitted anew as soon as the request is answered.
    """
    newest = _newest(arena)
    if newest is None:
        return current_leaderboard(arena)
    if newest.created_at <= timezone.now() - RECENT:
        do_afterwards(f"The leaderboard of {arena.slug}", lambda: _renew(arena))
    return newest


def _renew(arena: Arena) -> None:
    """Fit the votes since the newest snapshot, unless somebody does so now."""
    if not _fitting[arena.pk].acquire(blocking=False):
        return
    try:
        if _newest_if_current(arena) is None:
            fit_leaderboard(arena=arena)
    finally:
        _fitting[arena.pk].release()


def sources_in(words: str) -> Sequence[str]:
    """The kinds of voters in "person,judge", as addresses ask for them; the usual ones for none."""
    return [word.strip() for word in words.split(",") if word.strip()] or COUNTED_SOURCES


def fit_leaderboard(*, arena: Arena) -> Leaderboard:
    """Fit the votes as they are now and keep the result."""
    up_to = vote_log.settled_marks(arena)
    if up_to is None:
        # Votes are being imported: they count when all of them are in.
        newest = arena.leaderboards.first()
        if newest is not None:
            return newest
        up_to = Marks(0, 0, 0)
    board = _fit_board(arena, up_to, COUNTED_SOURCES)
    board.save()
    _thin_out(board)
    return board


def _fit_board(arena: Arena, up_to: Marks, sources: Sequence[str]) -> Leaderboard:
    """A snapshot of the votes up to the marks, not stored."""
    contestants = _contestants(arena)
    votes = _votes_of(vote_log.read_votes(arena, up_to), sources)
    out = vote_log.ruled_out(arena, up_to.last_ruling)
    counted = board_fit.counted_votes(votes, out)
    settings = board_fit.settings_for(contestants, counted, sources)
    method, rows, details = _fitted(settings, counted)
    return Leaderboard(
        arena=arena,
        last_vote=up_to.last_vote,
        last_ruling=up_to.last_ruling,
        contestants=_digest(contestants),
        counts=_counts(votes, out),
        method=method,
        settings=settings,
        rows=rows,
        fit=details,
        created_at=timezone.now(),
    )


def reproduce(board: Leaderboard) -> list[dict[str, Any]]:
    """The rows of the snapshot, computed again from the log and its settings."""
    return _fitted(board.settings, votes_behind(board))[1]


def votes_behind(board: Leaderboard) -> list[LoggedVote]:
    """The votes that the snapshot was fitted to."""
    log = [vote for vote in vote_log.read_votes(board.arena) if vote.id <= board.last_vote]
    # A board from before voters' kinds were told apart counted all of them.
    if "sources" in board.settings:
        log = _votes_of(log, board.settings["sources"])
    return board_fit.counted_votes(log, vote_log.ruled_out(board.arena, board.last_ruling))


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
        writer.writerow([harmless(row[column]) for column in COLUMNS])
    return text.getvalue()


def harmless(value: Any) -> Any:
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
    if newest.settings.get("sources") != list(COUNTED_SOURCES):
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
    settings: dict[str, Any], counted: Sequence[LoggedVote]
) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Method, rows best first, and the details of the fit."""
    fitted = board_fit.fit_by(settings, board_fit.engine_votes(settings["contestants"], counted))
    rows = board_fit.board_rows(fitted, settings["contestants"], seed=settings["seed"])
    ids = {one["name"]: one["id"] for one in settings["contestants"]}
    details = {
        "contestants": [ids[name] for name in fitted.models],
        "strengths": fitted.strengths.tolist(),
        "covariance": fitted.covariance.tolist(),
        "converged": bool(fitted.converged),
        "iterations": int(fitted.iterations),
        "log_likelihood": float(fitted.log_likelihood),
        "prior": fitted.prior,
        "intervals": fitted.covariance_kind,
        "warnings": list(fitted.warnings),
    }
    return fitted.method, rows, details


def _votes_of(votes: Sequence[LoggedVote], sources: Collection[str]) -> list[LoggedVote]:
    return [vote for vote in votes if vote.is_of(sources)]


def _counts(votes: Sequence[LoggedVote], out: set[int]) -> dict[str, int]:
    """Votes by kind that count, how many were ruled out, and how many voters there are."""
    kinds = Counter(vote.kind for vote in votes if vote.id not in out)
    return {
        **{kind: kinds[kind] for kind in Vote.Kind.values},
        "votes": sum(kinds.values()),
        "ruled_out": len(votes) - sum(kinds.values()),
        "voters": len({vote.voter for vote in votes if vote.id not in out}),
    }
