"""The newest analysis of an arena, and a job for the next one where votes have come in since."""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from arena.models import Analysis, Arena, Job, Leaderboard
from arena.services import jobs, leaderboards
from arena.services.analyses.sections import SECTIONS, analyse
from arena.services.leases import Lease

# In a busy arena each vote outdates the analysis: a new one is made after this pause at the earliest, and
# takes at most this share of a worker's time.
PAUSE = timedelta(seconds=30)
LARGEST_SHARE = 0.1
# Older ones are dropped: the log makes them again.
KEPT = 3


@dataclass(frozen=True)
class Analysed:
    """What there is to show: the newest analysis, whether it is of this board, and the job for the next."""

    analysis: Analysis | None
    current: bool
    job: Job | None

    @property
    def results(self) -> dict[str, Any]:
        return self.analysis.results if self.analysis is not None else {}


def analysis_for(board: Leaderboard, *, ask: bool = True) -> Analysed:
    """The newest analysis; where it is not of this board a job is queued for one, unless `ask` is off."""
    newest = board.arena.analyses.first()
    if newest is not None and _is_of(newest, board):
        return Analysed(newest, True, None)
    job = Job.objects.unfinished().filter(unique_key=_key(board.arena)).first()
    if job is None and ask and board.counts.get("votes") and _due(newest):
        job = _queue(board.arena)
    return Analysed(newest, False, job)


def compute(board: Leaderboard, lease: Lease | None = None) -> Analysis:
    """Analyse the board and keep the result."""
    start = time.monotonic()

    def progress(done: int, section: str) -> None:
        if lease is not None:
            lease.progress(done=done, total=len(SECTIONS), message=section)

    results = analyse(board, progress)
    analysis = Analysis.objects.create(
        arena=board.arena,
        last_vote=board.last_vote,
        last_ruling=board.last_ruling,
        contestants=board.contestants,
        settings=board.settings,
        results=results,
        seconds=time.monotonic() - start,
    )
    outdated = board.arena.analyses.values_list("pk", flat=True)[KEPT:]
    Analysis.objects.filter(pk__in=list(outdated)).delete()
    return analysis


def run_job(lease: Lease) -> dict[str, Any]:
    """The work of an analysis job. Done again it costs time and changes nothing."""
    arena = lease.job.arena
    if arena is None:
        return {}
    analysis = compute(leaderboards.current_leaderboard(arena), lease)
    # Such jobs come by the hundred; only their newest is of interest to anybody.
    Job.objects.filter(
        kind=Job.Kind.ANALYSIS, arena=arena, state=Job.State.DONE, pk__lt=lease.job.pk
    ).delete()
    return {"analysis": analysis.pk, "seconds": round(analysis.seconds, 3)}


def analysis_data(analysed: Analysed) -> dict[str, Any]:
    """The analysis as the API and the JSON beside the page give it."""
    analysis = analysed.analysis
    if analysis is None:
        return {"current": False, "computing": analysed.job is not None}
    return {
        "current": analysed.current,
        "computing": analysed.job is not None,
        "created_at": analysis.created_at.isoformat(),
        "last_vote": analysis.last_vote,
        "last_ruling": analysis.last_ruling,
        "settings": {name: value for name, value in analysis.settings.items() if name != "contestants"},
        **analysis.results,
    }


def _is_of(analysis: Analysis, board: Leaderboard) -> bool:
    return (
        (analysis.last_vote, analysis.last_ruling) == (board.last_vote, board.last_ruling)
        and analysis.contestants == board.contestants
        and analysis.settings.get("method_version") == board.settings.get("method_version")
    )


def _due(newest: Analysis | None) -> bool:
    if newest is None:
        return True
    pause = max(PAUSE, timedelta(seconds=newest.seconds / LARGEST_SHARE))
    return newest.created_at + pause <= timezone.now()


@transaction.atomic
def _queue(arena: Arena) -> Job:
    return jobs.enqueue(
        kind=Job.Kind.ANALYSIS,
        title=_("Analyse the leaderboard"),
        arena=arena,
        total=len(SECTIONS),
        unique_key=_key(arena),
    )


def _key(arena: Arena) -> str:
    return f"analysis:{arena.pk}"
