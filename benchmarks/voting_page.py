"""The voting page beside Label Studio's pairwise template: same Chromium, machine and texts, on loopback.

    python -m benchmarks.voting_page                 100 votes here, 30 there
    python -m benchmarks.voting_page --quick         30 votes here, 8 there, about a minute
    python -m benchmarks.voting_page --json out.json the rows as JSON
    python -m benchmarks.voting_page --alone         without the peer, which is 1 GB to install

Cold is a browser profile without a cache: bytes on the wire and requests up to the page at rest, and the
time from navigation until the responses are on the screen and until the page answers what a voter does.
The next battle is timed inside the page, from the click that votes until the first frame with the next
responses is painted; before each vote both pages get a second, as somebody takes who reads.
Here that is two clicks (the vote, then "Next battle" the moment the names are painted), there it is one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import results
from benchmarks.peers import label_studio
from benchmarks.peers.label_studio import LabelStudio
from tests.services import free_port

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
COLD_RUNS, READING_MS = 3, 1000

# In the page: the first frame in which `shown()` holds, and the first in which it also answers (`ready()`).
WATCH = """
window.marks = {};
const shown = () => %(shown)s;
const ready = () => %(ready)s;
(function look() {
  if (!marks.shown && document.body && shown()) marks.shown = performance.now();
  if (marks.shown && !marks.ready && ready()) marks.ready = performance.now();
  if (!marks.ready) requestAnimationFrame(look);
})();
"""
OURS = {
    "shown": "document.querySelectorAll('.card .output p').length === 2",
    # The script has run: a press is answered without a new page, and the keys work.
    "ready": "!(document.getElementById('show-keys')?.hidden ?? true)",
}
THEIRS = {
    "shown": "document.querySelectorAll('.lsf-htx-richtext').length === 3",
    # A click marks the choice; before the page answers it changes nothing.
    "ready": f"""(() => {{
  const one = document.querySelector("{label_studio.CHOICES}");
  if (one?.className.includes("border-primary")) return true;
  one?.click();
  return false;
}})()""",
}
# When the first frame in which `holds()` was painted: the message is handled after the frame's own work.
PAINTED = """
  const painted = (holds) => new Promise((done) => {
    const look = () => requestAnimationFrame(() => {
      if (!holds()) return look();
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => done(performance.now());
      port2.postMessage(null);
    });
    look();
  });
