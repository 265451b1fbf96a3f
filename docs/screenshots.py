"""Takes the README's pictures from a running arena: python docs/screenshots.py [ADDRESS] [--arena SLUG].

Needs Chromium and Playwright (the dev extra). It votes nothing, so it changes no ratings. With the password
of the demo's user it also takes the newest training run; with --form-of only an arena's form.
"""

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

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
IMAGES = Path(__file__).parent / "images"
WIDTH, HEIGHT = 1280, 760


def rank_some(page: Page) -> None:
    """Some ranks, so that the picture shows what ranking looks like."""
    page.wait_for_selector("#show-keys:not([hidden])")
    for key in ("2", "1", "3"):
        page.keyboard.press(key)
    page.get_by_text("Saving…").wait_for(state="hidden")
    page.evaluate("scrollTo(0, 0)")


def battle(page: Page, arena: str) -> None:
    page.goto(f"/arenas/{arena}/")
    page.wait_for_selector("#battle .card", timeout=120_000)
    rank_some(page)


def leaderboard(page: Page, arena: str) -> None:
    """With what it says of the votes still needed, which a job computes."""
    page.goto(f"/arenas/{arena}/leaderboard/")
    page.wait_for_selector("#board .leaderboard + *", state="attached")
    page.wait_for_timeout(1000)
    page.reload()


def training_run(page: Page, arena: str) -> None:
    page.goto(f"/arenas/{arena}/training-runs/")
    page.locator("main table a").first.click()
    page.wait_for_selector(".curves")
    page.locator(".curves").evaluate("curves => scrollTo(0, curves.offsetTop - 16)")


def form(page: Page, arena: str) -> None:
    page.set_viewport_size({"width": WIDTH, "height": 1560})
    battle(page, arena)


def take(page: Page, file: Path) -> None:
    """The picture in 64 colours, which the pages have hardly more of: a third of the bytes."""
    page.mouse.move(0, 0)
    page.screenshot(path=file)
    with Image.open(file) as picture:
        small = picture.convert("RGB").quantize(colors=64, dither=Image.Dither.NONE)
    small.save(file, optimize=True)
    print(f"{file}: {file.stat().st_size // 1024} KB")


def sign_in(page: Page, password: str) -> None:
    page.goto("/accounts/login/")
    page.fill("[name=login]", "demo")
    page.fill("[name=password]", password)
    page.press("[name=password]", "Enter")
    page.wait_for_url(lambda address: "login" not in address)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--arena", default="demo")
    parser.add_argument("--form-of", metavar="SLUG", help="an arena that asks for criteria: only its form")
    parser.add_argument("--password-file", type=Path, help="demo-password in the data folder: more pictures")
    parser.add_argument("--out", type=Path, default=IMAGES, help="the folder for the pictures")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    wanted: dict[str, Callable[[Page, str], None]] = {"voting": battle, "leaderboard": leaderboard}
    if given.form_of:
        wanted = {"judgement": form}
    elif given.password_file:
        wanted["training"] = training_run
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        # In English whatever the machine speaks, and as large as README shows it.
        page = browser.new_page(
            base_url=given.address,
            viewport={"width": WIDTH, "height": HEIGHT},
            device_scale_factor=1.5,
            locale="en",
        )
        for name, show in wanted.items():
            if show is training_run:
                sign_in(page, given.password_file.read_text().strip())
            show(page, given.form_of or given.arena)
            take(page, given.out / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
