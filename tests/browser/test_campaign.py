"""A campaign in the browser: by keyboard from the link to the code, the lease, and the wait for others."""

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Annotator, Assignment, Campaign, Item
from annotation.services import campaigns, crowd, items, places
from annotation.services.queue import next_item
from arena.models import Vote
from tests import factories
from tests.browser.test_accessibility import assert_accessible

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def make_campaign(**fields) -> Campaign:
    arena = factories.make_pool("garden", contestants=3, prompts=4)
    settings = {"arena": arena, "name": "Weeding", "k": 2, "overlap": 1, "open_link": True, **fields}
    return campaigns.start_campaign(campaign=campaigns.create_campaign(**settings))


def join(page: Page, campaign: Campaign) -> None:
    page.goto(f"/campaigns/{campaign.slug}/join/{campaign.token}/")
    page.get_by_role("button", name="Take part").click()
    page.get_by_role("link", name="Begin").click()
    expect(page.locator("#battle")).to_be_visible()


def judge_by_keys(page: Page) -> None:
    expect(page.locator("#show-keys")).to_be_visible()  # the scripts listen
    for key in ("1", "2", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#reveal")).to_be_visible()


def test_from_the_link_to_the_code_by_keyboard(page):
    campaign = make_campaign(most_each=2, instructions="Look **closely**.")
    join(page, campaign)
    assert_accessible(page)

    judge_by_keys(page)
    expect(page.locator(".campaign-bar")).to_contain_text("1 of 2 judged")
    assert_accessible(page)
    page.keyboard.press("Enter")
    expect(page.locator("#battle")).to_be_visible()
    judge_by_keys(page)
    page.keyboard.press("Enter")

    expect(page.locator("#code")).to_have_value(campaign.code_complete)
    assert_accessible(page)
    assert Vote.objects.count() == 2


def test_the_page_warns_before_the_lease_ends_and_keeps_it_when_asked(page):
    campaign = make_campaign(lease_minutes=1)
    join(page, campaign)
    warning = page.locator("#lease-warning")
    expect(warning).to_contain_text("kept for you for another")
    assert_accessible(page)
    before = Assignment.objects.get().leased_until

    page.get_by_role("button", name="Keep it longer").click()

    with page.expect_response(lambda answer: answer.url.endswith("/keep/")):
        page.get_by_role("button", name="Keep it longer").click()
    assert Assignment.objects.get().leased_until > before


def test_who_waits_gets_the_battle_by_itself_when_it_comes_free(page):
    campaign = make_campaign(prompt_filter={"most": 1})
    other = crowd.join(campaign=campaign, voter=factories.make_voter())
    held = next_item(annotator=Annotator.objects.select_related("campaign__arena", "voter").get(pk=other.pk))
    page.goto(f"/campaigns/{campaign.slug}/join/{campaign.token}/")
    page.get_by_role("button", name="Take part").click()
    page.get_by_role("link", name="Begin").click()
    expect(page.locator("#waiting")).to_contain_text("Others are working on the last battles")
    assert_accessible(page)

    places.give_back(held.assignment)

    expect(page.locator("#battle")).to_be_visible()


def test_the_qualification_teaches_on_the_page(page):
    arena = factories.make_pool("garden", contestants=3, prompts=4)
    draft = campaigns.create_campaign(arena=arena, name="Weeding", k=2, overlap=1, open_link=True)
    better, worse = arena.prompts.first().responses.values_list("id", flat=True)[:2]
    items.add_known(
        campaign=draft,
        purpose="qualification",
        responses=[better, worse],
        expected={"above": [[better, worse]]},
        explanation="The first answers the question.",
    )
    join(page, campaigns.start_campaign(campaign=draft))
    expect(page.locator(".campaign-bar")).to_contain_text("question 1 of 1")

    judge_by_keys(page)

    expect(page.locator("#feedback")).to_contain_text("The first answers the question.")
    assert_accessible(page)
    assert Item.objects.filter(purpose="").count() == 4


def test_the_leads_pages_are_accessible_and_fit_a_narrow_screen(new_page, sign_in_page):
    campaign = make_campaign(checks_every=3, panel="prolific", pay_per_battle="0.2", currency="EUR")
    lead = factories.make_user("grace")
    factories.make_member(campaign.arena, lead, "lead")
    factories.make_member(campaign.arena, factories.make_user("ada"))
    campaigns.invite(campaign=campaign, users=[lead])
    page = new_page(width=320)
    sign_in_page(page, lead)
    prompt = campaign.arena.prompts.first()
    one = f"campaigns/{campaign.slug}/"
    for path in ("campaigns/", "new-campaign/", one, one + "edit/", f"{one}questions/?prompt={prompt.pk}"):
        page.goto(f"/arenas/garden/manage/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
        assert_accessible(page)