"""
VOTE_HERE = """async () => {
  PAINTED
  const stage = document.getElementById("stage");
  const battle = stage.querySelector("[name=battle]").value;
  const start = performance.now();
  stage.querySelector("button.best").click();
  const revealed = await painted(() => document.getElementById("reveal"));
  document.getElementById("next").click();
  const shown = () => stage.querySelector("#battle [name=battle]")?.value ?? battle;
  return [(await painted(() => shown() !== battle)) - start, revealed - start];
}""".replace("PAINTED", PAINTED)
VOTE_THERE = """async () => {
  PAINTED
  const all = () => [...document.querySelectorAll(".lsf-htx-richtext")];
  const texts = () => all().map((one) => one.textContent).join("|");
  const choice = document.querySelector("CHOICES");
  choice.click();
  await painted(() => choice.className.includes("border-primary"));
  const before = texts(), start = performance.now();
  document.querySelector('[aria-label="Submit current annotation"]').click();
  return [(await painted(() => texts() && texts() !== before)) - start];
}""".replace("PAINTED", PAINTED).replace("CHOICES", label_studio.CHOICES)


@dataclass(frozen=True)
class Row:
    """One comparison. ratio: ours over theirs; met: None where there is no goal or no measurement."""

    measure: str
    ours: float
    unit: str
    peer: str
    theirs: float | None
    ratio: float | None
    goal: float | None
    met: bool | None


@dataclass(frozen=True)
class ColdPage:
    """A cold page: medians of the runs."""

    kilobytes: float
    requests: int
    shown_ms: float
    ready_ms: float


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer votes")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the rows there")
    parser.add_argument("--alone", action="store_true", help="without Label Studio")
    given = parser.parse_args()
    here, there = (30, 8) if given.quick else (100, 30)
    pairs = texts(here + 20)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        ours = measure_ours(browser, pairs, here)
        theirs = None if given.alone else measure_theirs(browser, pairs, there)
        browser.close()
    rows = compared(ours, theirs)
    for row in rows:
        print(line(row))
    if given.json:
        results.write(given.json, "voting_page", [asdict(row) for row in rows])
    return 0


def texts(count: int) -> list[dict[str, str]]:
    """Prompts with two answers of some hundred characters each."""
    story = "the garden keeps a quiet bench under old trees where people read and talk in the evening"
    words = story.split()

    def passage(start: int) -> str:
        return " ".join(words[(start + step) % len(words)] for step in range(70)).capitalize() + "."

    return [
        {
            "prompt": f"Question {number}: what is there in the garden?",
            "answer1": f"First to {number}: {passage(number)}",
            "answer2": f"Second to {number}: {passage(number + 5)}",
        }
        for number in range(count)
    ]


Goal = tuple[str, float] | None  # "figure": ours at most this; "ratio": ours over theirs
Measured = tuple[ColdPage, list[list[float]]]


def measure_ours(browser: Browser, pairs: Sequence[dict[str, str]], votes: int) -> Measured:
    with served(pairs) as address:
        page_address = f"{address}/arenas/pairs/"
        warm_up(browser, page_address)
        first = cold(lambda: browser.new_context(), page_address, OURS)
        context = browser.new_context()
        page = context.new_page()
        page.goto(page_address)
        page.wait_for_selector("#show-keys:not([hidden])")
        times = [one_vote(page, VOTE_HERE) for _ in range(votes)]
        context.close()
        return first, times


def measure_theirs(browser: Browser, pairs: Sequence[dict[str, str]], votes: int) -> Measured:
    with LabelStudio(free_port(), pairs) as studio:
        context = browser.new_context(base_url=studio.address)
        page = context.new_page()
        page.goto("/user/login/")
        page.fill("input[name=email]", label_studio.EMAIL)
        page.fill("input[name=password]", label_studio.PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url("**/")
        state = context.storage_state()
        context.close()
        first = cold(lambda: browser.new_context(storage_state=state), studio.page, THEIRS)
        context = browser.new_context(storage_state=state)
        page = context.new_page()
        page.goto(studio.page)
        until(page, THEIRS["shown"])
        page.wait_for_timeout(2000)
        times = [one_vote(page, VOTE_THERE) for _ in range(votes)]
        context.close()
        return first, times


def one_vote(page: Page, script: str) -> list[float]:
    """One vote after a second of reading: what a page does ahead of the vote is done by then."""
    page.wait_for_timeout(READING_MS)
    return list(page.evaluate(script))


def warm_up(browser: Browser, address: str) -> None:
    """The server's first request compiles its templates; nobody's first battle pays for that."""
    context = browser.new_context()
    context.new_page().goto(address)
    context.close()


def cold(new_context: Any, address: str, what: dict[str, str]) -> ColdPage:
    runs = [one_cold(new_context(), address, what) for _ in range(COLD_RUNS)]
    return ColdPage(
        statistics.median(run.kilobytes for run in runs),
        int(statistics.median(run.requests for run in runs)),
        statistics.median(run.shown_ms for run in runs),
        statistics.median(run.ready_ms for run in runs),
    )


def one_cold(context: BrowserContext, address: str, what: dict[str, str]) -> ColdPage:
    page: Page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    seen = {"bytes": 0.0, "requests": 0}

    def loaded(event: dict[str, Any]) -> None:
        seen["bytes"] += event["encodedDataLength"]

    def asked(event: dict[str, Any]) -> None:
        seen["requests"] += not event["request"]["url"].startswith("data:")

    wire.on("Network.loadingFinished", loaded)
    wire.on("Network.requestWillBeSent", asked)
    page.add_init_script(WATCH % what)
    page.goto(address, wait_until="commit")
    until(page, "window.marks?.ready")
    page.wait_for_load_state("networkidle")
    marks = page.evaluate("window.marks")
    context.close()
    return ColdPage(seen["bytes"] / 1000, int(seen["requests"]), marks["shown"], marks["ready"])


@contextmanager
def served(pairs: Sequence[dict[str, str]]) -> Iterator[str]:
    """`manage.py serve` as a user starts it, with an arena of these pairs."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="voting-page-") as folder:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ARENA_")}
        environment = {**kept, "ARENA_DATA_DIR": folder, "ARENA_PUBLIC_URL": f"http://127.0.0.1:{port}"}
        manage = [sys.executable, "manage.py"]
        subprocess.run([*manage, "migrate", "--verbosity", "0"], cwd=ROOT, env=environment, check=True)
        seed = [sys.executable, "-m", "benchmarks.voting_page_arena"]
        subprocess.run(seed, cwd=ROOT, env=environment, check=True, input=json.dumps(list(pairs)), text=True)
        options = ["serve", "--port", str(port), "--no-demo", "--no-workers"]
        log = (Path(folder) / "serve.log").open("wb")
        server = subprocess.Popen([*manage, *options], cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            _wait(server, f"http://127.0.0.1:{port}/healthz", Path(folder) / "serve.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(20)
            log.close()


def _wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"The server ended at its start:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError("The server did not answer within a minute.")


def compared(ours: Measured, theirs: Measured | None) -> list[Row]:
    page, times = ours
    other, other_times = theirs or (None, [])
    next_here, vote_here = [one[0] for one in times], [one[1] for one in times]
    next_there = [one[0] for one in other_times]

    def row(measure: str, mine: float, unit: str, peers: float | None, goal: Goal = None) -> Row:
        ratio = None if peers is None else mine / peers
        kind, limit = goal or ("", None)
        reached = ratio if kind == "ratio" else mine
        met = None if limit is None or reached is None else reached <= limit
        return Row(measure, mine, unit, "Label Studio", peers, ratio, limit, met)

    def at(name: str) -> float | None:
        return None if other is None else float(getattr(other, name))

    def below(times: Sequence[float], share: float) -> float | None:
        return share_below(times, share) if times else None

    return [
        row("cold page, on the wire", page.kilobytes, "KB", at("kilobytes"), ("figure", 100)),
        row("cold page, requests", page.requests, "", at("requests"), ("figure", 10)),
        row("cold page, responses on the screen", page.shown_ms, "ms", at("shown_ms")),
        row("cold page, ready to judge", page.ready_ms, "ms", at("ready_ms"), ("ratio", 0.2)),
        row("vote to its answer on the screen, p95", share_below(vote_here, 0.95), "ms", None),
        row("vote to next battle, p50", share_below(next_here, 0.5), "ms", below(next_there, 0.5)),
        row(
            "vote to next battle, p95",
            share_below(next_here, 0.95),
            "ms",
            below(next_there, 0.95),
            ("figure", 60),
        ),
    ]


def until(page: Page, condition: str) -> None:
    """Asks from outside: a strict content policy lets nobody evaluate words inside the page."""
    deadline = time.monotonic() + 60
    while not page.evaluate(condition):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{page.url} was not ready within a minute.")
        page.wait_for_timeout(50)


def share_below(times: Sequence[float], share: float) -> float:
    """The smallest time that this share of all does not exceed."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def line(row: Row) -> str:
    parts = [f"{row.measure}: {row.ours:.4g} {row.unit}".rstrip()]
    if row.theirs is not None and row.ratio is not None:
        parts.append(f"{row.peer} {row.theirs:.4g} {row.unit}".rstrip() + f", ratio {row.ratio:.3f}")
    if row.goal is not None:
        parts.append(
            f"goal {row.goal:g} {'not measured' if row.met is None else 'met' if row.met else 'not met'}"
        )
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
