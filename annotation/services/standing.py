"""Who judges in a campaign: warned, paused, excluded or taken back, by a lead or by a threshold.

Every act is a row with its reason and its figures, and each can be taken back. An exclusion
rules the annotator's votes out (they stay in the log) and gives their places to others.
"""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from annotation.models import Annotator, AnnotatorRuling, Assignment, Campaign, Item
from annotation.services import places
from annotation.services.thresholds import Finding, findings
from arena.errors import BadInput
from arena.models import Vote, VoteRuling
from arena.services import audit, webhooks
from arena.services.votes import rule_on_vote

Action = AnnotatorRuling.Action
AFTER = {
    Action.PAUSED: Annotator.State.PAUSED,
    Action.EXCLUDED: Annotator.State.EXCLUDED,
    Action.REINSTATED: Annotator.State.ACTIVE,
}
ACTS = (Action.WARNED, *AFTER)
LONGEST_REASON = 300


def rule_on_annotator(
    *,
    annotator: Annotator,
    action: str,
    reason: str,
    by: User | None,
    measure: str = "",
    figures: Mapping[str, Any] | None = None,
) -> AnnotatorRuling:
    """Warn, pause, exclude or take back an annotator, for a reason that is kept.

    Raises BadInput without a reason, and where the annotator is already what the act makes them.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise BadInput(
            _("Give the reason in 1 to 300 characters: it is kept, and the annotator may read it.")
        )
    if action not in ACTS:
        raise BadInput(_("An annotator is warned, paused, excluded or reinstated, not %s.") % action)
    known = dict(figures or {})
    with transaction.atomic():
        _change_state(annotator, action)
        if action in (Action.PAUSED, Action.EXCLUDED):
            _end_leases(annotator)
        if action == Action.EXCLUDED:
            known["ruled_out"] = _rule_votes_out(annotator, f"Excluded from the campaign: {reason}")
        if action == Action.REINSTATED:
            known.update(_bring_votes_back(annotator, reason))
        ruling = AnnotatorRuling.objects.create(
            annotator=annotator, action=action, reason=reason, measure=measure, figures=known, by=by
        )
        audit.record(
            action=f"annotator {action}",
            target=annotator,
            actor=by,
            details={"campaign": annotator.campaign.slug, "reason": reason, "measure": measure},
        )
        if action != Action.REINSTATED:
            _tell(ruling)
    return ruling


def review(assignment: Assignment) -> list[AnnotatorRuling]:
    """Hold the annotator's newest answers against the campaign's thresholds and act on them."""
    annotator = Annotator.objects.select_related("campaign__arena").get(pk=assignment.annotator_id)
    made = []
    with translation.override("en"):  # reasons are stored, and read by others
        found = findings(annotator)
    for finding in found:
        if not _is_new(annotator, finding):
            continue
        made.append(
            rule_on_annotator(
                annotator=annotator,
                action=finding.action,
                reason=finding.reason,
                by=None,
                measure=finding.measure,
                figures=finding.figures,
            )
        )
        if finding.action != Action.WARNED:
            break
    return made


def newest_ruling(annotator: Annotator) -> AnnotatorRuling | None:
    return annotator.rulings.order_by("-id").first()


@transaction.atomic
def leave(*, annotator: Annotator, reason: str) -> int:
    """The annotator left without pay, or took the consent back: their places and votes go back.

    Returns how many votes were ruled out. Nothing happens where they have left already.
    """
    there = Annotator.objects.filter(pk=annotator.pk).exclude(state=Annotator.State.RETURNED)
    if not there.update(state=Annotator.State.RETURNED):
        return 0
    annotator.state = Annotator.State.RETURNED
    _end_leases(annotator)
    out = _rule_votes_out(annotator, f"Left the campaign: {reason}")
    AnnotatorRuling.objects.create(
        annotator=annotator, action=Action.RETURNED, reason=reason, figures={"ruled_out": out}
    )
    return len(out)


def _is_new(annotator: Annotator, finding: Finding) -> bool:
    """Whether the finding asks for more than what was done. Evidence is counted from the last act on."""
    if finding.action in (Action.WARNED, Action.PAUSED):
        return annotator.state == Annotator.State.ACTIVE
    return annotator.state in (Annotator.State.ACTIVE, Annotator.State.PAUSED)


def _change_state(annotator: Annotator, action: str) -> None:
    if action == Action.WARNED:
        return
    new = AFTER[Action(action)]
    changed = Annotator.objects.filter(pk=annotator.pk).exclude(state=new)
    if action == Action.PAUSED:
        changed = changed.exclude(state=Annotator.State.EXCLUDED)
    if not changed.update(state=new):
        raise BadInput(_("This annotator is %s already.") % Annotator.State(annotator.state).label.lower())
    annotator.state = new


def _end_leases(annotator: Annotator) -> int:
    held = Assignment.objects.filter(
        annotator=annotator, state__in=[Assignment.State.LEASED, Assignment.State.EXPIRED]
    )
    return sum(places.give_back(assignment) for assignment in held)


def _rule_votes_out(annotator: Annotator, said: str) -> list[int]:
    voted = Assignment.objects.filter(annotator=annotator, state=Assignment.State.VOTED, purpose="")
    votes = Vote.objects.counted().filter(battle__assignment__in=voted).select_related("battle", "arena")
    for vote in votes:
        rule_on_vote(vote=vote, action=VoteRuling.Action.QUARANTINED, reason=said[:LONGEST_REASON], by=None)
    return [vote.pk for vote in votes]


def _bring_votes_back(annotator: Annotator, reason: str) -> dict[str, Any]:
    """Votes that going took out, where their place is still free."""
    gone = annotator.rulings.filter(action__in=[Action.EXCLUDED, Action.RETURNED]).order_by("-id").first()
    ids = gone.figures.get("ruled_out", []) if gone else []
    votes = Vote.objects.filter(pk__in=ids).exclude(pk__in=Vote.objects.counted().values("pk"))
    back, filled = [], []
    for vote in votes.select_related("battle", "arena", "battle__assignment__item"):
        if not _has_free_place(vote.battle.assignment.item):
            filled.append(vote.pk)
            continue
        said = f"Taken back into the campaign: {reason}"
        rule_on_vote(vote=vote, action=VoteRuling.Action.RESTORED, reason=said[:LONGEST_REASON], by=None)
        back.append(vote.pk)
    return {"restored": back, "filled": filled} if ids else {}


def _has_free_place(item: Item) -> bool:
    return item.wanted is None or item.held < item.wanted


def _tell(ruling: AnnotatorRuling) -> None:
    campaign: Campaign = ruling.annotator.campaign
    webhooks.emit(
        arena=campaign.arena,
        event="annotator.flagged",
        data={
            "campaign": campaign.slug,
            "annotator": ruling.annotator_id,
            "action": ruling.action,
            "reason": ruling.reason,
            "measure": ruling.measure,
        },
    )
