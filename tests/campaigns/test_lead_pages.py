"""The lead's pages: set up, preview, start, watch, rule, export."""

import csv
import io

import pytest

from annotation.campaign_forms import CampaignForm
from annotation.models import Annotator, Campaign, Item
from annotation.services import campaigns
from arena.models import AuditEntry, Vote
from tests.campaigns.conftest import annotator_of, answer, judge_all, leased

pytestmark = pytest.mark.django_db
ALL = "/arenas/garden/manage/campaigns/"
NEW = "/arenas/garden/manage/new-campaign/"


def filled_in(arena, **changes):
    """The form as the browser sends it back untouched, but for the changes."""
    form = CampaignForm(arena=arena)
    values = {name: form[name].value() for name in form.fields}
    plain = {name: value for name, value in values.items() if value is not False and (value == 0 or value)}
    return {"name": "Weeding", **plain, **changes}


@pytest.fixture
def grace_in(sign_in, grace):
    return sign_in(grace)


def test_from_the_empty_list_to_a_running_campaign(open_arena, grace_in):
    assert "Set up the first one" in grace_in.get(ALL).content.decode()

    saved = grace_in.post(
        NEW, filled_in(open_arena, k=2, overlap=2, gold_every=0), follow=True
    ).content.decode()
    assert "What it means" in saved
    assert "<dd>12</dd>" in saved  # votes: six prompts, two people each
    assert Campaign.objects.get().state == "draft"
    started = grace_in.post(ALL + "weeding/act/", {"act": "start"}, follow=True).content.decode()

    assert "0 / 12" in started
    assert Campaign.objects.get().state == "running"
    assert "0 of 12" in grace_in.get(ALL).content.decode()


def test_a_setting_that_cannot_be_is_refused_in_words_and_nothing_is_lost(open_arena, grace_in):
    wrong = filled_in(open_arena, instructions="Look closely.", pay_per_battle="0.2", currency="")

    page = grace_in.post(NEW, wrong)

    assert page.status_code == 400
    text = page.content.decode()
    assert "Give the currency of the pay" in text
    assert "Look closely." in text
    assert Campaign.objects.count() == 0


def test_a_campaign_that_cannot_start_says_what_is_missing(draft, grace_in):
    campaign = draft(gold_every=5)

    page = grace_in.post(ALL + f"{campaign.slug}/act/", {"act": "start"})

    assert page.status_code == 400
    assert "Gold questions are on, but there are none" in page.content.decode()
    campaign.refresh_from_db()
    assert campaign.state == "draft"


def test_what_is_judged_is_fixed_once_it_runs_and_the_rest_can_change(started, grace_in):
    campaign = started(overlap=2)
    address = ALL + f"{campaign.slug}/edit/"
    form = filled_in(campaign.arena, name="Weeding II", overlap=9, k=4, lease_minutes=30)

    assert grace_in.post(address, form).status_code == 302

    campaign.refresh_from_db()
    assert (campaign.name, campaign.lease_minutes) == ("Weeding II", 30)
    assert (campaign.overlap, campaign.k) == (2, 2)


def test_thresholds_of_the_form_are_kept_and_shown_again(open_arena, grace_in):
    form = filled_in(open_arena, speed_limit="4", speed_after="12", speed_act="pause")
    grace_in.post(NEW, form)

    rules = Campaign.objects.get().rules

    assert rules == [{"measure": "speed", "limit": 4.0, "after": 12, "act": "pause"}]
    page = grace_in.get(ALL + "weeding/edit/").content.decode()
    assert '<option value="pause" selected>' in page


def test_members_are_invited_and_somebody_from_elsewhere_is_not(started, grace_in, ada, mallory):
    campaign = started()
    address = ALL + f"{campaign.slug}/invite/"

    assert grace_in.post(address, {"user": [ada.pk, mallory.pk]}).status_code == 302
    assert [one.voter.user for one in Annotator.objects.all()] == [ada]
    assert grace_in.post(address, {"user": [mallory.pk]}).status_code == 400
    grace_in.post(address, {"user": [ada.pk]})
    assert Annotator.objects.count() == 1


def test_an_annotator_is_excluded_with_the_votes_and_taken_back(started, grace_in, ada):
    campaign = started(overlap=1)
    one = annotator_of(campaign, ada)
    judge_all(one, most=2)
    address = ALL + f"{campaign.slug}/annotators/{one.pk}/"

    assert grace_in.post(address, {"action": "excluded", "reason": " "}).status_code == 400
    grace_in.post(address, {"action": "excluded", "reason": "Clicks without reading."})
    assert Vote.objects.counted().count() == 0
    assert sum(item.held for item in campaign.items.all()) == 0
    page = grace_in.get(ALL + f"{campaign.slug}/").content.decode()
    assert "Clicks without reading." in page

    grace_in.post(address, {"action": "reinstated", "reason": "It was somebody else."})
    assert Vote.objects.counted().count() == 2
    assert campaigns.progress.progress_of(campaign).votes == 2
    written_down = set(AuditEntry.objects.values_list("action", flat=True))
    assert written_down >= {"annotator excluded", "annotator reinstated"}


