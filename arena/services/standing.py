"""Voters' standing in an arena: warned, paused or cleared, by a lead, with a reason that the voter reads.

Of a campaign's annotators annotation/services/standing.py takes care; this is for the arena
as a whole. Taking votes out of the count is apart from it: a ruling for each vote.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from arena.errors import ArenaError, BadInput, NotAllowed
from arena.models import Arena, Vote, Voter, VoterRuling, VoteRuling
from arena.services import access, audit, channels, vote_log, webhooks

Action = VoterRuling.Action
LONGEST_REASON = 300


def rule_on_voter(
    *,
    arena: Arena,
    voter: Voter,
    action: str,
    reason: str,
    by: User,
    evidence: Mapping[str, Any] | None = None,
) -> VoterRuling:
    """Warn, pause or clear a voter, on the record. Raises NotAllowed and BadInput."""
    access.require_manager(arena=arena, user=by)
    reason = _checked(reason)
    if action not in Action.values:
        raise BadInput(_("A voter is warned, paused or cleared, not %(action)s.") % {"action": action})
    now = standing_of(arena=arena, voter=voter)
    if action == (now.action if now else Action.CLEARED):
        raise BadInput(_("That is what the voter's standing is already."))
    with transaction.atomic():
        ruling = VoterRuling.objects.create(
            arena=arena, voter=voter, action=action, reason=reason, evidence=dict(evidence or {}), by=by
        )
        details = {"arena": arena.slug, "reason": reason}
        audit.record(action=f"voter {action}", target=voter, actor=by, details=details)
        if action != Action.CLEARED:
            told = {"voter": voter.pk, "action": action, "reason": reason}
            webhooks.emit(arena=arena, event="annotator.flagged", data=told)
    return ruling


def standing_of(*, arena: Arena, voter: Voter) -> VoterRuling | None:
    """The warning or pause in force, or None."""
    newest = VoterRuling.objects.filter(arena=arena, voter=voter).order_by("-id").first()
    return None if newest is None or newest.action == Action.CLEARED else newest


def standings(arena: Arena) -> dict[int, VoterRuling]:
    """The warnings and pauses in force, by voter id."""
    newest = {ruling.voter_id: ruling for ruling in VoterRuling.objects.filter(arena=arena).order_by("id")}
    return {voter: ruling for voter, ruling in newest.items() if ruling.action != Action.CLEARED}


def check_not_paused(*, arena: Arena, voter: Voter) -> None:
    """Raises NotAllowed, with the lead's reason, where this voter is paused here."""
    standing = standing_of(arena=arena, voter=voter)
    if standing is not None and standing.action == Action.PAUSED:
        raise NotAllowed(
            _("A lead of this arena has paused your voting: %(reason)s") % {"reason": standing.reason}
        )


def votes_of(*, arena: Arena, voter: Voter) -> tuple[int, int]:
    """How many votes of this voter count here, and how many are out of the count."""
    counted = Vote.objects.counted().filter(arena=arena, voter=voter).count()
    return counted, Vote.objects.filter(arena=arena, voter=voter).count() - counted


def quarantine_votes(*, arena: Arena, voters: Iterable[int], reason: str, by: User) -> int:
    """Take all votes of these voters (ids) out of the count. Gives how many; each can be restored."""
    return _rule_on_all(arena, Vote.objects.counted(), voters, VoteRuling.Action.QUARANTINED, reason, by)


def restore_votes(*, arena: Arena, voters: Iterable[int], reason: str, by: User) -> int:
    """Put back what was quarantined. What voters withdrew themselves stays out."""
    newest = dict(
        VoteRuling.objects.filter(vote__arena=arena, vote__voter__in=list(voters))
        .order_by("id")
        .values_list("vote_id", "action")
    )
    out = [vote for vote, action in newest.items() if action == VoteRuling.Action.QUARANTINED]
    rows = Vote.objects.filter(pk__in=out)
    return _rule_on_all(arena, rows, voters, VoteRuling.Action.RESTORED, reason, by)


def _rule_on_all(arena: Arena, votes: Any, voters: Iterable[int], action: str, reason: str, by: User) -> int:
    access.require_manager(arena=arena, user=by)
    reason = _checked(reason)
    with transaction.atomic():
        vote_log.hold_for_append(arena.pk)
        chosen = votes.filter(arena=arena, voter__in=list(voters))
        free = list(chosen.filter(battle__channel="").values_list("pk", flat=True))
        VoteRuling.objects.bulk_create(
            (VoteRuling(vote_id=pk, action=action, reason=reason, by=by) for pk in free), batch_size=1000
        )
        kept = [
            vote
            for vote in chosen.exclude(battle__channel="").select_related("battle")
            if _rule_on_kept(vote, action, reason, by)
        ]
        done = len(free) + len(kept)
        if done:
            details = {"votes": done, "voters": sorted(voters), "reason": reason}
            audit.record(action=f"votes {action}", target=arena, actor=by, details=details)
    return done


def _rule_on_kept(vote: Vote, action: str, reason: str, by: User) -> bool:
    """One vote that a campaign counts. False: the campaign cannot take it back, its place was given on."""
    try:
        with transaction.atomic():
            ruling = VoteRuling.objects.create(vote=vote, action=action, reason=reason, by=by)
            if (keeper := channels.keeper_of(vote.battle)) is not None:
                keeper.ruled(ruling=ruling)
    except ArenaError:
        return False
    return True


def _checked(reason: str) -> str:
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise BadInput(_("Give the reason in 1 to 300 characters: it is kept, and the voter may read it."))
    return reason
