"""What a campaign's annotators judge: items drawn a batch at a time, gold questions, checks."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import Campaign, Item
from annotation.services import grading
from arena.errors import BadInput
from arena.models import Battle, Contestant, Prompt, Response, Vote
from arena.services import audit
from arena.services.drawing_ahead import Pool, all_combinations, draw_ahead, pools
from arena.services.matchmaking import Draw

ORDINARY, GOLD = Battle.Purpose.ORDINARY, Battle.Purpose.GOLD
QUALIFICATION = Battle.Purpose.QUALIFICATION
MOST_ITEMS = 50_000
MOST_PENDING = 200
MOST_CHECKS = 50
INSTRUCTION = "instruction"
PROMOTED = "unanimous"


def prompts_of(campaign: Campaign) -> list[int]:
    """Ids of the prompts that the campaign's filter lets through, in their order."""
    chosen: dict[str, Any] = campaign.prompt_filter
    prompts = Prompt.objects.drawable().filter(arena=campaign.arena).order_by("id")
    if chosen.get("split"):
        prompts = prompts.filter(split=chosen["split"])
    if chosen.get("keys"):
        prompts = prompts.filter(key__in=chosen["keys"])
    tags = set(chosen.get("tags") or [])
    ids = [pk for pk, has in prompts.values_list("id", "tags") if not tags or tags & set(has or [])]
    return ids[: chosen["most"]] if chosen.get("most") else ids


def contestants_of(campaign: Campaign) -> list[int]:
    """Ids of the contestants that are shown: those named, or all that compete."""
    competing = Contestant.objects.active().filter(arena=campaign.arena).order_by("id")
    competing = (
        competing.filter(pk__in=campaign.contestants)
        if campaign.contestants
        else competing.filter(weight__gt=0)
    )
    return list(competing.values_list("id", flat=True))


def pools_of(campaign: Campaign, prompts: Sequence[int] | None = None) -> list[Pool]:
    wanted = prompts_of(campaign) if prompts is None else prompts
    return pools(prompts=wanted, contestants=contestants_of(campaign), k=campaign.k)


def more_items(campaign: Campaign) -> bool:
    """Draw the next batch where one is left to draw. True: look again, there may be new items.

    Of many who find nothing free at once one draws; the others wait for it and look again.
    """
    campaign.refresh_from_db(fields=["drawn", "target", "state"])
    drawn, batch = campaign.drawn, min(campaign.batch, campaign.target - campaign.drawn)
    if batch <= 0 or campaign.state != Campaign.State.RUNNING:
        return False
    with transaction.atomic():
        if not Campaign.objects.filter(pk=campaign.pk, drawn=drawn).update(drawn=drawn + batch):
            return True
        plan = campaign.plan
        prompts = plan[drawn : drawn + batch]
        draws = _draw(campaign, prompts)
        _store(campaign, draws, first=drawn)
        if len(draws) < batch:
            # Contestants were retired since the start, and these battles cannot be: fewer are wanted.
            target = campaign.target - (batch - len(draws))
            Campaign.objects.filter(pk=campaign.pk).update(drawn=drawn + len(draws), target=target)
            audit.record(action="campaign target lowered", target=campaign, details={"battles": target})
    return True


def lay_out_all(campaign: Campaign) -> int:
    """All combinations of the contestants on every prompt, or the sets that were named, as items. How many
    there are.
    """
    draws = sets_of(campaign) or list(all_combinations(pools=pools_of(campaign, campaign.plan), k=campaign.k))
    _store(campaign, draws, first=0)
    return len(draws)


