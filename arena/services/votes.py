"""Casting votes, taking them out of the count, and telling afterwards who wrote what."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from arena.errors import AlreadyVoted, BadBallot, BadInput, BattleClosed, NotAllowed, NotYourBattle
from arena.models import Arena, Battle, Draft, Vote, Voter, VoteRuling
from arena.services import access, audit, channels, leaderboards, vote_log, webhooks
from arena.services.ballots import Ballot
from arena.services.battles import check_voter, slots_of
from arena.services.details import SCHEMA, check_answer, read_details
from arena.services.guidelines import shown_version
from arena.services.judgement import judgement_of
from arena.services.live_turns import facts_of
from arena.services.rewrites import keep_rewrite

log = logging.getLogger(__name__)

LONGEST_KEY = 100
LONGEST_MS = 2**31 - 1


def cast_vote(
    *,
    battle: Battle,
    voter: Voter,
    ballot: Ballot,
    idempotency_key: str | None = None,
    active_ms: int | None = None,
    details: Mapping[str, Any] | None = None,
    guidelines: int | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Vote:
    """Record the voter's answer and close the battle.

    `details` are what the arena asks for beside the order (arena/services/details.py), answered under
    version `guidelines`; a person's must be complete. `facts` are of the server and kept as they are.

    Of answers that arrive at once one wins: the battle's row is closed by a conditional
    update, and the unique constraints stand behind it. The same answer sent again with the
    same idempotency key gets the first vote again. Raises AlreadyVoted, BattleClosed,
    NotYourBattle, BadBallot, BadInput, SignInNeeded and NotAllowed; nothing is stored then.
    """
    keeper = _check(battle, voter, ballot)
    key = _checked_key(idempotency_key)
    kept = {**_details(battle, voter, ballot, details or {}, guidelines), **facts_of(battle), **(facts or {})}
    now = timezone.now()
    since = battle.shown_at or battle.created_at
    wall_ms = min(max(0, int((now - since).total_seconds() * 1000)), LONGEST_MS)
    vote = Vote(
        arena=battle.arena,
        battle=battle,
        voter=voter,
        kind=ballot.kind,
        ranks=None if ballot.ranks is None else list(ballot.ranks),
        skip_reason=ballot.skip_reason,
        idempotency_key=key,
        wall_ms=wall_ms,
        # A client's clock is hearsay: it cannot exceed what the server saw.
        active_ms=None if active_ms is None else min(max(0, active_ms), wall_ms),
        details=kept,
    )
    revealed_at = now if _names_are_due(battle, ballot) else battle.revealed_at
    try:
        if _record(vote, closed_at=now, revealed_at=revealed_at, keeper=keeper):
            battle.revealed_at = revealed_at
            return vote
    except IntegrityError:
        log.info("A vote on battle %s met an earlier one.", battle.pk)
    return _first_vote(battle=battle, voter=voter, ballot=ballot, key=key)


def _check(battle: Battle, voter: Voter, ballot: Ballot) -> channels.Keeper | None:
    """Raise where this voter cannot answer this battle so. Gives whoever keeps the battle's channel."""
    if battle.voter_id != voter.pk:
        raise NotYourBattle(_("This battle was served to somebody else. Start your own to vote."))
    keeper = channels.keeper_of(battle)
    if keeper is None:
        check_voter(arena=battle.arena, voter=voter)
    else:
        keeper.check(battle=battle, voter=voter)
    if ballot.ranks is not None and len(ballot.ranks) != battle.k:
        raise BadBallot(
            _("There are %(k)s responses but %(count)s ranks. Give each one.")
            % {"k": battle.k, "count": len(ballot.ranks)}
        )
    return keeper


@transaction.atomic
def _record(
    vote: Vote, *, closed_at: datetime, revealed_at: datetime | None, keeper: channels.Keeper | None
) -> bool:
    """Close the vote's battle and store the vote with all that hangs on it. False: it was closed already."""
    battle = vote.battle
    vote_log.hold_for_append(battle.arena_id)
    still_open = Battle.objects.open().filter(pk=battle.pk, voter=vote.voter)
    if not still_open.update(closed_at=closed_at, revealed_at=revealed_at):
        return False
    if rewrite := vote.details.get("rewrite"):
        made = keep_rewrite(battle=battle, slot=rewrite["slot"], text=rewrite["text"])
        vote.details["rewrite"] = {**rewrite, "response": made.pk}
    Draft.objects.filter(battle=battle).delete()
    vote.save(force_insert=True)
    if keeper is not None:
        keeper.voted(vote=vote)
    _tell(vote)
    return True


def _tell(vote: Vote) -> None:
    """The webhooks' message of a vote, in its transaction. It names nobody."""
    data = {
        "vote": vote.pk,
        "battle": vote.battle_id,
        "kind": vote.kind,
        "ranks": vote.ranks,
        "purpose": vote.battle.purpose,
    }
    webhooks.emit(arena=vote.battle.arena, event="vote.cast", data=data)


