"""Manage → Contestants in the browser: one is added, tried out on the open page, changed and retired."""

import pytest
from playwright.sync_api import Page, expect

from arena.models import Contestant, Job, Membership
from arena.services import leases
from gpu_workers.check_task import check_backend
from tests import factories
from tests.browser.test_accessibility import assert_accessible
from tests.services import free_port

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def lead_page(page: Page, sign_in_page) -> Page:
    arena = factories.make_pool("garden")
    grace = factories.make_user("grace")
    factories.make_member(arena, grace, Membership.Role.LEAD)
    sign_in_page(page, grace)
    return page


def test_a_lead_adds_tries_out_changes_and_retires_an_endpoint(lead_page):
    page, address = lead_page, f"http://127.0.0.1:{free_port()}/v1"
    page.goto("/arenas/garden/manage/")
    page.get_by_role("link", name="Add or change").click()
    page.get_by_role("link", name="An OpenAI-compatible endpoint").click()
    assert_accessible(page)
    page.get_by_label("Name").fill("Served")
    page.get_by_label("Address").fill("http://db.internal/v1")
    page.get_by_label("Model", exact=True).fill("served")
    page.get_by_label("Key").fill("sk-secret")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_contain_text("db.internal is not allowed")
    expect(page.get_by_label("Key")).to_have_value("")  # a key never comes back
    page.get_by_label("Address").fill(address)
    page.get_by_label("Key").fill("sk-secret")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("Served is there.")).to_be_visible()
    assert "sk-secret" not in page.content()

    try_out(page)

    page.get_by_label("Weight").fill("0")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_role("button", name="Retire").click()
    expect(page.get_by_text("Served is retired")).to_be_visible()
    one = Contestant.objects.get(name="Served")
    assert (one.weight, one.endpoint) == (0.0, address)
    assert one.retired_at is not None


def try_out(page: Page) -> None:
    """Nobody listens at the address: the sentence that says so comes to the page by itself."""
    page.get_by_role("button", name="Try it out").click()
    expect(page.locator("#check")).to_contain_text("Queued")
    job = leases.work_on(Job.objects.get(kind=Job.Kind.CHECK).pk, check_backend)
    assert job is not None
    assert job.state == Job.State.DONE
    expect(page.locator("#check li", has_text="It answers")).to_contain_text("Nothing answers at")
    expect(page.locator("#check")).to_contain_text("1 check is not passed.")
    assert_accessible(page)
