"""The product is one loop, and this walks it once, with nothing made up: real processes, models, browser.

`manage.py serve` trains and serves the demo; a vote moves the leaderboard; votes become a data
set, the data set a training run, and its result a contestant that is judged like the others.

A third of the demo's training is enough here. The checkpoints are kept in pytest's own cache, under
a name that changes with the code that makes them, so that only the first run on a machine trains them.
"""

import hashlib
import io
import json
import re
import signal
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.served import Served, ended, until

pytestmark = [pytest.mark.browser, pytest.mark.long]

BASE, NEWCOMER = "Oak", "Oak, to the point"
SOME_RANKINGS = 40
# Seconds. Far above what two idle cores need (README), for machines with much else to do.
START, PAGE, JOB, DEMO = 300, 120, 600, 1200


@pytest.fixture
def served(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Served]:
    served = Served(tmp_path, cache=pytestconfig.cache.mkdir("demo"), ARENA_DEMO_STEPS="250")
    yield served
    if served.process.poll() is None:
        served.process.send_signal(signal.SIGINT)
        until(lambda: served.process.poll() is not None, "serve has ended after Ctrl-C", seconds=PAGE)
    served.kill()


def voter_at(served: Served) -> httpx.Client:
    """Somebody who votes through the API alone. A session of their own, as a browser has one."""
    return httpx.Client(base_url=f"{served.address}/api/v1/", timeout=PAGE)


def vote(voter: httpx.Client) -> list[str]:
    """Rank one battle, the shortest best. The names told for it; empty where there is no battle yet."""
    answer = voter.post("battles/", json={"arena": "demo"})
    if answer.status_code == 409:
        return []
    battle = created(answer)
    lengths = [len(slot["text"]) for slot in battle["slots"]]
    ranks = [1 + sum(other < length for other in lengths) for length in lengths]
    told = created(voter.post(f"battles/{battle['id']}/vote/", json={"ranks": ranks}))
    assert [slot["rank"] for slot in told["slots"]] == ranks
    return [slot["contestant"] for slot in told["slots"]]


def created(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_the_loop_from_the_first_battle_to_a_new_contestant(served: Served, open_page: Callable[..., Page]):
    page = open_page(served.address)
    see_the_first_battle(page, served)
    vote_and_see_the_leaderboard_move(page)
    vote_more(served)
    sign_in(page, (served.data / "demo-password").read_text())
    export_a_data_set(page)
    train_on_it(page)
    see_the_newcomer_answer_every_prompt(page)
    meet_the_newcomer_in_a_battle(page, served)
    stop(served)


def see_the_first_battle(page: Page, served: Served) -> None:
    """The page is opened while there is no model yet; it is left alone until a battle is on it."""
    until(served.answers, "the server answers", seconds=START)
    page.goto("/arenas/demo/")
    expect(page.locator("#battle .card"), "The first battle did not come by itself.").to_have_count(
        4, timeout=DEMO * 1000
    )


def vote_and_see_the_leaderboard_move(page: Page) -> None:
    board = page.context.new_page()
    board.goto("/arenas/demo/leaderboard/")
    votes, ratings = board.locator("#board .facts dd").first, board.locator("#board td.rating")
    expect(votes).to_have_text("0")
    before = ratings.all_inner_texts()
    first = page.locator("[name=battle]").input_value()
    texts = page.locator(".card .output").all_inner_texts()

    page.bring_to_front()
    with page.expect_response(lambda answer: "ahead" in answer.url, timeout=PAGE * 1000):
        page.reload()
    assert page.locator("[name=battle]").input_value() == first
    for key in ("1", "2", "2", "3", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#reveal-title"), "The names were not revealed.").to_be_visible(timeout=PAGE * 1000)
    assert page.locator(".card .output").all_inner_texts() == texts
    assert page.locator(".card .tag").all_inner_texts() == [f"Your rank {rank}" for rank in (1, 2, 2, 4)]
    assert len(set(page.locator(".card .name").all_inner_texts())) == 4

    expect(votes, "The leaderboard did not count the vote by itself.").to_have_text("1", timeout=PAGE * 1000)
    assert ratings.all_inner_texts() != before
    board.close()
    see_the_next_battle_without_a_request(page, first)


def see_the_next_battle_without_a_request(page: Page, first: str) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.keyboard.press("Enter")

    expect(page.locator("#battle .card"), "The next battle was not there.").to_have_count(4)
    assert page.locator("[name=battle]").input_value() != first
    assert not [address for address in requests if address.endswith("/next/")]


def vote_more(served: Served) -> None:
    with voter_at(served) as voter:
        for number in range(SOME_RANKINGS):
            until(lambda: vote(voter), f"battle {number + 1} could be voted on", seconds=JOB, pause=1.0)


def sign_in(page: Page, password: str) -> None:
    page.goto("/accounts/login/")
    page.locator("[name=login]").fill("demo")
    page.locator("[name=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Sign out")).to_be_visible()


def export_a_data_set(page: Page) -> None:
    """What the page says of the files holds for the zip that it gives."""
    page.goto("/arenas/demo/data-sets/")
    page.get_by_role("button", name="Export a data set").click()
    button = page.get_by_role("link", name="Download zip")
    expect(button, "The data set was not written.").to_be_visible(timeout=JOB * 1000)
    rows = page.get_by_role("region", name="Table of files").locator("tbody tr")
    shown = {row[0]: row[3] for row in (one.locator("td").all_inner_texts() for one in rows.all())}
    with page.expect_download() as download:
        button.click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        held = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}

    assert {"README.md", "kwise/train-00000-of-00001.parquet"} <= shown.keys()
    assert {path: hashlib.sha256(held[path]).hexdigest() for path in shown} == shown
    assert held.keys() == shown.keys() | {"manifest.json"}
    splits = json.loads(held["manifest.json"])["splits"]
    assert splits["train"]["votes"] + splits["held_out"]["votes"] == SOME_RANKINGS + 1


