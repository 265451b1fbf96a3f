"""How each voter of an arena, or of one campaign, votes; who needs help or a second look, and why.

Every figure comes with its uncertainty. What is said about honesty rests on e-values, which may
be looked at as often as one likes (ranking/integrity.py). Nothing is done to anybody by itself:
a lead warns, pauses, or takes votes out (arena/services/standing.py), and can take it back.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotation.models import Assignment, Campaign
from annotation.services import vote_facts
from annotation.services.quality_numbers import Counts, counts_by_voter, fast_below
from annotation.services.reasons import HELP, LOOK, Reason, percent
from annotation.services.vote_facts import Facts
from arena.models import Arena, Voter
from arena.services import vote_log
from arena.services.leaderboards import current_leaderboard
from ranking.agreement import Measure
from ranking.annotators import PanelAgreement, Share, median_and_spread, panel_agreement, wilson
from ranking.integrity import Integrity, assess

LETTERS = "ABCDEFGH"
# Evidence of 20 to 1: of honest voters at most 5 % ever reach it, however often one looks.
LEVEL = 0.05
# From how many answers on a share is worth a word.
ENOUGH = 10
GOLD_LIMIT, REPEAT_LIMIT, FAST_LIMIT = 0.75, 0.6, 0.3
# Seconds from which on a report is slow, and reused for a while although somebody has voted.
SLOW = 0.5
ELO = 400.0 / float(np.log(10.0))


@dataclass(frozen=True)
class VoterQuality:
    """One voter's figures. Shares have Wilson's intervals; times, alphas and tests their own."""

    voter: int
    name: str
    votes: int
    skips: int
    all_bad: int
    first_at: float
    last_at: float
    per_hour: float | None
    seconds: tuple[float, float, float] | None  # median and its interval
    fast: Share
    left: Share  # battles shown and left without a judgement
    gold: Share
    repeats: Share  # judged the same way the second time
    slot: str  # the slot that is the best most unusually often or rarely
    position: Share
    position_expected: float
    longest: Share
    longest_expected: float | None
    agreement: Measure | None
    contestant: str  # the one that deviates most from what others say
    favour_z: float
    likelihood_z: float
    evidence: float  # the e-value over all tests; 1 says nothing
    suspect: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class QualityReport:
    """Those with the strongest reasons first."""

    rows: list[VoterQuality]
    fast_below: float  # seconds
    taste: float  # how far voters' tastes differ, Elo
    agreement: PanelAgreement
    last_vote: int


@dataclass(frozen=True)
class _Checks:
    """Gold and repeats by voter: (as wanted, of)."""

    gold: dict[int, tuple[int, int]]
    repeats: dict[int, tuple[int, int]]


@dataclass(frozen=True)
class _Known:
    """A report, what it was made of, and until when it may stand in for a newer one."""

    last_vote: int
    rest: tuple[int, int]  # the newest ruling and the newest graded check: these show at once
    good_until: float
    report: QualityReport

    def is_good(self, last_vote: int, rest: tuple[int, int]) -> bool:
        return self.rest == rest and (self.last_vote == last_vote or time.monotonic() < self.good_until)


_reports: dict[tuple[int, int], _Known] = {}
_lock = threading.Lock()


def quality_of(arena: Arena, campaign: Campaign | None = None) -> QualityReport:
    """The report as of the newest vote, or in a large arena of some seconds ago.

    Computed once per process and state of the log. Where that takes long it is done again only after
    ten times as long: a busy arena must not be kept busy by those who watch it. A ruling shows at once.
    """
    key = (arena.pk, campaign.pk if campaign else 0)
    last_vote, last_ruling = vote_log.newest_ids(arena)
    rest = (last_ruling, _graded(arena))
    with _lock:
        known = _reports.get(key)
    if known is not None and known.is_good(last_vote, rest):
        return known.report
    began = time.monotonic()
    report = _report(arena, campaign, last_vote)
    took = time.monotonic() - began
    good_until = began + (10.0 * took if took > SLOW else 0.0)
    with _lock:
        _reports[key] = _Known(last_vote, rest, good_until, report)
    return report


def forget() -> None:
    """Drop what this process has computed. For tests, and after a database was restored."""
    _reports.clear()
    vote_facts.forget()


def find_voter(report: QualityReport, voter: int) -> VoterQuality | None:
    return next((row for row in report.rows if row.voter == voter), None)


def _graded(arena: Arena) -> int:
    """Moves when a check is graded, which the log does not tell."""
    checks = Assignment.objects.filter(campaign__arena=arena).exclude(purpose="")
    return checks.order_by("-ended_at", "-pk").values_list("pk", flat=True).first() or 0


def _report(arena: Arena, campaign: Campaign | None, last_vote: int) -> QualityReport:
    channel = campaign.channel if campaign else None
    facts = vote_facts.read_facts(arena, channel=channel)
    contestants = dict(arena.contestants.values_list("pk", "name"))
    strengths = _strengths(arena)
    counts = counts_by_voter(
        facts,
        abandoned=vote_facts.abandoned_by_voter(arena, channel=channel),
        lengths=vote_facts.response_lengths(arena),
        strengths=strengths,
    )
    people = list(counts)
    evidence = _evidence(facts, people, counts, sorted(contestants), strengths)
    agreement = agreement_of(facts)
    checks = _checks(arena, campaign)
    names = _names(people)
    limit = fast_below(facts.ms) / 1000.0
    by_id = sorted(contestants)
    rows = [
        _row(place, voter, counts[voter], evidence, agreement, checks, names, contestants, by_id, limit)
        for place, voter in enumerate(people)
    ]
    rows.sort(key=lambda row: (-row.suspect, -len(row.reasons), -row.evidence, -row.votes))
    return QualityReport(rows, limit, evidence.taste * ELO, agreement, last_vote)


def _strengths(arena: Arena) -> dict[int, float]:
    """Natural-log strengths of the board, by contestant, with mean zero."""
    known = {
        row["contestant"]: row["rating"] / ELO
        for row in current_leaderboard(arena).rows
        if row["rating"] is not None
    }
    middle = sum(known.values()) / len(known) if known else 0.0
    return {one: strength - middle for one, strength in known.items()}


def agreement_of(facts: Facts, ranks: Sequence[Any] | None = None) -> PanelAgreement:
    """Agreement on who is better, on contestants and never on slots. `ranks` replace the votes' own."""
    own = [vote.ranks for vote in facts.votes] if ranks is None else ranks
    kept = [
        (vote.group, said, vote.prompt, vote.voter)
        for vote, said in zip(facts.votes, own, strict=True)
        if said is not None and vote.prompt is not None
    ]
    groups, said, prompts, voters = zip(*kept, strict=True) if kept else ((), (), (), ())
    return panel_agreement(groups, said, np.array(prompts, dtype=np.int64), np.array(voters, dtype=np.int64))