def test_a_gold_question_is_made_of_a_prompts_responses(started, grace_in):
    campaign = started()
    prompt = campaign.arena.prompts.first()
    better, worse = prompt.responses.values_list("id", flat=True)[:2]
    address = ALL + f"{campaign.slug}/questions/"

    shown = grace_in.get(address, {"prompt": prompt.pk}).content.decode()
    assert f'name="rank-{better}"' in shown
    tie = {"prompt": prompt.pk, f"rank-{better}": 1, f"rank-{worse}": 1, "purpose": "gold"}
    assert grace_in.post(address, tie).status_code == 400
    grace_in.post(address, {**tie, f"rank-{worse}": 2})

    made = Item.objects.get(purpose="gold")
    assert made.expected == {"above": [[better, worse]]}
    grace_in.post(address, {"retire": made.pk})
    made.refresh_from_db()
    assert made.retired_at is not None


def test_the_open_link_is_renewed_and_the_old_one_ends(started, grace_in, client):
    campaign = started(open_link=True)
    old = f"/campaigns/{campaign.slug}/join/{campaign.token}/"

    grace_in.post(ALL + f"{campaign.slug}/act/", {"act": "link"})

    assert client.get(old).status_code == 404
    campaign.refresh_from_db()
    assert client.get(f"/campaigns/{campaign.slug}/join/{campaign.token}/").status_code == 200


def test_answers_and_payments_come_as_files(started, grace_in, ada):
    campaign = started(pay_per_battle="0.25", currency="EUR")
    answer(leased(annotator_of(campaign, ada)))

    answers = grace_in.get(ALL + f"{campaign.slug}/answers.csv").content.decode()
    payments = grace_in.post(ALL + f"{campaign.slug}/payments.csv").content.decode()

    row = next(csv.DictReader(io.StringIO(answers)))
    assert (row["annotator"], row["kind"], row["purpose"]) == ("A1", "ranking", "ordinary")
    owed = next(csv.DictReader(io.StringIO(payments)))
    assert (owed["user"], owed["judged"], owed["earned"], owed["currency"]) == ("ada", "1", "0.250", "EUR")
    assert AuditEntry.objects.filter(action="campaign payments exported").count() == 1


def test_nobody_but_leads_sees_or_changes_a_campaign(started, sign_in, ada, mallory, client):
    campaign = started()
    one = annotator_of(campaign, ada)
    base = ALL + f"{campaign.slug}/"
    for visitor in (client, sign_in(ada), sign_in(mallory)):
        for page in (ALL, NEW, base, base + "edit/", base + "questions/", base + "answers.csv"):
            assert visitor.get(page).status_code in (302, 401, 403)
        for page in ("act/", "invite/", f"annotators/{one.pk}/", "payments.csv"):
            assert visitor.post(base + page, {"act": "pause"}).status_code in (302, 401, 403)
    campaign.refresh_from_db()
    assert campaign.state == "running"


def test_another_arenas_lead_does_not_find_the_campaign(started, grace_in):
    campaign = started()

    assert grace_in.get(f"/arenas/cellar/manage/campaigns/{campaign.slug}/").status_code == 404


def test_wrong_methods_and_unknown_acts_are_refused(started, grace_in):
    base = ALL + f"{started().slug}/"
    assert grace_in.get(base + "act/").status_code == 405
    assert grace_in.get(base + "payments.csv").status_code == 405
    assert grace_in.post(base).status_code == 405
    assert grace_in.post(base + "act/", {"act": "explode"}).status_code == 400
    assert grace_in.post(base + "act/", {"act": "start"}).status_code == 400  # it was started


def test_the_list_of_campaigns_costs_few_queries_each(started, grace_in, django_assert_max_num_queries):
    for number in range(3):
        started(name=f"Job {number}")

    with django_assert_max_num_queries(14):
        grace_in.get(ALL)


def test_a_finished_campaign_invites_nobody(open_arena, grace_in, ada):
    grace_in.post(NEW, filled_in(open_arena, k=2, gold_every=0))
    grace_in.post(ALL + "weeding/act/", {"act": "start"})
    assert "Invite members" in grace_in.get(ALL + "weeding/").content.decode()

    ended = grace_in.post(ALL + "weeding/act/", {"act": "finish"}, follow=True).content.decode()

    assert Campaign.objects.get().state == "finished"
    assert "Invite members" not in ended
    assert "Nobody took part." in ended
