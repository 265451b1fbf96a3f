"""What an annotator judges next: `next_item` is the heart of a campaign.

Never the same item twice to one person but for a repeat, never more than the wanted votes and
live leases on an item, and never "nothing left" while others merely hold what is left.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import Annotator, Assignment, Campaign, Item
from annotation.services import endings, items, places, progress, qualification
from arena.errors import NotFound
from arena.models import Battle, Voter
from arena.services.standing import check_not_paused
from arena.services.surveys import check_asked

GOLD, REPEAT = Battle.Purpose.GOLD, Battle.Purpose.REPEAT
State = Assignment.State
LOOKS = 6

_random = secrets.SystemRandom()


@dataclass(frozen=True)
class Next:
    """The lease to work on, or why there is none. `kind` is one of KINDS."""

    kind: str
    assignment: Assignment | None = None

    @property
    def is_wait(self) -> bool:
        return self.kind == "wait"


KINDS = (
    "battle", "wait", "enough", "nothing_left", "finished", "closed", "not_open", "resting", "paused",
    "excluded", "screened_out", "returned",
)  # fmt: skip


def next_item(*, annotator: Annotator) -> Next:
    """The annotator's live lease, or a lease on the next item, or the reason why there is none.

    Raises ConsentNeeded where the arena has a question first, and NotAllowed where it has paused the voter.
    """
    campaign = annotator.campaign
    why_not = _why_not(annotator)
    if why_not:
        return Next(why_not)
    check_not_paused(arena=campaign.arena, voter=annotator.voter)
    check_asked(arena=campaign.arena, voter=annotator.voter)
    for _look in range(LOOKS):
        try:
            found = _held(annotator) or _given(annotator)
        except IntegrityError:
            continue  # another tab of this annotator was given something at this moment
        if found is not None and not (found.kind in ("wait", "nothing_left") and _holds(annotator)):
            return found
    return Next("wait")


def standing(annotator: Annotator) -> str:
    """Why there is no battle for the annotator now, one of KINDS; "" where there is one.

    Nothing is given for asking, and nothing drawn.
    """
    campaign, items_ = annotator.campaign, annotator.campaign.items.all()
    why_not = _why_not(annotator)
    if why_not or annotator.state in (Annotator.State.INVITED, Annotator.State.QUALIFYING):
        return why_not
    mine = Assignment.objects.filter(annotator=annotator)
    to_regain = Q(state=State.EXPIRED) & (~Q(purpose="") | Q(item__held__lt=F("item__wanted")))
    if mine.filter(Q(state=State.LEASED) | to_regain).exists():
        return ""
    number = _answered(annotator)
    if campaign.most_each is not None and number >= campaign.most_each:
        return "enough"
    if (
        campaign.drawn < campaign.target
        or places.free_for(annotator=annotator, items=items_).exists()
        or _extra(annotator, number) is not None
    ):
        return ""
    return "wait" if places.is_held_by_others(annotator=annotator, items=items_) else "nothing_left"


def has_begun(annotator: Annotator) -> bool:
    return Assignment.objects.filter(annotator=annotator).exists()


def why_closed(campaign: Campaign) -> str:
    """Why nobody judges in the campaign now; "" where it is open."""
    now = timezone.now()
    if campaign.state == Campaign.State.FINISHED:
        ended = {
            "": "finished",
            Campaign.Ended.TIME.value: "closed",
            Campaign.Ended.SKIPPED.value: "nothing_left",
        }
        return ended[campaign.ended_because]
    if campaign.closes_at is not None and campaign.closes_at <= now:
        return "closed"
    if campaign.state == Campaign.State.DRAFT or (campaign.opens_at is not None and campaign.opens_at > now):
        return "not_open"
    return "resting" if campaign.state == Campaign.State.PAUSED else ""


def sentence(found: Next) -> str:
    """What the annotator reads where there is no battle."""
    return {
        "wait": _("Others are working on the last battles. If one comes free it appears here by itself."),
        "enough": _("You have judged all the battles that were meant for you. Thank you."),
        "nothing_left": _("You have judged everything there is for you. Thank you."),
        "finished": _("The campaign has all its votes. Thank you."),
        "closed": _("The campaign is over: its time has run out. Thank you."),
        "not_open": _("The campaign has not begun yet."),
        "resting": _("The campaign rests for the moment. Come back later: what you did is kept."),
        "paused": _("You are paused in this campaign. What you did is kept."),
        "excluded": _("You do not judge in this campaign any more."),
        "screened_out": _("Thank you for trying. You did not reach the pass mark of the qualification."),
        "returned": _("You gave your place back. Thank you for telling us."),
    }[found.kind]


def _why_not(annotator: Annotator) -> str:
    standing = {
        Annotator.State.EXCLUDED: "excluded",
        Annotator.State.SCREENED_OUT: "screened_out",
        Annotator.State.RETURNED: "returned",
    }
    if annotator.state in standing:
        return standing[Annotator.State(annotator.state)]
    closed = why_closed(annotator.campaign)
    if closed:
        return closed
    return "paused" if annotator.state == Annotator.State.PAUSED else ""


def _holds(annotator: Annotator) -> bool:
    """Whether the annotator has a lease: a page that fetched ahead may have got one since `_held` looked."""
    return Assignment.objects.filter(annotator=annotator, state=State.LEASED).exists()


def _held(annotator: Annotator) -> Next | None:
    """The battle the annotator is in the middle of, with its lease renewed. One that ran out comes
    again where its place is still free; where it is not, the work goes on with another one."""
    mine = Assignment.objects.select_related("battle", "item", "campaign").filter(
        annotator=annotator, state__in=[State.LEASED, State.EXPIRED]
    )
    for assignment in mine.order_by("-id"):
        if assignment.state == State.LEASED and assignment.battle.closed_at is not None:
            places.give_back(assignment)  # closed by somebody else: nobody can answer it
            continue
        # A lease that ran out and was not looked at by anybody yet is renewed like a live one.
        if assignment.state == State.LEASED and places.extend(assignment):
            return Next("battle", assignment)
        assignment.refresh_from_db(fields=["state"])
        if assignment.state == State.EXPIRED and places.regain(assignment):
            return Next("battle", assignment)
        places.close_battle(assignment)
    return None


def _given(annotator: Annotator) -> Next | None:
    """A new lease, or why there is none; None: look again."""
    campaign = annotator.campaign
    places.expire_due(campaign)
    if annotator.state == Annotator.State.INVITED:
        state = qualification.first_state(campaign)
        Annotator.objects.filter(pk=annotator.pk, state=annotator.state).update(state=state)
        annotator.state = state
    if annotator.state == Annotator.State.QUALIFYING:
        return _qualifying(annotator)
    number = _answered(annotator)
    if campaign.most_each is not None and number >= campaign.most_each:
        endings.end_if_exhausted(campaign)
        return Next("enough")
    extra = _extra(annotator, number)
    if extra is not None:
        return Next("battle", places.serve(annotator=annotator, **extra))
    assignment = places.claim(annotator=annotator, items=campaign.items.all())
    if assignment is not None:
        return Next("battle", assignment)
    if items.more_items(campaign):
        return None
    if progress.finish_if_complete(campaign):
        return Next("finished")
    if places.is_held_by_others(annotator=annotator, items=campaign.items.all()):
        return Next("wait")
    # Given free since we looked? Then it is ours to judge.
    assignment = places.claim(annotator=annotator, items=campaign.items.all())
    if assignment is None:
        endings.end_if_exhausted(campaign)
        return Next("nothing_left")
    return Next("battle", assignment)


def _qualifying(annotator: Annotator) -> Next | None:
    question = qualification.next_question(annotator)
    if question is not None:
        return Next("battle", question)
    qualification.conclude(annotator)
    annotator.refresh_from_db(fields=["state", "tries_used"])
    return Next("screened_out") if annotator.state == Annotator.State.SCREENED_OUT else None


def _answered(annotator: Annotator) -> int:
    """How many battles the annotator was given and ended, the qualification apart."""
    ended = [State.VOTED, State.SKIPPED, State.LATE, State.VOID]
    mine = Assignment.objects.filter(annotator=annotator, state__in=ended)
    return int(mine.exclude(purpose=Battle.Purpose.QUALIFICATION).count())


def _extra(annotator: Annotator, number: int) -> dict[str, Any] | None:
    """A check, a gold question or a repeat, where the annotator's `number`-th battle is to be one:
    what `places.serve` takes."""
    campaign = annotator.campaign
    if _is_due(annotator, "check", campaign.checks_every, number):
        item = _unasked(annotator, campaign.items.filter(purpose=GOLD, origin=items.INSTRUCTION))
        if item is not None:
            return {"item": item, "purpose": GOLD, "checked": True}
    if _is_due(annotator, "gold", campaign.gold_every, number):
        item = _unasked(annotator, campaign.items.filter(purpose=GOLD).exclude(origin=items.INSTRUCTION))
        if item is not None:
            return {"item": item, "purpose": GOLD}
    if _is_due(annotator, "repeat", campaign.repeat_every, number):
        item = _repeatable(annotator)
        if item is not None:
            return {"item": item, "purpose": REPEAT, "repetition": 1}
    return None


def _is_due(annotator: Annotator, kind: str, every: int, number: int) -> bool:
    """Exactly one in `every`, at a place within each run of so many that nobody can foretell."""
    if not every:
        return False
    run = f"{kind}:{annotator.campaign_id}:{annotator.pk}:{number // every}".encode()
    digest = hmac.new(settings.SECRET_KEY.encode(), run, hashlib.sha256).digest()
    return number % every == int.from_bytes(digest[:8], "big") % every


def _unasked(annotator: Annotator, known: QuerySet[Item]) -> Item | None:
    asked = Exists(Assignment.objects.filter(item=OuterRef("pk"), annotator=annotator))
    return known.filter(~asked, retired_at=None).order_by("?").first()


def _repeatable(annotator: Annotator) -> Item | None:
    """One of the annotator's own items, judged long enough ago and not repeated yet."""
    judged = Assignment.objects.filter(annotator=annotator, purpose="", repetition=0, state=State.VOTED)
    old = list(judged.order_by("-id").values_list("item_id", flat=True)[annotator.campaign.repeat_gap :])
    again = set(
        Assignment.objects.filter(annotator=annotator, item__in=old, repetition__gt=0).values_list(
            "item_id", flat=True
        )
    )
    left = [item for item in old if item not in again]
    return Item.objects.get(pk=_random.choice(left)) if left else None


