"""A campaign comes back from a backup as it was, and goes on."""

import pytest
from django.core.management import call_command

from annotation.models import Annotator, Assignment, Campaign, Item
from annotation.services import campaigns, crowd
from arena.models import Vote
from tests import factories
from tests.campaigns.conftest import answer, ask, leased

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("folders_of_their_own")]


def rows():
    return [list(model.objects.order_by("pk").values()) for model in (Campaign, Item, Annotator, Assignment)]


@pytest.mark.parametrize("one_arena", [False, True])
def test_a_campaign_goes_on_after_a_restore(tmp_path, one_arena):
    arena = factories.make_pool("garden", contestants=3, prompts=3)
    draft = campaigns.create_campaign(
        arena=arena, name="Weeding", k=2, overlap=2, pay_per_battle="0.2", currency="EUR"
    )
    campaign = campaigns.start_campaign(campaign=draft)
    one, idle = (crowd.join(campaign=campaign, voter=factories.make_voter()) for _ in range(2))
    answer(leased(one))
    held = leased(one)
    before, file = rows(), tmp_path / "kept.zip"
    call_command("backup", str(file), *(["--arena", "garden"] if one_arena else []))
    call_command("flush", interactive=False, verbosity=0)
    assert not Campaign.objects.exists()

    call_command("restore", str(file))

    assert rows() == before
    assert ask(Annotator.objects.get(pk=idle.pk)).kind == "battle"
    answer(leased(Annotator.objects.get(pk=one.pk)))
    assert Vote.objects.count() == 2
    assert Assignment.objects.get(pk=held.pk).state == "voted"