def _offered(page: Page) -> bool:
    """Whether the form names the base; with a cold cache it is still being trained at first."""
    page.reload()
    options = page.get_by_label("Base", exact=True).locator("option").all_inner_texts()
    return any(BASE in option for option in options)


def train_on_it(page: Page) -> None:
    """Start a training run on the data set's page, and watch it without touching the browser."""
    page.get_by_role("link", name="Train on it").click()
    until(lambda: _offered(page), f"{BASE} is trained and offered as a base", seconds=DEMO, pause=2.0)
    page.get_by_label("Base", exact=True).select_option(BASE)
    expect(page.get_by_label("Data set")).to_have_value(re.compile(r"\d+"))
    page.get_by_label("Name").fill(NEWCOMER)
    page.get_by_label("Epochs", exact=True).fill("2")
    page.get_by_label("Batch size").fill("8")
    page.get_by_role("button", name="Start training").click()
    seen: list[str] = []

    def done() -> bool:
        seen.append(page.locator("#progress").inner_text(timeout=PAGE * 1000))
        return "Training is done." in seen[-1]

    until(done, "the training is done", seconds=DEMO, pause=0.2)
    assert any("Running" in text for text in seen), seen
    assert page.locator("#progress .curves figure").count() > 0
    page.get_by_role("link", name="See the new contestant").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(NEWCOMER)
    lineage = page.locator(".lineage li")
    expect(lineage).to_have_count(2)
    expect(lineage.first).to_have_text(BASE)
    expect(lineage.last).to_contain_text(re.compile(r"trained with \S+ on data set 1 \(.*training run 1\)"))


def see_the_newcomer_answer_every_prompt(page: Page) -> None:
    page.goto("/arenas/demo/manage/")
    row = page.locator("#coverage tr").filter(has=page.get_by_role("link", name=NEWCOMER, exact=True))
    expect(row).to_contain_text(f"from {BASE}")
    expect(row, "The new contestant did not answer all prompts.").to_have_text(
        re.compile(r"\b(\d+) of \1\b"), timeout=DEMO * 1000
    )


def meet_the_newcomer_in_a_battle(page: Page, served: Served) -> None:
    with voter_at(served) as voter:
        until(lambda: NEWCOMER in vote(voter), f"{NEWCOMER} is in a battle", seconds=JOB, pause=0)

    page.goto("/arenas/demo/leaderboard/")
    row = page.locator("#board tbody tr").filter(has=page.get_by_role("link", name=NEWCOMER, exact=True))
    expect(row).to_contain_text(f"from {BASE}")
    assert int(row.locator("td").nth(4).inner_text()) > 0
    page.close()


def stop(served: Served) -> None:
    """Ctrl-C: nothing that serve started is left, and its port is free."""
    family = served.family()
    assert len(family) >= 4  # web and three workers
    began = time.monotonic()
    served.process.send_signal(signal.SIGINT)

    until(lambda: served.process.poll() is not None, "serve has ended after Ctrl-C", seconds=PAGE)
    assert served.process.returncode == 0, served.said()
    assert ended(family), f"still there {time.monotonic() - began:.0f} s after Ctrl-C"
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(("127.0.0.1", served.port))
    assert "Traceback" not in served.said()
