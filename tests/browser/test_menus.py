"""The header on a phone: a menu that needs no script, so that the page begins before the fold."""

import pytest
from playwright.sync_api import expect

from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def staff(transactional_db):
    factories.make_pool("garden")
    return factories.make_user("boss", is_staff=True, is_superuser=True)


@pytest.mark.parametrize("scripts", [True, False])
def test_staff_reach_everything_from_the_menu_of_a_phone(new_page, sign_in_page, staff, scripts):
    page = new_page(width=320, height=640, java_script_enabled=scripts)
    sign_in_page(page, staff)
    page.goto("/arenas/garden/manage/")

    shown = page.locator("header.site-head").locator("a:visible, summary:visible").all()
    rows = {round(box["y"] + box["height"] / 2) for box in (one.bounding_box() for one in shown) if box}
    assert len(rows) <= 3
    expect(page.get_by_role("link", name="Sign out")).to_be_hidden()

    page.get_by_text("Menu", exact=True).click()

    menu = page.get_by_role("navigation", name="You")
    for name in ("My campaigns", "Jobs", "Admin", "Account", "Sign out"):
        expect(menu.get_by_role("link", name=name)).to_be_visible()
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_text("Menü", exact=True)).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False])
def test_the_pages_for_leads_are_a_menu_on_a_phone(new_page, sign_in_page, staff, scripts):
    page = new_page(width=320, height=640, java_script_enabled=scripts)
    sign_in_page(page, staff)
    page.goto("/arenas/garden/manage/")
    expect(page.get_by_role("link", name="Webhooks")).to_be_hidden()

    page.get_by_text("Pages for leads").click()
    page.get_by_role("link", name="Webhooks").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Webhooks")


def test_on_a_wide_screen_all_of_it_is_in_sight(page, sign_in_page, staff):
    sign_in_page(page, staff)
    page.goto("/arenas/garden/manage/")

    for name in ("Sign out", "Webhooks"):
        expect(page.get_by_role("link", name=name)).to_be_visible()
    expect(page.get_by_text("Menu", exact=True)).to_be_hidden()