def rule_on_vote(*, vote: Vote, action: str, reason: str, by: User | None) -> VoteRuling:
    """Take a vote out of the count or put it back, for good reason, on the record.

    Leads rule on any vote of their arena, a voter may withdraw their own; `by` None is a
    command or a check. Raises BadInput and NotAllowed.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > 300:
        raise BadInput(_("Give the reason in 1 to 300 characters: it is kept with the vote."))
    if action not in VoteRuling.Action.values:
        raise BadInput(
            _("A vote is %(known)s or restored, not %(action)s.")
            % {"known": ", ".join(VoteRuling.Action.values[:-1]), "action": action}
        )
    if by is not None and not access.may_manage(arena=vote.arena, user=by):
        # A session's voter has no user, and neither does somebody who is not signed in.
        own = by.pk is not None and vote.voter.user_id == by.pk
        if not (own and action == VoteRuling.Action.WITHDRAWN):
            raise NotAllowed(_("Only a lead of the arena may rule on this vote."))
    with transaction.atomic():
        vote_log.hold_for_append(vote.arena_id)
        counted = Vote.objects.counted().filter(pk=vote.pk).exists()
        if counted == (action == VoteRuling.Action.RESTORED):
            raise BadInput(
                _("This vote is in the count already.") if counted else _("This vote is out already.")
            )
        ruling = VoteRuling.objects.create(vote=vote, action=action, reason=reason, by=by)
        if (keeper := channels.keeper_of(vote.battle)) is not None:
            keeper.ruled(ruling=ruling)
        audit.record(action=f"vote {action}", target=vote, actor=by, details={"reason": reason})
    return ruling


def reveal(vote: Vote) -> dict[str, Any]:
    """Who wrote what, after the vote: {"vote": id, "revealed": bool, "slots": [...]}.

    Names and ratings are None where the arena or the battle's keeper never tells, and after "cannot
    judge": whoever did not judge has not earned the answer, and could otherwise learn to tell
    contestants apart.
    """
    told = _may_tell(vote.battle, vote.kind) and _note_reveal(vote.battle)
    ratings: dict[int, Mapping[str, Any]] = {}
    if told:
        board = leaderboards.recent_leaderboard(vote.arena)
        ratings = {row["contestant"]: row for row in board.rows}
    slots = []
    for slot in slots_of(vote.battle):
        row = ratings.get(slot.contestant_id, {})
        slots.append(
            {
                "position": slot.position,
                "contestant": slot.contestant.name if told else None,
                "rank": vote.ranks[slot.position] if vote.ranks else None,
                "rating": row.get("rating"),
                "lower": row.get("lower"),
                "upper": row.get("upper"),
            }
        )
    return {"vote": vote.pk, "revealed": told, "slots": slots}


def _may_tell(battle: Battle, kind: str) -> bool:
    """Whether the names are told after a vote of this kind, as far as arena and keeper are concerned."""
    tells = battle.arena.reveal == Arena.Reveal.AFTER_VOTE and kind != Vote.Kind.SKIP
    return tells and channels.may_tell(battle)


def _names_are_due(battle: Battle, ballot: Ballot) -> bool:
    """Whether the vote itself reveals the names: it cannot be undone, so nothing is left to wait for."""
    return _may_tell(battle, ballot.kind) and not judgement_of(battle.arena).undo_for(battle.arena)


def _note_reveal(battle: Battle) -> bool:
    """Note that the names are told now. False where the vote was undone before."""
    if battle.revealed_at is not None:
        return True
    with transaction.atomic():
        held = Battle.objects.select_for_update(of=("self",)).get(pk=battle.pk)
        if Battle.objects.filter(replaces=held).exists():
            return False
        Battle.objects.filter(pk=held.pk, revealed_at=None).update(revealed_at=timezone.now())
    return True


def _checked_key(key: str | None) -> str | None:
    if not key:
        return None
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise BadInput(
            _("The idempotency key has at most %(longest_key)s printable characters.")
            % {"longest_key": LONGEST_KEY}
        )
    return key


def _details(
    battle: Battle, voter: Voter, ballot: Ballot, given: Mapping[str, Any], number: int | None
) -> dict[str, Any]:
    """What is stored beside the order. Judges and other programs answer what they can."""
    number, form = shown_version(battle=battle, number=number)
    person = voter.kind == Voter.Kind.PERSON
    if person:
        check_answer(form=form, ballot=ballot)
    kept = read_details(form=form, battle=battle, ballot=ballot, given=given, complete=person)
    return kept if number is None else {"schema": SCHEMA, "guidelines": number, **kept}


def _first_vote(*, battle: Battle, voter: Voter, ballot: Ballot, key: str | None) -> Vote:
    """The vote that won, if this is the same answer sent again; otherwise why this one is refused."""
    same_key = Q(voter=voter, idempotency_key=key) if key else Q(pk=None)
    earlier = list(Vote.objects.filter(Q(battle=battle, voter=voter) | same_key))
    for vote in earlier:
        same_ballot = (vote.kind, _ranks(vote), vote.skip_reason) == (
            ballot.kind,
            ballot.ranks,
            ballot.skip_reason,
        )
        if key and vote.idempotency_key == key and vote.battle_id == battle.pk and same_ballot:
            return vote
    if any(vote.battle_id == battle.pk for vote in earlier):
        raise AlreadyVoted(_("You have voted on this battle; your first vote stands. Start the next one."))
    if earlier:
        raise AlreadyVoted(
            _("This Idempotency-Key was used for another battle. Use a new one for each vote.")
        )
    raise BattleClosed(_("This battle has ended. Start a new one to vote."))


def _ranks(vote: Vote) -> tuple[int | None, ...] | None:
    return None if vote.ranks is None else tuple(vote.ranks)
