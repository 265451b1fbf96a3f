"""What a lead sees of an arena or a campaign at a glance: progress, rate, time, agreement, habits."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.utils import timezone

from annotation.models import Campaign
from annotation.services import vote_facts
from annotation.services.progress import Progress, progress_of
from annotation.services.quality import (
    LETTERS,
    QualityReport,
    VoterQuality,
    agreement_of,
    quality_of,
)
from annotation.services.vote_facts import NO_TIME, Facts
from arena.models import Arena, Vote
from arena.services import vote_log
from arena.services.judgement import judgement_of
from ranking.agreement import Measure
from ranking.annotators import PanelAgreement, Share, median_and_spread, wilson

HOUR, DAY = 3600, 86_400
# Up to two days are shown by the hour, then by the day, at most this many bars.
MOST_HOURS, MOST_DAYS = 48, 60
# Seconds, the upper ends of the bars of the histogram of times; the last one is open.
TIME_ENDS = (2, 5, 10, 20, 30, 60, 120, 300)
SHOWN_IN_NEED = 8


@dataclass(frozen=True)
class Bars:
    """Counts over time, or over times. `unit` is "hour" or "day"; `at` is where each bar begins."""

    unit: str
    at: list[datetime]
    counts: list[int]


@dataclass(frozen=True)
class Totals:
    """Everything that moves only with the log."""

    kinds: dict[str, int]
    voters: int
    ruled_out: int
    bars: Bars | None
    seconds: tuple[float, float, float] | None
    histogram: list[int]  # votes by TIME_ENDS, and beyond
    per_hour: float | None  # in the last hours with votes
    slots: list[tuple[str, Share, float]]  # letter, how often the best, and by chance
    longest: Share
    longest_expected: float | None
    criteria: dict[str, PanelAgreement]


@dataclass(frozen=True)
class Dashboard:
    totals: Totals
    quality: QualityReport
    progress: Progress | None
    closes_at: datetime | None
    ends_at: datetime | None  # when the campaign is full, at the present rate

    @property
    def votes(self) -> int:
        return sum(self.totals.kinds.values())

    @property
    def in_need(self) -> list[VoterQuality]:
        return [row for row in self.quality.rows if row.reasons][:SHOWN_IN_NEED]

    @property
    def gold(self) -> Share:
        return _pooled([row.gold for row in self.quality.rows])

    @property
    def repeats(self) -> Share:
        return _pooled([row.repeats for row in self.quality.rows])

    @property
    def late(self) -> bool:
        """Whether at the present rate it is not full by its deadline."""
        return bool(self.closes_at and self.ends_at and self.ends_at > self.closes_at)


_totals: dict[tuple[int, int], tuple[tuple[int, int], Totals]] = {}
_lock = threading.Lock()


def dashboard_of(arena: Arena, campaign: Campaign | None = None) -> Dashboard:
    """As of the newest vote. What only the log moves is computed once per process and state of it."""
    quality = quality_of(arena, campaign)
    key = (arena.pk, campaign.pk if campaign else 0)
    mark = (quality.last_vote, vote_log.newest_ids(arena)[1])
    with _lock:
        known = _totals.get(key)
    if known is not None and known[0] == mark:
        totals = known[1]
    else:
        totals = _counted(arena, campaign, quality)
        with _lock:
            _totals[key] = (mark, totals)
    progress = progress_of(campaign) if campaign else None
    ends_at = None
    if progress and progress.left and totals.per_hour and campaign and campaign.state == "running":
        hours = min(progress.left / totals.per_hour, 24 * 365)
        ends_at = timezone.now() + timedelta(hours=hours)
    return Dashboard(totals, quality, progress, campaign.closes_at if campaign else None, ends_at)


def forget() -> None:
    """Drop what this process has computed. For tests."""
    _totals.clear()


def as_data(board: Dashboard) -> dict[str, Any]:
    """The dashboard for JSON: names of figures as on the screen, intervals as [lower, upper]."""
    totals, quality = board.totals, board.quality
    return {
        "last_vote": quality.last_vote,
        "votes": totals.kinds,
        "voters": totals.voters,
        "ruled_out": totals.ruled_out,
        "progress": board.progress and {"votes": board.progress.votes, "wanted": board.progress.wanted},
        "closes_at": board.closes_at,
        "ends_at": board.ends_at,
        "votes_per_hour": totals.per_hour,
        "seconds_per_vote": _of_three(totals.seconds),
        "agreement": _of_panel(quality.agreement),
        "criteria": {key: _of_panel(found) for key, found in totals.criteria.items()},
        "gold": _of_share(board.gold),
        "repeats": _of_share(board.repeats),
        "position": [
            {"slot": letter, "best": _of_share(share), "by_chance": chance}
            for letter, share, chance in totals.slots
        ],
        "longest": {**_of_share(totals.longest), "expected": totals.longest_expected},
        "annotators": [of_voter(row) for row in quality.rows],
    }


def of_voter(row: VoterQuality) -> dict[str, Any]:
    """One annotator for JSON."""
    return {
        "voter": row.voter,
        "name": row.name,
        "votes": row.votes,
        "skips": row.skips,
        "all_bad": row.all_bad,
        "votes_per_hour": row.per_hour,
        "seconds_per_vote": _of_three(row.seconds),
        "too_fast": _of_share(row.fast),
        "left": _of_share(row.left),
        "gold": _of_share(row.gold),
        "repeats": _of_share(row.repeats),
        "position": {"slot": row.slot, **_of_share(row.position), "by_chance": row.position_expected},
        "longest": {**_of_share(row.longest), "expected": row.longest_expected},
        "alpha": None if row.agreement is None else _of_measure(row.agreement),
        "favour": {"contestant": row.contestant, "z": row.favour_z},
        "likelihood_z": row.likelihood_z,
        "evidence": row.evidence,
        "suspect": row.suspect,
        "reasons": [reason.sentence for reason in row.reasons],
    }


def flat(row: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """A nested row as columns for CSV: gold.value, gold.lower …; lists become one text."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{key}.")
        else:
            found[before + key] = " ".join(map(str, value)) if isinstance(value, list) else value
    return found


