"""The qualification round: questions with known answers, feedback after each, a pass mark and some tries.

It decides who takes part. It is never a ground for refusing somebody's pay: who does not pass gets the
code for being screened out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from annotation.models import Annotator, Assignment, Campaign, Item
from annotation.services import places
from arena.models import Battle, Vote

QUALIFICATION = Battle.Purpose.QUALIFICATION
ANSWERED = (Assignment.State.VOTED, Assignment.State.SKIPPED)


@dataclass(frozen=True)
class Feedback:
    """What a qualification question teaches after the answer. `above` are letters of the slots shown."""

    right: bool
    explanation: str
    above: tuple[tuple[str, str], ...]
    all_bad: bool


def questions(campaign: Campaign) -> QuerySet[Item]:
    return Item.objects.filter(campaign=campaign, purpose=QUALIFICATION, retired_at=None).order_by("id")


def first_state(campaign: Campaign) -> str:
    """Where an annotator begins."""
    return Annotator.State.QUALIFYING if questions(campaign).exists() else Annotator.State.ACTIVE


def next_question(annotator: Annotator) -> Assignment | None:
    """A lease on the next question of this try; None where all are answered."""
    asked = Exists(
        Assignment.objects.filter(
            item=OuterRef("pk"), annotator=annotator, repetition=annotator.tries_used, state__in=ANSWERED
        )
    )
    for item in questions(annotator.campaign).filter(~asked):
        # One that was given back while it was open is asked anew.
        Assignment.objects.filter(item=item, annotator=annotator, repetition=annotator.tries_used).delete()
        return places.serve(
            annotator=annotator, item=item, purpose=QUALIFICATION, repetition=annotator.tries_used
        )
    return None


def score(annotator: Annotator, tried: int | None = None) -> tuple[int, int]:
    """Right answers and questions of one try (None: the current one)."""
    number = annotator.tries_used if tried is None else tried
    answered = Assignment.objects.filter(annotator=annotator, purpose=QUALIFICATION, repetition=number)
    answered = answered.filter(state__in=ANSWERED)
    return answered.filter(correct=True).count(), answered.count()


@transaction.atomic
def conclude(annotator: Annotator) -> bool:
    """Let the annotator in, or out, once every question of the try is answered. True: it was decided.

    Of two calls at once one decides: the state and the number of tries are left by a conditional update.
    """
    wanted = questions(annotator.campaign).count()
    right, answered = score(annotator)
    if annotator.state != Annotator.State.QUALIFYING or answered < wanted:
        return False
    trying = Annotator.objects.filter(
        pk=annotator.pk, state=Annotator.State.QUALIFYING, tries_used=annotator.tries_used
    )
    tries = annotator.tries_used + 1
    if 100 * right >= annotator.campaign.pass_mark * wanted:
        state = Annotator.State.ACTIVE
    elif tries >= annotator.campaign.tries:
        state = Annotator.State.SCREENED_OUT
    else:
        state = Annotator.State.QUALIFYING
    if not trying.update(state=state, tries_used=tries):
        return False
    annotator.state, annotator.tries_used = state, tries
    return True


def feedback(vote: Vote) -> Feedback | None:
    """What to tell after this vote; None where it was not a question of the qualification."""
    assignment = Assignment.objects.select_related("item").filter(battle=vote.battle_id).first()
    if assignment is None or assignment.purpose != QUALIFICATION or not assignment.item.expected:
        return None
    slots = dict(vote.battle.slots.values_list("response_id", "position"))
    return Feedback(
        right=bool(assignment.correct),
        explanation=assignment.item.explanation,
        above=_letters(assignment.item.expected.get("above", []), slots),
        all_bad=bool(assignment.item.expected.get("all_bad")),
    )


def sentences(told: Feedback) -> list[str]:
    """The feedback in words, as the page and the API give it."""
    said = [_("That is right.") if told.right else _("That is not what was expected.")]
    if told.all_bad:
        said.append(_("Expected: all of them are bad."))
    elif not told.right:
        pairs = [_("%(one)s above %(other)s") % {"one": one, "other": other} for one, other in told.above]
        said.append(_("Expected: %s.") % ", ".join(pairs))
    return [*said, told.explanation] if told.explanation else said


def _letters(above: Sequence[Sequence[int]], slots: dict[Any, int]) -> tuple[tuple[str, str], ...]:
    return tuple(
        ("ABCDEFGH"[slots[better]], "ABCDEFGH"[slots[worse]])
        for better, worse in above
        if better in slots and worse in slots
    )
