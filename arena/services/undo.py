"""Taking a vote back: until the next battle is on the screen or the names are told, whichever is first."""

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from arena.errors import NotAllowed, TooLate
from arena.models import Battle, Slot, Vote, Voter, VoteRuling
from arena.services import channels, vote_log
from arena.services.battles import set_aside
from arena.services.judgement import judgement_of
from arena.services.rewrites import take_back_rewrite
from arena.services.votes import rule_on_vote

REASON = "undone by the voter"


def may_undo(vote: Vote) -> bool:
    """Whether the voter could take this vote back now."""
    return _why_not(vote, vote.battle) is None


@transaction.atomic
def undo_vote(*, vote: Vote, voter: Voter, by: User | None = None) -> Battle:
    """Take the vote out of the count and serve the same battle anew, in the same order of slots.

    A battle that was fetched ahead is kept aside and comes after it: nobody gets another draw
    by undoing. Raises NotAllowed where it is somebody else's, and TooLate with the reason.
    """
    if vote.voter_id != voter.pk:
        raise NotAllowed(_("This is somebody else's vote."))
    vote_log.hold_for_append(vote.arena_id)
    # Whoever tells the names holds this row too: one of the two comes first.
    battle = Battle.objects.select_for_update(of=("self",)).get(pk=vote.battle_id)
    why_not = _why_not(vote, battle)
    if why_not:
        raise TooLate(why_not)
    rule_on_vote(vote=vote, action=VoteRuling.Action.WITHDRAWN, reason=REASON, by=by)
    take_back_rewrite(vote)
    set_aside(battle)
    anew = Battle.objects.create(
        arena_id=battle.arena_id,
        prompt_id=battle.prompt_id,
        voter_id=battle.voter_id,
        k=battle.k,
        channel=battle.channel,
        purpose=battle.purpose,
        strategy=battle.strategy,
        propensity=battle.propensity,
        shown_at=timezone.now(),
        replaces=battle,
    )
    Slot.objects.bulk_create(
        Slot(
            battle=anew,
            position=slot.position,
            contestant_id=slot.contestant_id,
            response_id=slot.response_id,
        )
        for slot in battle.slots.order_by("position")
    )
    channels.served_again(old=battle, new=anew)
    return anew


def _why_not(vote: Vote, battle: Battle) -> str | None:
    if not judgement_of(vote.arena).undo_for(vote.arena):
        return _("In this arena a vote stands once it is cast.")
    if battle.channel and channels.keeper_of(battle) is None:
        return _("This vote cannot be undone: what came after it was built on it.")
    if battle.revealed_at is not None:
        return _("The names have been shown, so the vote stands.")
    later = Battle.objects.filter(
        arena_id=battle.arena_id,
        voter_id=battle.voter_id,
        channel=battle.channel,
        shown_at__gt=vote.created_at,
    )
    if later.exclude(pk=battle.pk).exists():
        return _("The next battle has been shown, so the vote stands.")
    if vote.rulings.exists():
        return _("This vote is out of the count already.")
    return None
