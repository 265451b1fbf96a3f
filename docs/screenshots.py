"""Takes the README's pictures from a running arena: python docs/screenshots.py [ADDRESS] [--arena SLUG].

Needs Chromium and Playwright (the dev extra). It votes nothing, so it changes no ratings.
"""

import argparse
import shutil
from pathlib import Path

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


def rank_some(page: Page) -> None:
    """Some ranks, so that the picture shows what ranking looks like."""
    for key in ("2", "1", "3"):
        page.keyboard.press(key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--arena", default="demo")
    parser.add_argument("--out", type=Path, default=IMAGES, help="the folder for the pictures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800}, device_scale_factor=1.5)
        page.goto(f"{arguments.address}/arenas/{arguments.arena}/")
        page.wait_for_selector("#battle", timeout=120_000)
        rank_some(page)
        page.screenshot(path=arguments.out / "voting.png")
        page.goto(f"{arguments.address}/arenas/{arguments.arena}/leaderboard/")
        page.screenshot(path=arguments.out / "leaderboard.png")
        browser.close()
    print(f"Wrote voting.png and leaderboard.png to {arguments.out}")


if __name__ == "__main__":
    main()