def sets_of(campaign: Campaign) -> list[Draw]:
    """The sets of responses that the campaign names, but for those with what competes no more."""
    named: list[list[int]] = campaign.prompt_filter.get("sets", [])
    prompts, contestants = set(prompts_of(campaign)), set(contestants_of(campaign))
    rows = Response.objects.filter(pk__in={one for several in named for one in several})
    of = {pk: (prompt, who) for pk, prompt, who in rows.values_list("pk", "prompt", "contestant")}
    found = []
    for several in named:
        told = [of.get(one, (None, None)) for one in several]
        asked = {prompt for prompt, _who in told}
        whose = tuple(who for _prompt, who in told if who in contestants)
        if len(asked) == 1 and asked <= prompts and len(whose) == len(several) == campaign.k:
            found.append(Draw(told[0][0], whose, tuple(several), "named", 1.0))
    return found


def add_checks(campaign: Campaign) -> None:
    """Battles that carry an instruction: what they show is drawn like any other."""
    if not campaign.checks_every:
        return
    most = campaign.most_each or campaign.target
    wanted = min(MOST_CHECKS, 1 + most // campaign.checks_every)
    prompts = [campaign.plan[place % len(campaign.plan)] for place in range(wanted)]
    draws = draw_ahead(arena=campaign.arena, pools=pools_of(campaign, prompts), k=campaign.k)
    Item.objects.bulk_create(
        Item(
            campaign=campaign,
            prompt_id=_prompt(draw),
            responses=sorted(draw.responses),
            purpose=GOLD,
            strategy=draw.strategy,
            propensity=draw.propensity,
            origin=INSTRUCTION,
        )
        for draw in draws
    )


def add_known(
    *,
    campaign: Campaign,
    purpose: str,
    responses: Sequence[int],
    expected: dict[str, Any],
    explanation: str = "",
    origin: str = "",
    by: User | None = None,
) -> Item:
    """A gold question, or one of the qualification: responses to one prompt, and what is expected.

    Raises BadInput where the responses are not of one prompt of this arena and K contestants.
    """
    if purpose not in (GOLD, QUALIFICATION):
        raise BadInput(_("A known answer belongs to a gold question or to the qualification."))
    found = list(Response.objects.filter(pk__in=responses, contestant__arena=campaign.arena))
    prompts, contestants = {one.prompt_id for one in found}, {one.contestant_id for one in found}
    if len(found) != len(set(responses)) or len(prompts) != 1 or len(contestants) != len(found):
        raise BadInput(_("Choose responses of different contestants to one prompt of this arena."))
    if len(found) != campaign.k:
        raise BadInput(_("A battle of this campaign has %s responses.") % campaign.k)
    _check_expected(expected, {one.pk for one in found})
    item = Item.objects.create(
        campaign=campaign,
        prompt_id=prompts.pop(),
        responses=sorted(one.pk for one in found),
        purpose=purpose,
        expected=expected,
        explanation=explanation.strip(),
        origin=origin or "lead",
    )
    audit.record(
        action=f"{purpose} question added", target=item, actor=by, details={"campaign": campaign.slug}
    )
    return item


def expected_of(ranks: dict[int, int]) -> dict[str, Any]:
    """What is expected where these responses are to have these ranks, 1 the best. Raises BadInput."""
    return grading.expected_from_ranks(list(ranks), list(ranks.values()))


def unanimous_items(campaign: Campaign, least: int = 3) -> list[tuple[Item, list[list[int]]]]:
    """Items on which at least `least` people agree about something, with the pairs that all of them say.

    Offered to the lead as gold questions; those that are some already are left out.
    """
    there = {tuple(one) for one in campaign.items.filter(purpose=GOLD).values_list("responses", flat=True)}
    votes: dict[int, list[Vote]] = defaultdict(list)
    counted = Vote.objects.orders().filter(
        battle__assignment__campaign=campaign, battle__assignment__state="voted", battle__purpose=ORDINARY
    )
    for vote in counted.select_related("battle__assignment"):
        votes[vote.battle.assignment.item_id].append(vote)
    offered = []
    for item in campaign.items.filter(pk__in=[pk for pk, cast in votes.items() if len(cast) >= least]):
        above = _said_by_all([grading.ranks_of(vote) for vote in votes[item.pk]], item.responses)
        if above and tuple(item.responses) not in there:
            offered.append((item, above))
    return offered


def promote(*, item: Item, by: User | None = None, least: int = 3) -> Item:
    """Make a gold question of an item that everybody answered alike. Its own votes stay what they are."""
    offered = {one.pk: above for one, above in unanimous_items(item.campaign, least)}
    if item.pk not in offered:
        raise BadInput(_("The answers to this item are too few or differ: it makes no gold question."))
    return add_known(
        campaign=item.campaign,
        purpose=GOLD,
        responses=item.responses,
        expected={"above": offered[item.pk]},
        origin=f"{PROMOTED}:{item.pk}",
        by=by,
    )


def retire_item(*, item: Item, by: User | None = None) -> None:
    """Serve a gold or qualification question no more. What was answered stays."""
    if item.purpose == ORDINARY:
        raise BadInput(_("Only gold and qualification questions can be taken out."))
    Item.objects.filter(pk=item.pk, retired_at=None).update(retired_at=timezone.now())
    audit.record(action="question taken out", target=item, actor=by, details={"campaign": item.campaign.slug})


def _draw(campaign: Campaign, prompts: Sequence[int]) -> list[Draw]:
    taken: dict[int, set[frozenset[int]]] = defaultdict(set)
    pending = []
    ordinary = campaign.items.filter(purpose=ORDINARY)
    shown = ordinary.filter(prompt_id__in=prompts).values_list("prompt_id", "responses")
    open_ones = list(ordinary.order_by("-id").values_list("responses", flat=True)[:MOST_PENDING])
    of = _contestants_by_response([*open_ones, *(responses for _prompt, responses in shown)])
    for prompt, responses in shown:
        taken[prompt].add(frozenset(of[one] for one in responses))
    pending = [[of[one] for one in responses] for responses in open_ones]
    return draw_ahead(
        arena=campaign.arena,
        pools=pools_of(campaign, prompts),
        k=campaign.k,
        times=campaign.overlap,
        pending=pending,
        taken=taken,
    )


def _contestants_by_response(groups: Sequence[Sequence[int]]) -> dict[int, int]:
    ids = {one for group in groups for one in group}
    return dict(Response.objects.filter(pk__in=ids).values_list("id", "contestant_id"))


def _store(campaign: Campaign, draws: Sequence[Draw], first: int) -> None:
    Item.objects.bulk_create(
        (
            Item(
                campaign=campaign,
                prompt_id=_prompt(draw),
                responses=sorted(draw.responses),
                purpose=ORDINARY,
                wanted=campaign.overlap,
                batch=(first + place) // campaign.batch,
                strategy=draw.strategy,
                propensity=draw.propensity,
            )
            for place, draw in enumerate(draws)
        ),
        batch_size=500,
    )


def _prompt(draw: Draw) -> int:
    """The one prompt of the draw: an item's responses all answer the same, in every arena."""
    if draw.prompt is None:
        raise BadInput(_("A campaign's battles are about one prompt each."))
    return draw.prompt


def _check_expected(expected: dict[str, Any], responses: Collection[int]) -> None:
    if expected == {"all_bad": True}:
        return
    above = expected.get("above")
    pairs = above if isinstance(above, list) and set(expected) == {"above"} else []
    if not pairs or not all(len(pair) == 2 and set(pair) <= set(responses) for pair in pairs):
        raise BadInput(_("Say what is expected: which response is above which other, or that all are bad."))


def _said_by_all(votes: Sequence[grading.Ranks], responses: Sequence[int]) -> list[list[int]]:
    """Pairs [better, worse] in every one of the votes."""
    return [
        [one, other]
        for one in responses
        for other in responses
        if one != other and all(grading.order_of(ranks, one, other) == 1 for ranks in votes)
    ]
