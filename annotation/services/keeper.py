"""What a campaign does with a vote on one of its battles, by whatever door the vote comes.

arena/services/channels.py calls this: from `cast_vote`, `rule_on_vote` and the undo.
"""

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.models import Annotator, Assignment, Campaign
from annotation.services import endings, grading, places, progress, qualification, standing
from arena.errors import BattleClosed, NotAllowed, PlaceTaken
from arena.models import Battle, Vote, Voter, VoteRuling
from arena.services.standing import check_not_paused

MAY_JUDGE = (Annotator.State.ACTIVE, Annotator.State.QUALIFYING)
OVER = (Assignment.State.RETURNED, Assignment.State.LATE)


class CampaignKeeper:
    """Keeps the channel "campaign:ID"."""

    tells = False  # the same contestants come again in this campaign and in others

    def check(self, *, battle: Battle, voter: Voter) -> None:
        """Raise where the place is gone, the campaign rests, or the annotator does not judge now."""
        assignment = _assignment(battle)
        if assignment.state == Assignment.State.EXPIRED and not places.regain(assignment):
            places.note_late(assignment)
        if assignment.state == Assignment.State.LATE:
            raise PlaceTaken(
                _(
                    "The time for this battle ran out and somebody else has judged it in the meantime. "
                    "Your work on it is credited. Go on with the next one."
                )
            )
        if assignment.state in OVER:
            raise BattleClosed(_("This battle was given back. Go on with the next one."))
        if assignment.state != Assignment.State.LEASED:
            return  # it is answered: the vote service says how
        check_not_paused(arena=assignment.campaign.arena, voter=voter)
        if assignment.annotator.state not in MAY_JUDGE:
            raise NotAllowed(_("You do not judge in this campaign any more. Its page says why."))
        if assignment.campaign.state not in (Campaign.State.RUNNING, Campaign.State.FINISHED):
            raise BattleClosed(_("The campaign rests. Your battle is kept: come back when it goes on."))

    def voted(self, *, vote: Vote) -> None:
        assignment = _assignment(vote.battle)
        skipped = vote.kind == Vote.Kind.SKIP
        if not places.answer(assignment, skipped=skipped):
            raise BattleClosed(_("The time for this battle has just run out. Send your answer again."))
        grading.grade(assignment, vote)
        # The vote stands whatever comes of it: a fault here is logged, and the queue looks again.
        transaction.on_commit(lambda: _after(assignment, skipped=skipped), robust=True)

    def ruled(self, *, ruling: VoteRuling) -> None:
        assignment = Assignment.objects.filter(battle=ruling.vote.battle_id).first()
        if assignment is None:
            return  # the voter judged these slots again in another battle
        if ruling.action == VoteRuling.Action.RESTORED:
            places.restore(assignment)
        else:
            places.void(assignment)

    def served_again(self, *, old: Battle, new: Battle) -> None:
        if not places.serve_again(_assignment(old), new):
            raise BattleClosed(_("Somebody else judges this battle now. Your vote stays taken back."))


def _assignment(battle: Battle) -> Assignment:
    found = (
        Assignment.objects.select_related("item", "campaign__arena", "annotator")
        .filter(battle=battle)
        .first()
    )
    if found is None:
        raise BattleClosed(_("This battle has ended. Go on with the next one."))
    return found


def _after(assignment: Assignment, *, skipped: bool) -> None:
    """When the vote is stored for good: what it means for the annotator and for the campaign."""
    if assignment.purpose == Battle.Purpose.QUALIFICATION:
        qualification.conclude(assignment.annotator)
    else:
        standing.review(assignment)
    if not progress.finish_if_complete(assignment.campaign) and skipped:
        endings.end_if_exhausted(assignment.campaign)