def annotator_in(*, slug: str, voter: Voter | None) -> Annotator:
    """The voter's part in the campaign. Raises NotFound, in the same words whatever is wrong."""
    mine = Annotator.objects.filter(campaign__slug=slug, voter=voter).select_related(
        "campaign__arena", "voter"
    )
    annotator = mine.first() if voter is not None else None
    if annotator is None:
        raise NotFound(
            _("There is no campaign of yours at this address. Open the link you were sent, or sign in.")
        )
    return annotator


def campaigns_of(voter: Voter | None) -> list[Annotator]:
    """The voter's campaigns, the newest first."""
    if voter is None:
        return []
    mine = Annotator.objects.filter(voter=voter).exclude(campaign__state=Campaign.State.DRAFT)
    return list(mine.select_related("campaign__arena", "voter").order_by("-campaign_id"))


def keep_lease(*, annotator: Annotator, battle: Battle) -> int:
    """Renew the lease on the battle that the annotator is working on. Seconds left; 0: it has ended."""
    assignment = (
        Assignment.objects.select_related("campaign").filter(annotator=annotator, battle=battle).first()
    )
    if assignment is None or not (places.extend(assignment) or places.regain(assignment)):
        return 0
    return seconds_left(assignment)


def seconds_left(assignment: Assignment) -> int:
    return max(0, int((assignment.leased_until - timezone.now()).total_seconds()))


def instruction(assignment: Assignment) -> str:
    """What a check asks for, clearly; "" for an ordinary battle."""
    if assignment.check_position is None:
        return ""
    letter = "ABCDEFGH"[assignment.check_position]
    return _(
        "This battle checks that instructions are read. Whatever the responses say, put response "
        "%(letter)s first, alone: it is the right answer here."
    ) % {"letter": letter}
