"""The pages in German and Chinese in a real browser: they fit a phone, and the scripts speak along."""

import pytest
from playwright.sync_api import expect

from arena.models import Vote
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def arena(transactional_db):
    return factories.make_pool("garden", guidelines="Prefer the **true** one.")


@pytest.mark.parametrize("locale", ["de-DE", "zh-CN"])
def test_no_page_needs_sideways_scrolling_on_a_phone(new_page, arena, locale):
    page = new_page(width=320, height=640, locale=locale)
    for path in ("/", "/arenas/garden/", "/arenas/garden/leaderboard/", "/accounts/login/", "/roles/"):
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{path} is {wide} pixels too wide in {locale}"


def test_the_buttons_of_a_vote_stand_in_one_row_on_a_phone(new_page, arena):
    page = new_page(width=320, height=640, locale="de-DE")
    page.goto("/arenas/garden/")

    rows = page.evaluate(
        """() => new Set([...document.querySelectorAll('.vote-bar .actions > :is(button, details)')]
            .filter((one) => one.getClientRects().length)
            .map((one) => Math.round(one.getBoundingClientRect().top))).size"""
    )
    assert rows == 1


def test_a_german_vote_by_keyboard_is_told_in_german(new_page, arena):
    page = new_page(locale="de-DE")
    page.goto("/arenas/garden/")
    expect(page.locator("#battle .card")).to_have_count(4)

    page.keyboard.press("1")
    expect(page.locator("#live")).to_contain_text("A hat Rang 1.")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text(
        "Geben Sie jeder Antwort einen Rang: B, C, D haben noch keinen."
    )
    for key in ("2", "3", "4", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#reveal-title")).to_have_text(
        "Ihre Stimme ist gezählt. Das sind die Modelle und ihre Wertungen jetzt."
    )

    assert Vote.objects.get().ranks == [1, 2, 3, 4]


def test_the_language_is_changed_with_the_keyboard_and_kept(new_page, arena):
    page = new_page(locale="en-GB")
    page.goto("/arenas/garden/leaderboard/")

    page.locator(".language summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator(".language button:focus")).to_have_text("Deutsch")
    page.keyboard.press("Enter")

    expect(page.locator("h1")).to_have_text("Rangliste")
    assert page.url.endswith("/arenas/garden/leaderboard/")
    assert page.locator("html").get_attribute("lang") == "de"
    page.goto("/")
    expect(page.locator("h1")).to_have_text("Arenen")
