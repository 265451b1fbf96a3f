"""Thresholds of a campaign: what warns, pauses or excludes an annotator, and on what evidence.

A rule is {"measure", "limit", "after", "act"}. Evidence is counted anew from the last act on the same
measure, so that nobody is judged twice on the same answers. Prolific's rules hold everywhere:
nobody is excluded for fewer than two failed instructions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from math import log2
from statistics import median
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _
from scipy.special import bdtrc

from annotation.models import Annotator, AnnotatorRuling, Assignment
from arena.errors import BadInput
from arena.models import Battle

ACTS = {"warn": "warned", "pause": "paused", "exclude": "excluded"}
FEWEST_FAILED_CHECKS = 2  # "fair failures" before a submission may be returned (Prolific's rules)
MOST_RULES = 20


@dataclass(frozen=True)
class Rule:
    measure: str
    limit: float
    after: int
    act: str


@dataclass(frozen=True)
class Finding:
    """A rule that an annotator's answers meet, in words and numbers."""

    measure: str
    action: str
    reason: str
    figures: Mapping[str, Any] = field(default_factory=dict)


# Each measure: the limits that make sense, and whether they are whole numbers.
LIMITS: dict[str, tuple[float, float]] = {
    "gold": (0.01, 1.0),
    "repeats": (0.01, 1.0),
    "checks": (1, 20),
    "speed": (0.1, 3600),
    "position": (1e-9, 0.05),
    "skips": (0.01, 1.0),
}


def parse_rules(data: Any) -> list[Rule]:
    """The rules in their stored form. Raises BadInput with the rule's number and what is accepted."""
    if not isinstance(data, Sequence) or isinstance(data, str) or len(data) > MOST_RULES:
        raise BadInput(_("Thresholds are a list of at most %s rules.") % MOST_RULES)
    return [_rule(number, each) for number, each in enumerate(data, start=1)]


