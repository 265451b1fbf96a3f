"""How a campaign ends without all its votes: its time is over, or nobody is left who could give them."""

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q
from django.utils import timezone

from annotation.models import Annotator, Assignment, Campaign
from annotation.services import items, progress
from arena.models import Battle
from arena.services import audit, webhooks

Ended, State = Campaign.Ended, Campaign.State
MAY_COME_BACK = (
    Annotator.State.INVITED,
    Annotator.State.QUALIFYING,
    Annotator.State.ACTIVE,
    Annotator.State.PAUSED,
)


def end_overdue() -> int:
    """End the campaigns whose time to close has come. Every worker looks; each is ended by one call."""
    due = Campaign.objects.filter(
        state__in=[State.RUNNING, State.PAUSED], closes_at__lte=timezone.now()
    ).select_related("arena")
    # Who gave the last vote has seen to it that it is complete; a worker that died then has not.
    return sum(not progress.finish_if_complete(one) and _end(one, Ended.TIME) for one in due)


def end_if_exhausted(campaign: Campaign) -> bool:
    """End a campaign whose annotators have had every battle that still wants votes. True for one call."""
    return _is_exhausted(campaign) and _end(campaign, Ended.SKIPPED)


def _is_exhausted(campaign: Campaign) -> bool:
    """Nobody else can come, nothing is being judged, and nothing is left for anybody.

    Where people come by a link or from a panel another may always join.
    """
    if campaign.open_link or campaign.panel or items.more_items(campaign):
        return False
    mine = Assignment.objects.filter(campaign=campaign)
    under_way = mine.filter(state__in=[Assignment.State.LEASED, Assignment.State.EXPIRED])
    if under_way.filter(annotator__state__in=MAY_COME_BACK, purpose="").exists():
        return False  # whoever holds one, or held one whose lease ran out, may still answer it
    ended = Q(assignments__purpose="") & ~Q(assignments__state=Assignment.State.RETURNED)
    people = campaign.annotators.filter(state__in=MAY_COME_BACK).annotate(done=Count("assignments", ended))
    if campaign.most_each is not None:
        people = people.filter(done__lt=campaign.most_each)
    wanting = campaign.items.filter(purpose=Battle.Purpose.ORDINARY, retired_at=None, held__lt=F("wanted"))
    return not any(
        wanting.filter(~Exists(mine.filter(item=OuterRef("pk"), annotator=person))).exists()
        for person in people
    )


@transaction.atomic
def _end(campaign: Campaign, because: Campaign.Ended) -> bool:
    open_still = Campaign.objects.filter(pk=campaign.pk, state__in=[State.RUNNING, State.PAUSED])
    if not open_still.update(state=State.FINISHED, finished_at=timezone.now(), ended_because=because):
        return False
    facts = {"votes": progress.votes_counted(campaign), "wanted": campaign.votes_wanted, "because": because}
    audit.record(action="campaign closed", target=campaign, details=facts)
    webhooks.emit(arena=campaign.arena, event="campaign.closed", data={"campaign": campaign.slug, **facts})
    return True
