"""Votes to the truth: our matchmaking beside Elo, LMArena's sampling and K-Sort Arena, in one run.

    python benchmarks/matchmaking.py                 all cells, 20 seeds, resumable
    python benchmarks/matchmaking.py --quick         small boards, under a minute
    python benchmarks/matchmaking.py --json out.json the rows as JSON

Every cell (a method in a world) is written to --cells when it is done and not played again,
so a long run can be stopped and taken up.  Rows give the median over the seeds; low and high
are the order statistics that bracket the median with 95 % confidence.  A study that does not
reach its goal within the budget counts as infinity, shown as "not reached".
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Small matrices: a second thread costs more than it brings.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.matchmaking_cells import Cell, Median, Outcome, play_cell
from benchmarks.matchmaking_studies import (
    decision_and_update,
    ksort_protocol,
    newcomer,
)

# (world, n): goals of ours by K for tau .95, and for the neighbours more than 10 Elo apart
Goals = dict[int, tuple[int, int | None]]
GOALS: dict[tuple[str, int], Goals] = {
    ("arena", 50): {2: (37_700, None), 4: (9_600, 21_700), 6: (5_400, 9_900)},
    ("gauss", 50): {2: (19_500, 45_500), 4: (5_700, 10_300), 6: (2_900, 8_800)},
    ("arena", 30): {2: (17_200, None), 4: (4_800, None), 6: (2_300, None)},
}
# Well above the goals, so that a miss has a number; a cell ends when all its studies have long settled.
BUDGETS: dict[tuple[str, int], dict[int, int]] = {
    ("arena", 50): {2: 45_000, 4: 28_000, 6: 13_500},
    ("gauss", 50): {2: 50_000, 4: 14_500, 6: 12_000},
    ("arena", 30): {2: 22_000, 4: 8_000, 6: 4_000},
}
# Which peer the goal of each K is read beside, and how many votes it may use.
PEERS = {
    "PL, random groups K=4": 30_000,
    "BT, random pairs": 100_000,
    "BT, LMArena sampling": 100_000,
    "K-Sort K=4": 40_000,
    "K-Sort K=2": 60_000,
    "Elo k=4, random pairs": 100_000,
}
RANDOM_VOTERS_BUDGET = 9_000
COVERAGE_AT = (1_500, 10_000)
Row = dict[str, object]


class Notebook:
    """What has been played, one JSON line each, so that nothing is played twice."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.done: dict[str, Any] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                self.done[entry["key"]] = entry["value"]

    def get(self, key: str, play: Callable[[], Any]) -> Any:
        if key not in self.done:
            print(f"  playing {key}", file=sys.stderr, flush=True)
            self.done[key] = play()
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a") as book:
                    book.write(json.dumps({"key": key, "value": self.done[key]}) + "\n")
        return self.done[key]

    def cell(self, cell: Cell) -> Outcome:
        return Outcome(**self.get(cell.key, lambda: asdict(play_cell(cell))))


def row(
    measure: str,
    ours: float,
    unit: str,
    *,
    goal: float | None,
    peer: str = "",
    theirs: float | None = None,
    higher_is_better: bool = False,
    span: Median | None = None,
) -> Row:
    """One row of the report; `ratio` is how many times ours the peer needs."""
    met = None if goal is None else (ours >= goal if higher_is_better else ours <= goal)
    ratio = theirs / ours if theirs is not None and math.isfinite(theirs) and ours else None
    return {
        "measure": measure,
        "ours": _finite(ours),
        "unit": unit,
        "peer": peer,
        "theirs": _finite(theirs),
        "ratio": None if ratio is None else round(ratio, 2),
        "goal": goal,
        "met": met,
        "low": _finite(span.low if span else None),
        "high": _finite(span.high if span else None),
    }


def _finite(value: float | None) -> float | str | None:
    return "not reached" if value is not None and math.isinf(value) else value


def order_rows(book: Notebook, seeds: int, worlds: dict[tuple[str, int], dict[int, int]]) -> Iterator[Row]:
    """Votes to the order, ours by K, each beside every peer."""
    for (world, n), budgets in worlds.items():
        peers = {}
        for name, budget in PEERS.items():
            played = book.cell(Cell(name, world, n, budget, seeds))
            for board in played.tau:
                peers[name if len(played.tau) == 1 else f"{name}, {board}"] = (played, board)
        for k, budget in budgets.items():
            played = book.cell(Cell(f"ours K={k}", world, n, budget, seeds))
            goal, goal_neighbours = GOALS[world, n][k]
            place = f"{world}, M = {n}, K = {k}"
            yield from _against(f"votes to tau .95, {place}", played.tau, goal, peers, "tau")
            if goal_neighbours is not None:
                yield from _against(
                    f"votes to 95 % of neighbours > 10 Elo, {place}",
                    played.neighbours,
                    goal_neighbours,
                    peers,
                    "neighbours",
                )
            for at in COVERAGE_AT:
                near = min(played.coverage, key=lambda point: abs(int(point) - at))
                if k == 4 and abs(int(near) - at) < 0.05 * at:
                    covered = round(played.coverage[near], 3)
                    measure = f"coverage of 95 % intervals after {at} votes, {place}"
                    yield row(measure, covered, "share", goal=0.92, higher_is_better=True)