def stored(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    return [asdict(rule) for rule in rules]


def findings(annotator: Annotator) -> list[Finding]:
    """What the campaign's rules say of this annotator now, the hardest act first."""
    rules = parse_rules(annotator.campaign.rules)
    if not rules:
        return []
    rulings = list(annotator.rulings.order_by("id"))
    answered = _answered(annotator)
    hardest_first = sorted(rules, key=lambda rule: -list(ACTS).index(rule.act))
    met = []
    for rule in hardest_first:
        since = _since(rulings, rule)
        fresh = [one for one in answered if since is None or (one.ended_at and one.ended_at > since)]
        finding = MEASURES[rule.measure](rule, fresh)
        if finding is not None:
            met.append(finding)
    return met


def _rule(number: int, data: Any) -> Rule:
    if not isinstance(data, Mapping) or set(data) != {"measure", "limit", "after", "act"}:
        raise BadInput(_("Threshold %s: give measure, limit, after and act.") % number)
    measure, act = str(data["measure"]), str(data["act"])
    for value, known in ((measure, LIMITS), (act, ACTS)):
        if value not in known:
            near = get_close_matches(value, list(known), n=1)
            hint = _("Did you mean %s?") % near[0] if near else _("Known are %s.") % ", ".join(known)
            raise BadInput(
                _("Threshold %(n)s: there is no %(value)r.") % {"n": number, "value": value} + " " + hint
            )
    limit, after = _number(number, data["limit"]), _number(number, data["after"])
    least, most = LIMITS[measure]
    if not least <= limit <= most:
        raise BadInput(
            _("Threshold %(n)s: the limit of %(measure)s is from %(least)g to %(most)g, not %(limit)g.")
            % {"n": number, "measure": measure, "least": least, "most": most, "limit": limit}
        )
    if not 1 <= after <= 1000 or after != int(after):
        raise BadInput(_("Threshold %s: after is a whole number of answers from 1 to 1000.") % number)
    if measure == "checks" and act == "exclude" and limit < FEWEST_FAILED_CHECKS:
        raise BadInput(
            _(
                "Threshold %s: nobody may be excluded for fewer than two failed instructions. "
                "Set the limit to 2."
            )
            % number
        )
    return Rule(measure, limit, int(after), act)


def _number(number: int, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BadInput(
            _("Threshold %(n)s: %(value)r is not a number.") % {"n": number, "value": value}
        ) from None


def _answered(annotator: Annotator) -> list[Assignment]:
    done = Q(state__in=["voted", "skipped", "void"])
    rows = Assignment.objects.filter(done, annotator=annotator).exclude(purpose=Battle.Purpose.QUALIFICATION)
    return list(rows.select_related("battle").prefetch_related("battle__votes").order_by("ended_at"))


def _since(rulings: Sequence[AnnotatorRuling], rule: Rule) -> Any:
    """When this rule was last acted on, or the annotator taken back."""
    acted = [
        ruling.created_at
        for ruling in rulings
        if ruling.action == "reinstated"
        or (ruling.measure == rule.measure and ruling.action == ACTS[rule.act])
    ]
    return acted[-1] if acted else None


def _gold(rule: Rule, answered: Sequence[Assignment]) -> Finding | None:
    graded = [
        one.correct
        for one in answered
        if one.purpose == "gold" and one.check_position is None and one.correct is not None
    ]
    if len(graded) < rule.after or sum(graded) / len(graded) >= rule.limit:
        return None
    figures = {"right": sum(graded), "of": len(graded)}
    reason = _("%(right)s of %(of)s gold questions were answered as expected.") % figures
    return _found(rule, reason, figures)


def _checks(rule: Rule, answered: Sequence[Assignment]) -> Finding | None:
    graded = [one.correct for one in answered if one.check_position is not None]
    failed = graded.count(False)
    if len(graded) < rule.after or failed < rule.limit:
        return None
    figures = {"failed": failed, "of": len(graded)}
    return _found(rule, _("%(failed)s of %(of)s instructions were not followed.") % figures, figures)


def _repeats(rule: Rule, answered: Sequence[Assignment]) -> Finding | None:
    seen = [one.agreement for one in answered if one.agreement is not None]
    if len(seen) < rule.after or sum(seen) / len(seen) >= rule.limit:
        return None
    figures = {"agreement": round(sum(seen) / len(seen), 3), "of": len(seen)}
    reason = _("Battles shown twice were answered alike in %(percent)s %% of their pairs.") % {
        "percent": round(100 * figures["agreement"])
    }
    return _found(rule, reason, figures)


def _speed(rule: Rule, answered: Sequence[Assignment]) -> Finding | None:
    times = [
        vote.wall_ms / 1000 for vote in _votes(answered) if vote.kind != "skip" and vote.wall_ms is not None
    ]
    times = times[-rule.after :]
    if len(times) < rule.after or median(times) >= rule.limit:
        return None
    figures = {"median": round(median(times), 1), "of": len(times)}
    return _found(
        rule, _("Half of the last %(of)s answers took less than %(median)s seconds.") % figures, figures
    )


def _position(rule: Rule, answered: Sequence[Assignment]) -> Finding | None:
    """One slot is put first far more often than chance. The level is spent over looks at n, 2n, 4n …"""
    first: Counter[int] = Counter()
    total, k = 0, 2
    for vote in _votes(answered):
        best = [place for place, rank in enumerate(vote.ranks or []) if rank == 1]
        if len(best) == 1:
            k = max(k, len(vote.ranks))
            first[best[0]] += 1
            total += 1
    look = log2(total / rule.after) if total >= rule.after else -1.0
    if look < 0 or look != int(look):
        return None
    place, often = first.most_common(1)[0]
    # The chance that this slot or another is first so often, over all K slots.
    chance = min(1.0, k * float(bdtrc(often - 1, total, 1 / k)))
    if chance >= rule.limit / 2 ** (look + 1):
        return None
    figures = {"slot": "ABCDEFGH"[place], "times": often, "of": total, "p": chance}
    reason = _("Response %(slot)s was put first %(times)s times of %(of)s, whatever it was.") % figures
    return _found(rule, reason, figures)


def _skips(rule: Rule, answered: Sequence[Assignment]) -> Finding | None:
    skipped = sum(one.state == "skipped" for one in answered)
    if len(answered) < rule.after or skipped / len(answered) <= rule.limit:
        return None
    figures = {"skipped": skipped, "of": len(answered)}
    return _found(rule, _("%(skipped)s of %(of)s battles were skipped.") % figures, figures)


def _found(rule: Rule, reason: str, figures: Mapping[str, Any]) -> Finding:
    return Finding(rule.measure, ACTS[rule.act], reason, figures)


def _votes(answered: Sequence[Assignment]) -> list[Any]:
    return [vote for one in answered for vote in one.battle.votes.all()]


MEASURES = {
    "gold": _gold,
    "repeats": _repeats,
    "checks": _checks,
    "speed": _speed,
    "position": _position,
    "skips": _skips,
}
