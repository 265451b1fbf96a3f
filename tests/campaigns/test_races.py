"""Many annotators at the same moment, in threads with connections of their own."""

import pytest

from annotation.models import Annotator, Assignment, Campaign
from annotation.services import campaigns, crowd
from annotation.services.queue import next_item
from arena.models import Battle, Vote
from tests import factories
from tests.arena.test_races import at_once
from tests.campaigns.conftest import answer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]


def run_campaign(prompts=4, **fields):
    arena = factories.make_pool("garden", contestants=4, prompts=prompts)
    draft = campaigns.create_campaign(
        arena=arena, name="Weeding", **{"k": 2, "overlap": 2, "batch": 2, **fields}
    )
    return campaigns.start_campaign(campaign=draft)


def people(campaign, number):
    return [crowd.join(campaign=campaign, voter=factories.make_voter()).pk for _ in range(number)]


def fresh(pk):
    return Annotator.objects.select_related("campaign__arena", "voter").get(pk=pk)


def ask(pk):
    return next_item(annotator=fresh(pk))


def judge(pk):
    """Judge until there is nothing to judge now."""
    while (found := ask(pk)).assignment is not None:
        answer(found.assignment)
    return found.kind


def test_of_many_who_ask_at_once_no_more_are_served_than_are_wanted():
    campaign = run_campaign(prompts=1, overlap=3)
    ids = people(campaign, 8)

    kinds = [found.kind for found in at_once(*[lambda pk=pk: ask(pk) for pk in ids])]

    assert sorted(kinds) == ["battle"] * 3 + ["wait"] * 5
    assert campaign.items.get().held == 3


def test_one_who_asks_in_many_tabs_at_once_gets_one_battle():
    campaign = run_campaign()
    (one,) = people(campaign, 1)

    found = at_once(*[lambda: ask(one)] * 6)

    assert {each.assignment.battle_id for each in found} == {Battle.objects.get().pk}
    assert sum(item.held for item in campaign.items.all()) == 1


def test_many_who_judge_at_once_end_the_campaign_with_exactly_the_wanted_votes():
    campaign = run_campaign(prompts=5)
    ids = people(campaign, 6)

    for _round in range(4):  # whoever had to wait asks again
        kinds = at_once(*[lambda pk=pk: judge(pk) for pk in ids])

    assert set(kinds) == {"finished"}
    assert Vote.objects.count() == campaign.votes_wanted == 10
    pairs = list(Assignment.objects.values_list("item", "annotator"))
    assert len(pairs) == len(set(pairs)) == 10
    assert Campaign.objects.get().state == "finished"