def _against(
    measure: str,
    ours: dict[str, list[int | None]],
    goal: int,
    peers: dict[str, tuple[Outcome, str]],
    what: str,
) -> Iterator[Row]:
    here = Median.of(ours["ours"])
    for name, (outcome, board) in peers.items():
        there = Median.of(getattr(outcome, what)[board])
        yield row(measure, here.value, "votes", goal=goal, peer=name, theirs=there.value, span=here)


def protocol_rows(book: Notebook, seeds: int) -> Iterator[Row]:
    """K-Sort Arena's own protocol: 50 ordinal labels, votes without noise."""
    peer = Median.of(book.get(f"protocol|K-Sort 4|{seeds}", lambda: ksort_protocol("K-Sort", 4, seeds, 2000)))
    for k, goal in ((4, 80), (6, 45)):
        ours = Median.of(
            book.get(f"protocol|ours {k}|{seeds}", lambda k=k: ksort_protocol("ours", k, seeds, 200))
        )
        yield row(
            f"K-Sort's protocol, K = {k}: votes to zero error",
            ours.value,
            "votes",
            goal=goal,
            peer="K-Sort K=4, own",
            theirs=peer.value,
            span=ours,
        )


def newcomer_rows(book: Notebook, seeds: int) -> Iterator[Row]:
    peer = book.get(f"newcomer|BT|{seeds}", lambda: newcomer("BT", 2, seeds, 6000))
    ours = book.get(f"newcomer|ours 4|{seeds}", lambda: newcomer("ours", 4, seeds, 2000))
    yield row(
        "newcomer among 50, K = 4: votes until its rank is within 2 in 95 % of studies",
        math.inf if ours is None else ours,
        "votes",
        goal=1200,
        peer="BT, random opponents of known strength",
        theirs=math.inf if peer is None else peer,
    )


def random_voter_rows(book: Notebook, seeds: int) -> Iterator[Row]:
    votes = [
        Median.of(book.cell(Cell("ours K=4", "arena", 30, RANDOM_VOTERS_BUDGET, seeds, lapse)).tau["ours"])
        for lapse in (0.0, 0.1)
    ]
    cost = votes[1].value / votes[0].value - 1.0
    yield row(
        "more votes to tau .95 with 10 % random voters, arena, M = 30, K = 4",
        round(cost, 3),
        "share",
        goal=0.35,
    )


def time_rows(repeats: int) -> Iterator[Row]:
    for n, decision_goal in ((100, 5.0), (1000, 50.0)):
        spent = decision_and_update(n, 4, repeats)
        for act, milliseconds in spent.items():
            goal = 1.0 if act == "update" else decision_goal
            yield row(f"one {act}, M = {n}, K = 4", round(milliseconds, 2), "ms CPU", goal=goal)


def quick_rows() -> Iterator[Row]:
    """A small board and few seeds: shows that everything runs, and the order of the methods."""
    book = Notebook(None)
    ours = Median.of(book.cell(Cell("ours K=4", "gauss", 12, 2000, 5)).tau["ours"])
    for name in ("PL, random groups K=4", "BT, random pairs", "BT, LMArena sampling", "K-Sort K=4"):
        played = book.cell(Cell(name, "gauss", 12, 4000, 5))
        for board, votes in played.tau.items():
            yield row(
                "votes to tau .95, gauss, M = 12, K = 4",
                ours.value,
                "votes",
                goal=None,
                peer=name if len(played.tau) == 1 else f"{name}, {board}",
                theirs=Median.of(votes).value,
                span=ours,
            )
    yield from protocol_rows(book, 3)
    yield from time_rows(7)


def full_rows(book: Notebook, seeds: int) -> Iterator[Row]:
    yield from protocol_rows(book, seeds)
    yield from newcomer_rows(book, 2 * seeds)
    yield from random_voter_rows(book, seeds)
    yield from order_rows(book, seeds, BUDGETS)
    yield from time_rows(30)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small boards, under a minute")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the rows here")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--cells", type=Path, default=Path("var/matchmaking-cells.jsonl"), help="finished cells"
    )
    options = parser.parse_args()
    rows = []
    for entry in quick_rows() if options.quick else full_rows(Notebook(options.cells), options.seeds):
        rows.append(entry)
        met = {True: "met", False: "MISSED", None: ""}[entry["met"]]  # type: ignore[index]  # met is bool or None
        span = f" [{entry['low']}, {entry['high']}]" if entry["low"] is not None else ""
        print(
            f"{entry['measure']}: {entry['ours']}{span} {entry['unit']}"
            f" | {entry['peer']}: {entry['theirs']} | ratio {entry['ratio']} | goal {entry['goal']} {met}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps({"benchmark": "matchmaking", "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