def _counted(arena: Arena, campaign: Campaign | None, quality: QualityReport) -> Totals:
    facts = vote_facts.read_facts(arena, channel=campaign.channel if campaign else None)
    known = facts.ms[facts.ms != NO_TIME] / 1000.0
    expected = [row.longest_expected * row.longest.total for row in quality.rows if row.longest_expected]
    longest = _pooled([row.longest for row in quality.rows])
    return Totals(
        kinds=dict(Counter(vote.kind for vote in facts.votes)),
        voters=len(quality.rows),
        ruled_out=_ruled_out(arena, campaign),
        bars=_bars(facts),
        seconds=median_and_spread(known),
        histogram=np.bincount(np.searchsorted(TIME_ENDS, known), minlength=len(TIME_ENDS) + 1).tolist(),
        per_hour=_rate(facts),
        slots=_slots(facts),
        longest=longest,
        longest_expected=sum(expected) / longest.total if longest.total else None,
        criteria=_criteria(arena, facts),
    )


def _ruled_out(arena: Arena, campaign: Campaign | None) -> int:
    out = Vote.objects.ruled_out().filter(arena=arena)
    return int((out.filter(battle__channel=campaign.channel) if campaign else out).count())


def _bars(facts: Facts) -> Bars | None:
    if not len(facts.at):
        return None
    first, last = float(facts.at[0]), float(facts.at[-1])
    by_hour = last - first <= MOST_HOURS * HOUR
    width, most = (HOUR, MOST_HOURS) if by_hour else (DAY, MOST_DAYS)
    end = int(last // width)
    start = max(int(first // width), end - most + 1)
    places = (facts.at // width).astype(np.int64) - start
    counts = np.bincount(places[places >= 0], minlength=end - start + 1)
    at = [datetime.fromtimestamp((start + place) * width, tz=UTC) for place in range(len(counts))]
    return Bars("hour" if by_hour else "day", at, counts.tolist())


def _rate(facts: Facts) -> float | None:
    """Votes per hour of the clock over the last day of voting: nights count, since they come again."""
    if len(facts.at) < 2:
        return None
    last = float(facts.at[-1])
    recent = facts.at[facts.at > last - DAY]
    span = max(last - float(recent[0]), HOUR)
    return len(recent) / (span / HOUR)


def _slots(facts: Facts) -> list[tuple[str, Share, float]]:
    """How often each slot is the best, where one is, beside chance. Slots are shuffled."""
    best, seen = Counter[int](), Counter[int]()
    chance: dict[int, float] = {}
    for vote in facts.votes:
        if vote.ranks is None or vote.ranks.count(1) != 1:
            continue
        best[vote.ranks.index(1)] += 1
        for slot in range(len(vote.group)):
            seen[slot] += 1
            chance[slot] = chance.get(slot, 0.0) + 1.0 / len(vote.group)
    return [
        (LETTERS[slot], wilson(best[slot], seen[slot]), chance[slot] / seen[slot]) for slot in sorted(seen)
    ]


def _criteria(arena: Arena, facts: Facts) -> dict[str, PanelAgreement]:
    """Agreement on each criterion of the arena's form, by its label."""
    criteria = judgement_of(arena).criteria
    if not criteria:
        return {}
    stored = Vote.objects.filter(arena=arena).exclude(details__criteria=None)
    said = dict(stored.values_list("pk", "details__criteria"))
    return {
        one.label: agreement_of(facts, [_said(said.get(vote.id), one.key) for vote in facts.votes])
        for one in criteria
    }


def _said(criteria: Any, key: str) -> list[int | None] | None:
    ranks = criteria.get(key, {}).get("ranks") if isinstance(criteria, dict) else None
    return ranks if isinstance(ranks, list) and any(rank is not None for rank in ranks) else None


def _pooled(shares: list[Share]) -> Share:
    return wilson(sum(one.hits for one in shares), sum(one.total for one in shares))


def _of_share(share: Share) -> dict[str, Any]:
    known = share.total > 0
    return {
        "value": share.value,
        "lower": share.lower if known else None,
        "upper": share.upper if known else None,
        "of": share.total,
    }


def _of_measure(measure: Measure) -> dict[str, Any]:
    return {
        "value": measure.value,
        "lower": measure.lower,
        "upper": measure.upper,
        "reason": measure.reason,
    }


def _of_panel(found: PanelAgreement) -> dict[str, Any]:
    return {
        "alpha": _of_measure(found.alpha),
        "percent": found.percent,
        "items": found.items,
        "judgements": found.judgements,
    }


def _of_three(values: tuple[float, float, float] | None) -> dict[str, Any] | None:
    return None if values is None else dict(zip(("median", "lower", "upper"), values, strict=True))
