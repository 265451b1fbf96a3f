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

from scipy.stats import binomtest

from benchmarks import results
from benchmarks.matchmaking_attack import attacked
from benchmarks.matchmaking_cells import Cell, Median, Outcome, play_cell
from benchmarks.matchmaking_studies import (
    decision_and_update,
    ksort_protocol,
    newcomer,
    newcomer_limit,
    reached_at,
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
IN_FLIGHT_BUDGET = 9_000
NEWCOMER_GOAL, NEWCOMER_BUDGET = 1_200, 2_000
ATTACK_STUDIES = 10
COVERAGE_AT = (1_500, 10_000)
# Errors of one board go together, and medians of twenty settled studies jump: these cells play three times
# as many studies.
COVERAGE_EARLY = 1_500
THRICE = {("arena", 30, 6)}
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
            studies = 3 * seeds if (world, n, k) in THRICE else seeds
            played = book.cell(Cell(f"ours K={k}", world, n, budget, studies))
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
            for at in COVERAGE_AT if k == 4 else ():
                early = at == COVERAGE_EARLY
                there = book.cell(Cell(f"ours K={k}", world, n, at, 3 * seeds)) if early else played
                near = min(there.coverage, key=lambda point: abs(int(point) - at))
                if abs(int(near) - at) < 0.05 * at:
                    covered = round(there.coverage[near], 3)
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
    """The share of studies that have the newcomer within two ranks, read as a curve of its votes."""
    peer = book.get(f"newcomer curve|BT|{seeds}", lambda: newcomer("BT", 2, seeds, 6000))
    ours = book.get(f"newcomer curve|ours 4|{seeds}", lambda: newcomer("ours", 4, seeds, NEWCOMER_BUDGET))
    yield row(
        "newcomer among 50, K = 4: votes until its rank is within 2 in 95 % of studies",
        reached_at(ours, 0.95),
        "votes",
        goal=NEWCOMER_GOAL,
        peer="BT, random opponents of known strength",
        theirs=reached_at(peer, 0.95),
    )
    share = dict(ours)[NEWCOMER_GOAL]
    low, high = (float(bound) for bound in binomtest(round(share * seeds), seeds).proportion_ci())
    yield row(
        f"newcomer among 50, K = 4: share of studies within 2 ranks after {NEWCOMER_GOAL} votes",
        round(share, 3),
        "share",
        goal=0.95,
        peer="BT, random opponents of known strength",
        theirs=round(dict(peer)[NEWCOMER_GOAL], 3),
        higher_is_better=True,
        span=Median(share, round(low, 3), round(high, 3)),
    )
    yield row(
        f"the same, the most that {NEWCOMER_GOAL} votes of 4 can tell were all others known exactly",
        round(newcomer_limit(4, NEWCOMER_GOAL), 3),
        "share",
        goal=None,
        higher_is_better=True,
    )


def attack_rows(book: Notebook, studies: int) -> Iterator[Row]:
    """Places that an attacker with 2 % of the votes gains for a contestant."""
    for reload, how in ((False, "the server's battles"), (True, "battles reloaded until it appears")):
        gain = book.get(
            f"attack|{reload}|{studies}", lambda reload=reload: asdict(attacked(studies, reload=reload))
        )
        ours = gain["with_raters"]
        yield row(
            f"places gained with 2 % of the votes, {how}, rater model",
            round(sum(ours) / studies, 2),
            "places",
            goal=1.0,
            peer="without the rater model",
            theirs=round(sum(gain["plain"]) / studies, 2),
            span=Median(0.0, min(ours), max(ours)),
        )


def in_flight_rows(book: Notebook, seeds: int) -> Iterator[Row]:
    """What it costs that many voters get their battles before any of them has voted."""
    played = {
        how: book.cell(Cell(f"ours K=4{how}", "arena", 30, IN_FLIGHT_BUDGET, seeds))
        for how in ("", ", 50 at once", ", 300 at once", ", 300 at once, not counted")
    }
    for goal in (0.8, 0.9, 0.95):
        votes = {how: outcome.mean_reaches("ours", goal) for how, outcome in played.items()}
        for at_once in (50, 300):
            yield row(
                f"more votes to a mean tau of {goal} with {at_once} drawn at once, arena, M = 30, K = 4",
                _more(votes[f", {at_once} at once"], votes[""]),
                "share",
                goal=0.1,
                peer="300 at once, none counted as answered",
                theirs=_more(votes[", 300 at once, not counted"], votes[""]),
            )


def _more(votes: float, than: float) -> float:
    """Which share more; infinite where a goal was not reached."""
    return round(votes / than - 1.0, 3) if math.isfinite(votes) and math.isfinite(than) else math.inf


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
    yield from attack_rows(book, ATTACK_STUDIES)
    yield from in_flight_rows(book, seeds)
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
        results.write(options.json, "matchmaking", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
