"""The places of a campaign's items: who holds one, and every way to take or give one back.

An item wants N votes and has N places. A live lease holds one and so does a valid vote, so
that leases and votes together are never more than N. `Item.held` is taken by a conditional
update and each state of an assignment is left by one (whose row count says who won), on
SQLite and PostgreSQL alike; a check constraint stands behind it. Assignments are changed
before their item, always, so that two of these acts never wait for each other in a circle.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation.models import Annotator, Assignment, Campaign, Item
from arena.models import Battle, Response, Slot

CANDIDATES = 8
EXPIRED_AT_ONCE = 100
# Places are for ordinary items. Gold questions, repeats and the qualification are asked of everybody.
ORDINARY = Battle.Purpose.ORDINARY
State = Assignment.State

_random = secrets.SystemRandom()


def lease_end(campaign: Campaign) -> datetime:
    return timezone.now() + timedelta(minutes=campaign.lease_minutes)


def claim(*, annotator: Annotator, items: QuerySet[Item]) -> Assignment | None:
    """A lease on one of the ordinary `items`, those begun first. None: nothing was free.

    Raises IntegrityError where the annotator got another battle at the same moment.
    """
    for item in free_for(annotator=annotator, items=items).order_by("batch", "-held", "?")[:CANDIDATES]:
        with transaction.atomic():
            if _take_place(item.pk):
                return serve(annotator=annotator, item=item, purpose=ORDINARY)
    return None


def free_for(*, annotator: Annotator, items: QuerySet[Item]) -> QuerySet[Item]:
    """The ordinary `items` with a free place that this annotator was never asked."""
    unseen = ~Exists(Assignment.objects.filter(item=OuterRef("pk"), annotator=annotator))
    return items.filter(unseen, purpose=ORDINARY, retired_at=None, held__lt=F("wanted"))


@transaction.atomic
def serve(
    *,
    annotator: Annotator,
    item: Item,
    purpose: str,
    repetition: int = 0,
    checked: bool = False,
) -> Assignment:
    """A battle of this item's responses, shuffled for this annotator, and the lease on it.

    Whoever serves an ordinary item took its place before, in the same transaction.
    """
    campaign = annotator.campaign
    responses = list(Response.objects.filter(pk__in=item.responses).values_list("id", "contestant_id"))
    _random.shuffle(responses)
    battle = Battle.objects.create(
        arena_id=campaign.arena_id,
        prompt_id=item.prompt_id,
        voter_id=annotator.voter_id,
        k=len(responses),
        strategy=item.strategy,
        propensity=item.propensity,
        channel=campaign.channel,
        purpose=purpose,
    )
    Slot.objects.bulk_create(
        Slot(battle=battle, position=position, contestant_id=contestant, response_id=response)
        for position, (response, contestant) in enumerate(responses)
    )
    return Assignment.objects.create(
        campaign=campaign,
        item=item,
        annotator=annotator,
        battle=battle,
        purpose=purpose,
        repetition=repetition,
        leased_until=lease_end(campaign),
        check_position=_random.randrange(len(responses)) if checked else None,
    )


def extend(assignment: Assignment) -> bool:
    """Renew a lease that is live. False: it has ended."""
    live = Assignment.objects.filter(pk=assignment.pk, state=State.LEASED)
    assignment.leased_until = lease_end(assignment.campaign)
    return bool(live.update(leased_until=assignment.leased_until))


def expire_due(campaign: Campaign) -> int:
    """Give back the places of leases that ran out. Their battles stay open: see `regain`."""
    due = Assignment.objects.filter(campaign=campaign, state=State.LEASED, leased_until__lt=timezone.now())
    expired = 0
    for pk, item, purpose in due.values_list("pk", "item_id", "purpose")[:EXPIRED_AT_ONCE]:
        with transaction.atomic():
            # Extended in the meantime? Then it is not due any more.
            if due.filter(pk=pk).update(state=State.EXPIRED):
                expired += 1
                if purpose == ORDINARY:
                    _give_place(item)
    return expired


def regain(assignment: Assignment) -> bool:
    """Take a lease that ran out up again, with its battle. False: its place is not free, or the
    annotator is in the middle of another battle."""
    until = lease_end(assignment.campaign)
    expired = Assignment.objects.filter(pk=assignment.pk, state=State.EXPIRED)
    try:
        with transaction.atomic():
            if not expired.update(state=State.LEASED, leased_until=until):
                return False
            if assignment.purpose == ORDINARY and not _take_place(assignment.item_id):
                transaction.set_rollback(True)
                return False
            Battle.objects.filter(pk=assignment.battle_id).update(closed_at=None)
    except IntegrityError:
        return False  # one lease per annotator, one open battle per channel
    assignment.state, assignment.leased_until = State.LEASED, until
    return True


def note_late(assignment: Assignment) -> None:
    """The place went to somebody else while this annotator was still judging: the work is credited."""
    _end(assignment, [State.EXPIRED], State.LATE)
    close_battle(assignment)


@transaction.atomic
def give_back(assignment: Assignment) -> bool:
    """End a live or expired lease without a vote."""
    was_live = Assignment.objects.filter(pk=assignment.pk, state=State.LEASED)
    if was_live.update(state=State.RETURNED, ended_at=timezone.now()):
        if assignment.purpose == ORDINARY:
            _give_place(assignment.item_id)
    elif not _end(assignment, [State.EXPIRED], State.RETURNED):
        return False
    close_battle(assignment)
    return True


def answer(assignment: Assignment, *, skipped: bool) -> bool:
    """The vote on the assignment's battle is stored, in this transaction. False: it has no place.

    A skip gives the place back, for somebody else: this annotator is never asked again.
    """
    to = State.SKIPPED if skipped else State.VOTED
    if _end(assignment, [State.LEASED], to):
        if skipped and assignment.purpose == ORDINARY:
            _give_place(assignment.item_id)
        return True
    if not _end(assignment, [State.EXPIRED], to):
        return False
    return skipped or assignment.purpose != ORDINARY or _take_place(assignment.item_id)


def void(assignment: Assignment) -> bool:
    """The vote went out of the count, in this transaction: its place is free again."""
    if not _end(assignment, [State.VOTED], State.VOID):
        return False
    if assignment.purpose == ORDINARY:
        _give_place(assignment.item_id)
    return True


def restore(assignment: Assignment) -> bool:
    """The vote is back in the count, in this transaction. False: its place was filled in the meantime."""
    if not _end(assignment, [State.VOID], State.VOTED):
        return False
    if assignment.purpose != ORDINARY or _take_place(assignment.item_id):
        return True
    _end(assignment, [State.VOTED], State.VOID)
    return False


def serve_again(assignment: Assignment, battle: Battle) -> bool:
    """The annotator took the vote back and judges the same slots again in `battle`, in this transaction."""
    others = Assignment.objects.filter(annotator=assignment.annotator_id, state=State.LEASED)
    for other in others.exclude(pk=assignment.pk):
        # Fetched ahead and not looked at: as if it had never been served.
        close_battle(other)
        other.delete()
        if other.purpose == ORDINARY:
            _give_place(other.item_id)
    taken_back = Assignment.objects.filter(pk=assignment.pk, state__in=[State.VOID, State.SKIPPED])
    until = lease_end(assignment.campaign)
    if not taken_back.update(state=State.LEASED, battle=battle, leased_until=until, ended_at=None):
        return False
    return assignment.purpose != ORDINARY or _take_place(assignment.item_id)


def close_battle(assignment: Assignment) -> None:
    Battle.objects.open().filter(pk=assignment.battle_id).update(closed_at=timezone.now())


def is_held_by_others(*, annotator: Annotator, items: QuerySet[Item]) -> bool:
    """Whether somebody else is judging an item that this annotator could still be asked."""
    mine = Assignment.objects.filter(item=OuterRef("pk"), annotator=annotator)
    unseen = ~Exists(mine.exclude(state=State.EXPIRED))
    leased = Exists(Assignment.objects.filter(item=OuterRef("pk"), state=State.LEASED, purpose=ORDINARY))
    return items.filter(unseen, leased, purpose=ORDINARY, retired_at=None).exists()


def _end(assignment: Assignment, frm: Sequence[str], to: str) -> bool:
    rows = Assignment.objects.filter(pk=assignment.pk, state__in=frm)
    if not rows.update(state=to, ended_at=timezone.now()):
        return False
    assignment.state = to
    return True


def _take_place(item: int) -> bool:
    free = Q(held__lt=F("wanted"), retired_at=None)
    return bool(Item.objects.filter(free, pk=item).update(held=F("held") + 1))


def _give_place(item: int) -> None:
    if not Item.objects.filter(pk=item, held__gt=0).update(held=F("held") - 1):
        raise IntegrityError(f"Item {item} had no place to give back.")