def _evidence(
    facts: Facts,
    people: list[int],
    counts: dict[int, Counts],
    contestants: list[int],
    strengths: dict[int, float],
) -> Integrity:
    code = {voter: row for row, voter in enumerate(people)}
    place = {one: row for row, one in enumerate(contestants)}
    ranked = [vote for vote in facts.votes if vote.ranks is not None]
    return assess(
        [[place[one] for one in vote.group] for vote in ranked],
        [vote.ranks or () for vote in ranked],
        [code[vote.voter] for vote in ranked],
        # A new arena has no contestants, and evidence needs at least one to look at.
        [strengths.get(one, 0.0) for one in contestants] or [0.0],
        voter_count=len(people),
        served=[counts[voter].served for voter in people],
        skipped=[counts[voter].left for voter in people],
    )


def _checks(arena: Arena, campaign: Campaign | None) -> _Checks:
    rows = Assignment.objects.filter(campaign__arena=arena)
    if campaign is not None:
        rows = rows.filter(campaign=campaign)
    gold, gold_of, repeats, repeats_of = Counter[int](), Counter[int](), Counter[int](), Counter[int]()
    graded = rows.exclude(correct=None).filter(purpose="gold")
    for voter, correct in graded.values_list("annotator__voter", "correct"):
        gold_of[voter] += 1
        gold[voter] += bool(correct)
    again = rows.exclude(agreement=None)
    for voter, share in again.values_list("annotator__voter", "agreement"):
        repeats_of[voter] += 1
        repeats[voter] += share is not None and share >= 0.999
    return _Checks(
        {voter: (gold[voter], total) for voter, total in gold_of.items()},
        {voter: (repeats[voter], total) for voter, total in repeats_of.items()},
    )


def _names(people: list[int]) -> dict[int, str]:
    """User names, and the beginning of the pseudonym of whoever has none."""
    rows = Voter.objects.filter(pk__in=people) if len(people) < 900 else Voter.objects.all()
    known = rows.values_list("pk", "user__username", "pseudonym")
    return {pk: username or pseudonym[:10] for pk, username, pseudonym in known}


