"""A campaign ends at its time, and when everybody has had what is left; its lead reads why."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.models import Annotator, Campaign
from annotation.services import campaigns, endings
from arena import keeper
from arena.errors import BadInput
from arena.models import AuditEntry, Vote, WebhookDelivery
from arena.services import webhooks
from tests.campaigns.conftest import annotator_of, answer, ask, judge_all, leased

pytestmark = pytest.mark.django_db
SKIP = {"skip": "The prompt is unclear"}
HOUR = timedelta(hours=1)


def now_closes(campaign: Campaign, at=None) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(closes_at=at or timezone.now() - HOUR)


def test_the_time_to_close_ends_a_campaign_and_tells_why(started, ada, grace, sign_in, monkeypatch):
    campaign = started()
    monkeypatch.setattr(webhooks, "check_url", lambda *_given, **_more: None)
    webhooks.add_webhook(
        arena=campaign.arena, url="https://example.org/", events=["campaign.closed"], by=grace
    )
    annotator = annotator_of(campaign, ada)
    answer(leased(annotator))
    now_closes(campaign)

    assert endings.end_overdue() == 1
    assert endings.end_overdue() == 0  # whoever looks next ends nothing twice

    campaign.refresh_from_db()
    assert (campaign.state, campaign.ended_because) == ("finished", "time")
    assert campaign.finished_at is not None
    assert ask(annotator).kind == "closed"
    assert Vote.objects.counted().count() == 1
    told = json.loads(WebhookDelivery.objects.get(event="campaign.closed").body)["data"]
    assert (told["votes"], told["wanted"], told["because"]) == (1, campaign.votes_wanted, "time")
    assert AuditEntry.objects.get(action="campaign closed").details["votes"] == 1
    page = sign_in(grace).get(f"/arenas/garden/manage/campaigns/{campaign.slug}/").content.decode()
    assert "Its time was over before all votes were in." in page


def test_before_its_time_and_without_one_a_campaign_goes_on(started):
    early, endless = started(), started(name="Digging")
    now_closes(early, timezone.now() + HOUR)

    assert endings.end_overdue() == 0
    assert {early.state, endless.state} == {"running"}


def test_every_worker_looks(monkeypatch):
    assert "annotation.services.endings.end_overdue" in keeper._chores
    looked = []
    monkeypatch.setattr(endings, "end_overdue", lambda: looked.append(1) or 0)
    monkeypatch.setattr("arena.services.jobs.reap", lambda: {})
    monkeypatch.setattr("arena.services.canaries.send_canaries", lambda: None)
    monkeypatch.setattr(keeper.connection, "close", lambda: None)
    monkeypatch.setattr(keeper._stopped, "wait", lambda _seconds: True)

    keeper.keep()

    assert looked == [1]


def test_it_does_not_go_on_until_its_time_is_moved(started, ada):
    campaign = started()
    now_closes(campaign)
    endings.end_overdue()
    campaign.refresh_from_db()

    with pytest.raises(BadInput, match="The time at which it closes has passed"):
        campaigns.resume_campaign(campaign=campaign)
    now_closes(campaign, timezone.now() + HOUR)
    campaign.refresh_from_db()
    campaigns.resume_campaign(campaign=campaign)

    campaign.refresh_from_db()
    assert (campaign.state, campaign.ended_because, campaign.finished_at) == ("running", "", None)
    assert ask(annotator_of(campaign, ada)).kind == "battle"


def test_what_everybody_skipped_ends_the_campaign(started, ada, bob, sign_in):
    campaign = started(overlap=1)
    first, second = annotator_of(campaign, ada), annotator_of(campaign, bob)
    answer(leased(first), SKIP)
    judge_all(first)
    campaign.refresh_from_db()
    assert campaign.state == "running"  # Bob has not seen what Ada skipped

    judge_all(second, SKIP)

    campaign.refresh_from_db()
    assert (campaign.state, campaign.ended_because) == ("finished", "skipped")
    assert ask(first).kind == ask(second).kind == "nothing_left"
    mine = sign_in(ada).get("/campaigns/").content.decode()
    assert '<span class="tag">closed</span>' in mine
    assert Vote.objects.filter(kind=Vote.Kind.RANKING).count() == campaign.votes_wanted - 1


@pytest.mark.parametrize(
    "still", ["paused", "invited", "holds one", "by a link"], ids=["paused", "invited", "holds", "link"]
)
def test_while_anybody_could_still_judge_it_stays_open(started, ada, bob, still):
    campaign = started(overlap=2, open_link=still == "by a link")
    first = annotator_of(campaign, ada)
    if still != "by a link":
        second = annotator_of(campaign, bob)
        if still == "paused":
            Annotator.objects.filter(pk=second.pk).update(state=Annotator.State.PAUSED)
        elif still == "holds one":
            judge_all(second, SKIP, most=3)
            leased(second)

    judge_all(first, SKIP)
    ask(first)

    campaign.refresh_from_db()
    assert campaign.state == "running"


def test_who_was_excluded_or_has_had_enough_is_not_waited_for(started, ada, bob):
    campaign = started(overlap=2, most_each=6)
    first, second = annotator_of(campaign, ada), annotator_of(campaign, bob)
    Annotator.objects.filter(pk=second.pk).update(state=Annotator.State.EXCLUDED)

    judge_all(first)
    ask(first)

    campaign.refresh_from_db()
    assert (campaign.state, campaign.ended_because) == ("finished", "skipped")
