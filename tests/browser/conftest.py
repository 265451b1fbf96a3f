"""A real Chromium against the live server. `page` fails its test for any error on the console."""

import os
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Milliseconds; for machines with much else to do. What comes sooner is seen sooner.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)
# Playwright's sync API runs an event loop in this thread, in which Django would refuse the database.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page(base_url, width=…, …)` is a page of its own browser profile; keywords go to the profile."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opened(base_url: str, *, width: int = 1280, height: int = 800, **profile: object) -> Page:
        context = browser.new_context(
            base_url=base_url, viewport={"width": width, "height": height}, **profile
        )
        context.set_default_timeout(PATIENCE)
        context.on("page", lambda page: _watch(page, faults))
        contexts.append(context)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def new_page(open_page: Callable[..., Page], live_server) -> Callable[..., Page]:
    """`new_page(width=…, …)`: the same, of the live server."""
    return partial(open_page, live_server.url)


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    return new_page()


@pytest.fixture
def sign_in_page(live_server) -> Callable[[Page, User], None]:
    """`sign_in_page(page, ada)`: Ada's session in the page's profile."""

    def signed_in(page: Page, user: User) -> None:
        client = Client()
        client.force_login(user)
        cookie = client.cookies["sessionid"]
        page.context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])

    return signed_in


def _watch(page: Page, faults: list[str]) -> None:
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: _note(faults, message))


def _note(faults: list[str], message: object) -> None:
    # A refused vote is a 4xx that the page explains; Chromium notes it on the console all the same.
    text = message.text
    if message.type == "error" and "Failed to load resource" not in text:
        faults.append(text)
