"""Whether an answer is what was expected: of gold questions, checks, the qualification and repeats."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from django.utils.translation import gettext as _

from annotation.models import Assignment
from arena.errors import BadInput
from arena.models import Vote

# Response ids with their ranks as voted: 1 is best, None is below all ranked ones.
Ranks = Mapping[int, int | None]


def ranks_of(vote: Vote) -> Ranks:
    """The vote's ranks by response id; empty where it has none."""
    if vote.ranks is None:
        return {}
    slots = vote.battle.slots.order_by("position").values_list("response_id", flat=True)
    return {response: rank for response, rank in zip(slots, vote.ranks, strict=True) if response is not None}


def order_of(ranks: Ranks, one: int, other: int) -> int | None:
    """1 where `one` is above `other`, -1 below, 0 tied; None where the vote does not say."""
    first, second = ranks.get(one), ranks.get(other)
    if first is None and second is None:
        return None
    if first is None or second is None:
        return -1 if first is None else 1
    return (first < second) - (first > second)


def is_as_expected(vote: Vote, expected: Mapping[str, Any]) -> bool | None:
    """Whether every expected pair is in the vote. None: "cannot judge" was answered.

    A tie is not as expected. Pairs that a best-only vote says nothing about are not held against it.
    """
    if vote.kind == Vote.Kind.SKIP:
        return None
    if vote.kind == Vote.Kind.ALL_BAD or expected.get("all_bad"):
        return vote.kind == Vote.Kind.ALL_BAD and bool(expected.get("all_bad"))
    ranks = ranks_of(vote)
    said = [order_of(ranks, better, worse) for better, worse in expected["above"]]
    known = [order for order in said if order is not None]
    return bool(known) and all(order == 1 for order in known)


def follows_instruction(vote: Vote, position: int) -> bool:
    """Whether the slot that the instruction named was put first, alone."""
    if vote.ranks is None or vote.ranks[position] is None:
        return False
    return all(
        rank is None or rank > vote.ranks[position]
        for place, rank in enumerate(vote.ranks)
        if place != position
    )


def agreement(first: Vote, again: Vote) -> float | None:
    """The share of pairs of responses that two votes on them put in the same order.

    All bad agrees with all bad and with nothing else. None where they share no pair that both
    speak of, or one of them is "cannot judge".
    """
    kinds = {first.kind, again.kind}
    if Vote.Kind.SKIP in kinds:
        return None
    if Vote.Kind.ALL_BAD in kinds:
        return float(len(kinds) == 1)
    before, after = ranks_of(first), ranks_of(again)
    same = [
        order_of(before, one, other) == order_of(after, one, other)
        for one, other in combinations(sorted(before), 2)
        if order_of(before, one, other) is not None and order_of(after, one, other) is not None
    ]
    return sum(same) / len(same) if same else None


def expected_from_ranks(responses: Sequence[int], ranks: Sequence[int | None]) -> dict[str, Any]:
    """The expectation that these responses are in this order. Ties and unranked ones expect nothing.

    Raises BadInput where no response is above another.
    """
    given = dict(zip(responses, ranks, strict=True))
    above = [
        [one, other] if order == 1 else [other, one]
        for one, other in combinations(responses, 2)
        if (order := order_of(given, one, other))
    ]
    if not above:
        raise BadInput(_("Say of at least one response that it is better than another."))
    return {"above": above}


def grade(assignment: Assignment, vote: Vote) -> None:
    """Fill in `correct` or `agreement` of an assignment whose battle this vote answers."""
    if assignment.check_position is not None:
        assignment.correct = follows_instruction(vote, assignment.check_position)
    elif assignment.item.expected:
        assignment.correct = is_as_expected(vote, assignment.item.expected)
        if assignment.purpose == "qualification":
            assignment.correct = bool(assignment.correct)  # a skipped question is not a right one
    elif assignment.purpose == "repeat":
        first = Vote.objects.filter(
            battle__assignment__item=assignment.item_id,
            battle__assignment__annotator=assignment.annotator_id,
            battle__assignment__repetition=0,
        ).first()
        assignment.agreement = None if first is None else agreement(first, vote)
    else:
        return
    assignment.save(update_fields=["correct", "agreement"])
