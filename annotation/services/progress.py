"""How far a campaign is, and its end: it ends with exactly the wanted votes."""

from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from annotation.models import Annotator, Assignment, Campaign
from arena.models import Battle
from arena.services import audit, webhooks

ORDINARY = Battle.Purpose.ORDINARY
PAID = (Assignment.State.VOTED, Assignment.State.LATE, Assignment.State.VOID)


@dataclass(frozen=True)
class Progress:
    """Votes that count, of those wanted, and what is under way. Skips are battles, not votes."""

    votes: int
    wanted: int
    leased: int
    skipped: int
    late: int
    void: int

    @property
    def percent(self) -> int:
        return min(100, 100 * self.votes // self.wanted) if self.wanted else 0

    @property
    def left(self) -> int:
        return max(0, self.wanted - self.votes)


@dataclass(frozen=True)
class OwnProgress:
    """What one annotator has done. `judged` counts all battles, checks too: they look alike."""

    judged: int
    skipped: int
    most: int | None
    earned: Decimal | None
    currency: str

    @property
    def left(self) -> int | None:
        return None if self.most is None else max(0, self.most - self.judged - self.skipped)


def progress_of(campaign: Campaign) -> Progress:
    states = Assignment.objects.filter(campaign=campaign, purpose=ORDINARY).values_list("state")
    count = dict(states.annotate(n=Count("id")))
    return Progress(
        votes=count.get("voted", 0),
        wanted=campaign.votes_wanted,
        leased=count.get("leased", 0),
        skipped=count.get("skipped", 0),
        late=count.get("late", 0),
        void=count.get("void", 0),
    )


def own_progress(annotator: Annotator) -> OwnProgress:
    """What the annotator sees of their own work. The qualification is not part of it."""
    campaign = annotator.campaign
    mine = Assignment.objects.filter(annotator=annotator).exclude(purpose=Battle.Purpose.QUALIFICATION)
    count = dict(mine.values_list("state").annotate(n=Count("id")))
    judged = sum(count.get(state, 0) for state in PAID)
    rate = campaign.pay_per_battle
    return OwnProgress(
        judged=judged,
        skipped=count.get("skipped", 0),
        most=campaign.most_each,
        earned=None if rate is None else rate * judged,
        currency=campaign.currency,
    )


def votes_counted(campaign: Campaign) -> int:
    voted = Assignment.objects.filter(campaign=campaign, purpose=ORDINARY, state=Assignment.State.VOTED)
    return int(voted.count())


def is_complete(campaign: Campaign) -> bool:
    return campaign.target > 0 and votes_counted(campaign) >= campaign.votes_wanted


def finish_if_complete(campaign: Campaign) -> bool:
    """End a running campaign that has all its votes. True for the one call that ended it.

    Of the two last votes at once neither sees the other before it is stored for good, so this
    is called after that, and again by the queue.
    """
    if not is_complete(campaign):
        return False
    running = Campaign.objects.running().filter(pk=campaign.pk)
    with transaction.atomic():
        if not running.update(state=Campaign.State.FINISHED, finished_at=timezone.now()):
            return False
        audit.record(action="campaign completed", target=campaign, details={"votes": campaign.votes_wanted})
        webhooks.emit(
            arena=campaign.arena,
            event="campaign.completed",
            data={"campaign": campaign.slug, "votes": campaign.votes_wanted},
        )
    return True