def _row(
    place: int,
    voter: int,
    counts: Counts,
    evidence: Integrity,
    agreement: PanelAgreement,
    checks: _Checks,
    names: dict[int, str],
    contestants: dict[int, str],
    by_id: list[int],
    limit: float,
) -> VoterQuality:
    slot = int(evidence.slot[place])
    measured = counts.measured
    figures: dict[str, Any] = {
        "fast": wilson(counts.fast, len(counts.ms)),
        "left": wilson(counts.left, counts.served),
        "gold": wilson(*checks.gold.get(voter, (0, 0))),
        "repeats": wilson(*checks.repeats.get(voter, (0, 0))),
        "slot": LETTERS[slot],
        "position": wilson(counts.slots[slot], counts.single),
        "position_expected": counts.by_chance[slot] / counts.single if counts.single else 0.0,
        "longest": wilson(counts.longest, measured),
        "longest_expected": counts.longest_expected / measured if measured else None,
        "agreement": agreement.raters.get(voter),
        "contestant": contestants[by_id[int(evidence.favourite[place])]] if by_id else "",
        "favour_z": float(evidence.favour_z[place]),
        "likelihood_z": float(evidence.likelihood_z[place]),
        "evidence": float(np.exp(min(evidence.total[place], 50.0))),
        "suspect": bool(evidence.total[place] >= -np.log(LEVEL)),
    }
    return VoterQuality(
        voter=voter,
        name=names.get(voter, str(voter)),
        votes=counts.votes,
        skips=counts.skips,
        all_bad=counts.all_bad,
        first_at=counts.first_at,
        last_at=counts.last_at,
        per_hour=counts.per_hour,
        seconds=median_and_spread([ms / 1000.0 for ms in counts.ms]),
        reasons=tuple(_reasons(figures, evidence, place, limit)),
        **figures,
    )


def _reasons(figures: dict[str, Any], evidence: Integrity, place: int, limit: float) -> list[Reason]:
    """What a lead should know: sentences with their figures, the votes' honesty first."""
    found = _looks(figures, evidence, place) if figures["suspect"] else []
    gold, repeats, fast, alpha = (figures[name] for name in ("gold", "repeats", "fast", "agreement"))
    if gold.total >= 5 and gold.upper < GOLD_LIMIT:
        shown = {"value": percent(gold.value), "upper": percent(gold.upper), "limit": percent(GOLD_LIMIT)}
        found.append(Reason("gold", HELP, shown))
    if repeats.total >= 5 and repeats.upper < REPEAT_LIMIT:
        found.append(Reason("repeats", HELP, {"value": percent(repeats.value)}))
    if fast.total >= ENOUGH and fast.lower > FAST_LIMIT:
        found.append(Reason("fast", HELP, {"value": percent(fast.value), "seconds": f"{limit:.1f}"}))
    if alpha is not None and alpha.upper is not None and alpha.upper < 0.1:
        found.append(Reason("agreement", HELP, {"value": f"{alpha.value:.2f}"}))
    longest, expected = figures["longest"], figures["longest_expected"]
    if longest.total >= 2 * ENOUGH and longest.lower > max(0.5, expected + 0.2):
        found.append(Reason("length", HELP, {"value": percent(longest.value), "expected": percent(expected)}))
    return found


def _looks(figures: dict[str, Any], evidence: Integrity, place: int) -> list[Reason]:
    """The tests that make the voter a suspect: each that says more than three to one."""
    strong = {name for name, logs in evidence.evidence.items() if logs[place] >= np.log(3.0)}
    found = []
    if "favour" in strong:
        key = "favour" if figures["favour_z"] > 0 else "disfavour"
        shown = {"contestant": figures["contestant"], "z": f"{abs(figures['favour_z']):.1f}"}
        found.append(Reason(key, LOOK, shown))
    if "likelihood" in strong:
        found.append(Reason("likelihood", LOOK, {"z": f"{abs(figures['likelihood_z']):.1f}"}))
    if "position" in strong:
        shown = {
            "slot": figures["slot"],
            "value": percent(figures["position"].value),
            "expected": percent(figures["position_expected"]),
        }
        found.append(Reason("position", LOOK, shown))
    if "skips" in strong:
        found.append(Reason("skips", LOOK, {"value": percent(figures["left"].value)}))
    return found
