"""Casting votes, taking them out of the count, and telling afterwards who wrote what."""

import logging
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from arena.errors import AlreadyVoted, BadBallot, BadInput, BattleClosed, NotAllowed, NotYourBattle
from arena.models import Arena, Battle, Vote, Voter, VoteRuling
from arena.services import access, audit, leaderboards, vote_log
from arena.services.ballots import Ballot
from arena.services.battles import check_voter

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
) -> Vote:
    """Record the voter's answer and close the battle.

    Of answers that arrive at once one wins: the battle's row is closed by a conditional
    update, and the unique constraints stand behind it. The same answer sent again with the
    same idempotency key gets the first vote again. Raises AlreadyVoted, BattleClosed,
    NotYourBattle, BadBallot, BadInput, SignInNeeded and NotAllowed; nothing is stored then.
    """
    if battle.voter_id != voter.pk:
        raise NotYourBattle("This battle was served to somebody else. Start your own to vote.")
    check_voter(arena=battle.arena, voter=voter)
    if ballot.ranks is not None and len(ballot.ranks) != battle.k:
        raise BadBallot(f"There are {battle.k} responses but {len(ballot.ranks)} ranks. Give each one.")
    key = _checked_key(idempotency_key)
    now = timezone.now()
    wall_ms = min(max(0, int((now - battle.created_at).total_seconds() * 1000)), LONGEST_MS)
    try:
        with transaction.atomic():
            vote_log.hold_for_append(battle.arena_id)
            if Battle.objects.open().filter(pk=battle.pk, voter=voter).update(closed_at=now):
                return Vote.objects.create(
                    arena_id=battle.arena_id,
                    battle=battle,
                    voter=voter,
                    kind=ballot.kind,
                    ranks=None if ballot.ranks is None else list(ballot.ranks),
                    skip_reason=ballot.skip_reason,
                    idempotency_key=key,
                    wall_ms=wall_ms,
                    # A client's clock is hearsay: it cannot exceed what the server saw.
                    active_ms=None if active_ms is None else min(max(0, active_ms), wall_ms),
                    details=dict(details or {}),
                )
    except IntegrityError:
        log.info("A vote on battle %s met an earlier one.", battle.pk)
    return _first_vote(battle=battle, voter=voter, ballot=ballot, key=key)


def rule_on_vote(*, vote: Vote, action: str, reason: str, by: User | None) -> VoteRuling:
    """Take a vote out of the count or put it back, for good reason, on the record.

    Leads rule on any vote of their arena, a voter may withdraw their own; `by` None is a
    command or a check. Raises BadInput and NotAllowed.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > 300:
        raise BadInput("Give the reason in 1 to 300 characters: it is kept with the vote.")
    if action not in VoteRuling.Action.values:
        raise BadInput(f"A vote is {', '.join(VoteRuling.Action.values[:-1])} or restored, not {action}.")
    if by is not None and not access.may_manage(arena=vote.arena, user=by):
        # A session's voter has no user, and neither does somebody who is not signed in.
        own = by.pk is not None and vote.voter.user_id == by.pk
        if not (own and action == VoteRuling.Action.WITHDRAWN):
            raise NotAllowed("Only a lead of the arena may rule on this vote.")
    with transaction.atomic():
        vote_log.hold_for_append(vote.arena_id)
        counted = Vote.objects.counted().filter(pk=vote.pk).exists()
        if counted == (action == VoteRuling.Action.RESTORED):
            raise BadInput("This vote is in the count already." if counted else "This vote is out already.")
        ruling = VoteRuling.objects.create(vote=vote, action=action, reason=reason, by=by)
        audit.record(action=f"vote {action}", target=vote, actor=by, details={"reason": reason})
    return ruling


def reveal(vote: Vote) -> dict[str, Any]:
    """Who wrote what, after the vote: {"vote": id, "revealed": bool, "slots": [...]}.

    Names and ratings are None where the arena never tells, and after "cannot judge": whoever
    did not judge has not earned the answer, and could otherwise learn to tell contestants apart.
    """
    told = vote.arena.reveal == Arena.Reveal.AFTER_VOTE and vote.kind != Vote.Kind.SKIP
    ratings: dict[int, Mapping[str, Any]] = {}
    if told:
        board = leaderboards.recent_leaderboard(vote.arena)
        ratings = {row["contestant"]: row for row in board.rows}
    slots = []
    for slot in vote.battle.slots.select_related("contestant").order_by("position"):
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


def _checked_key(key: str | None) -> str | None:
    if not key:
        return None
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise BadInput(f"The idempotency key has at most {LONGEST_KEY} printable characters.")
    return key


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
        raise AlreadyVoted("You have voted on this battle; your first vote stands. Start the next one.")
    if earlier:
        raise AlreadyVoted("This Idempotency-Key was used for another battle. Use a new one for each vote.")
    raise BattleClosed("This battle has ended. Start a new one to vote.")


def _ranks(vote: Vote) -> tuple[int | None, ...] | None:
    return None if vote.ranks is None else tuple(vote.ranks)
