"""Leaderboards by criterion: who is most helpful, most truthful, and best of all by the criteria's weights.

Fitted when somebody looks and kept for as long as no vote, ruling or contestant is new. They are not
snapshots: the arena's own leaderboard stays the one that counts.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.core.cache import cache
from django.utils import timezone
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena, Contestant, Leaderboard, Vote
from arena.services import board_fit, vote_log
from arena.services.judgement import Criterion, Judgement, judgement_of
from arena.services.vote_log import COUNTED_SOURCES, LoggedVote
from ranking import Fit
from ranking.context import fit_composite

COMPOSITE = "composite"
KEPT_FOR = 24 * 60 * 60
Judged = dict[int, dict[str, Any]]


def boards_by_criterion(arena: Arena) -> list[Criterion]:
    """What there is a leaderboard for beside the arena's own; the composite where there are several."""
    form = judgement_of(arena)
    found = list(form.criteria)
    if len(_weights(form)) > 1:
        found.append(Criterion(COMPOSITE, _("Composite"), kind="composite"))
    return found


def criterion_board(arena: Arena, key: str) -> Leaderboard:
    """The leaderboard by one criterion, or by all of them weighted. Not stored. Raises BadInput."""
    form = judgement_of(arena)
    if key != COMPOSITE:
        form.criterion(key)
    elif len(_weights(form)) < 2:
        raise BadInput(_("A composite needs at least two criteria with a weight."))
    contestants = _contestants(arena)
    told = [arena.pk, key, vote_log.newest_ids(arena), contestants, _weights(form)]
    name = "criterion-board-" + hashlib.sha256(json.dumps(told).encode()).hexdigest()
    kept = cache.get(name)
    if kept is None:
        kept = _fitted(arena, key, form, contestants)
        cache.set(name, kept, KEPT_FOR)
    return Leaderboard(arena=arena, created_at=timezone.now(), **kept)


def _fitted(arena: Arena, key: str, form: Judgement, contestants: list[dict[str, Any]]) -> dict[str, Any]:
    """The fields of the board."""
    last_vote, last_ruling = vote_log.newest_ids(arena)
    out = vote_log.ruled_out(arena, last_ruling)
    judged = _judged(arena, last_vote)
    log = [
        vote
        for vote in vote_log.read_votes(arena)
        if vote.id in judged and vote.id not in out and vote.is_of(COUNTED_SOURCES)
    ]
    if key != COMPOSITE:
        log = _ranked_by(log, judged, key)
    settings = {
        **board_fit.settings_for(contestants, log, COUNTED_SOURCES),
        "criterion": key,
        **({"weights": _weights(form)} if key == COMPOSITE else {}),
    }
    # Without a vote there is nothing to weigh: everybody is new.
    fitted = _composite(settings, log, judged) if key == COMPOSITE and log else _one(settings, log)
    return {
        "last_vote": last_vote,
        "last_ruling": last_ruling,
        "counts": {"votes": len(log), "voters": len({vote.voter for vote in log})},
        "method": fitted.method,
        "settings": settings,
        "rows": board_fit.board_rows(fitted, contestants, seed=settings["seed"]),
        "fit": {"warnings": list(fitted.warnings), "intervals": fitted.covariance_kind},
    }


def _one(settings: dict[str, Any], log: Sequence[LoggedVote]) -> Fit:
    return board_fit.fit_by(settings, board_fit.engine_votes(settings["contestants"], log))


def _composite(settings: dict[str, Any], log: Sequence[LoggedVote], judged: Judged) -> Fit:
    """The weighted sum of the strengths by criterion. Weights sum to 1, so that the scale is the same."""
    weights = settings["weights"]
    whole = sum(weights.values())
    votes = {
        key: board_fit.engine_votes(settings["contestants"], _ranked_by(log, judged, key, all_of_them=True))
        for key in weights
    }
    shares = {key: weight / whole for key, weight in weights.items()}
    return fit_composite(votes, shares, level=settings["level"])


def _ranked_by(
    log: Sequence[LoggedVote], judged: Judged, key: str, *, all_of_them: bool = False
) -> list[LoggedVote]:
    """The votes with the ranks of this criterion; with `all_of_them` those without it order nobody."""
    ranks = {vote.id: judged[vote.id].get(key, {}).get("ranks") for vote in log}
    return [
        replace(vote, ranks=tuple(ranks[vote.id] or [None] * len(vote.group)))
        for vote in log
        if ranks[vote.id] or all_of_them
    ]


def _weights(form: Judgement) -> dict[str, float]:
    return {one.key: one.weight for one in form.criteria if one.weight > 0}


def _judged(arena: Arena, last_vote: int) -> Judged:
    """What was said by criterion, by vote."""
    rows = Vote.objects.filter(arena=arena, id__lte=last_vote, details__has_key="criteria")
    return dict(rows.values_list("id", "details__criteria"))


def _contestants(arena: Arena) -> list[dict[str, Any]]:
    rows = Contestant.objects.filter(arena=arena).order_by("id").values_list("id", "name", "retired_at")
    return [{"id": pk, "name": name, "retired": retired is not None} for pk, name, retired in rows]
