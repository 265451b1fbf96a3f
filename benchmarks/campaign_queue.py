"""Fifty annotators at once in one campaign: does it end with exactly the wanted votes, and nobody twice?

    python -m benchmarks.campaign_queue [--annotators 50] [--overlap 3] [--battles 60] [--processes 10]
    python -m benchmarks.campaign_queue --quick         12 annotators, 20 battles, 4 processes
    python -m benchmarks.campaign_queue --json out.json what was promised and kept, as rows

Real processes, each with several annotators in threads, ask for battles, judge, skip and drop out in
the middle, on the database of DATABASE_URL (SQLite in a folder of its own without one). Run it once
for each database. The last line is JSON; the exit status is 1 where a promise was broken.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import results

ROOT = Path(__file__).resolve().parents[1]
SKIPS, DROPS = 0.05, 0.03


def main() -> int:
    options = _options()
    if options.worker is not None:
        _django()
        return _work(options)
    with tempfile.TemporaryDirectory(prefix="arena-queue-") as folder:
        os.environ.update(ARENA_DATA_DIR=folder, ARENA_LOG_LEVEL="ERROR", OMP_NUM_THREADS="1")
        _make_database()
        _django()
        return _run(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--annotators", type=int, default=50)
    parser.add_argument("--overlap", type=int, default=3)
    parser.add_argument("--battles", type=int, default=60, help="prompts, one battle each")
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="12 annotators, 20 battles, 4 processes")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the rows there")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.annotators, options.battles, options.processes = 12, 20, 4
    return options


def _make_database() -> None:
    """On PostgreSQL a database of our own, dropped at the end by whoever made it."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        return
    import dj_database_url
    import psycopg

    server = dj_database_url.parse(url)
    name = f"arena_queue_{os.getpid()}"
    with psycopg.connect(_address(server, server["NAME"] or "postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    import atexit

    def drop() -> None:
        from django.db import connections

        connections.close_all()
        with psycopg.connect(_address(server, server["NAME"] or "postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    atexit.register(drop)
    head = url.rpartition("/")[0] if url.count("/") > 2 else url
    os.environ["DATABASE_URL"] = f"{head}/{name}"


def _address(server: Any, name: str) -> str:
    parts = {
        "host": server["HOST"],
        "port": server["PORT"],
        "user": server["USER"],
        "password": server["PASSWORD"],
    }
    return " ".join([f"dbname={name}", *(f"{key}={value}" for key, value in parts.items() if value)])


def _django() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "arena.settings"
    import django

    django.setup()


def _run(options: argparse.Namespace) -> int:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    campaign = _campaign(options)
    connection.close()
    began = time.perf_counter()
    share = [str(number) for number in range(options.processes)]
    command = [sys.executable, "-m", "benchmarks.campaign_queue", "--annotators", str(options.annotators)]
    command += ["--processes", str(options.processes), "--worker"]
    workers = [subprocess.Popen([*command, one], cwd=ROOT, stdout=subprocess.PIPE) for one in share]
    told = [json.loads(worker.communicate(timeout=600)[0]) for worker in workers]
    seconds = time.perf_counter() - began
    return _report(campaign.pk, options, told, seconds, connection.vendor)


def _campaign(options: argparse.Namespace) -> Any:
    from annotation.services import campaigns, crowd
    from tests import factories

    arena = factories.make_pool("load", contestants=8, prompts=options.battles)
    draft = campaigns.create_campaign(
        arena=arena, name="Load", k=4, overlap=options.overlap, batch=20, open_link=True, lease_minutes=1
    )
    campaign = campaigns.start_campaign(campaign=draft)
    for _ in range(options.annotators):
        crowd.join(campaign=campaign, voter=factories.make_voter())
    return campaign


def _work(options: argparse.Namespace) -> int:
    from annotation.models import Annotator

    mine = list(Annotator.objects.order_by("id").values_list("id", flat=True))[
        options.worker :: options.processes
    ]
    told: dict[str, Any] = {
        "answered": 0,
        "skipped": 0,
        "dropped": 0,
        "refused": 0,
        "errors": [],
        "next_ms": [],
        "vote_ms": [],
    }
    lock = threading.Lock()
    threads = [threading.Thread(target=_annotate, args=(pk, told, lock)) for pk in mine]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(told))
    return 0


def _annotate(pk: int, told: dict[str, Any], lock: threading.Lock) -> None:
    from django.db import connection

    try:
        _judge_until_the_end(pk, told, lock, random.Random(pk))
    except Exception as error:
        with lock:
            told["errors"].append(f"{type(error).__name__}: {error}")
    finally:
        connection.close()


def _judge_until_the_end(pk: int, told: dict[str, Any], lock: threading.Lock, rng: random.Random) -> None:
    from annotation.models import Annotator, Assignment
    from annotation.services import places
    from annotation.services.queue import next_item
    from arena.errors import ArenaError
    from arena.services.ballots import Ballot
    from arena.services.votes import cast_vote

    while True:
        annotator = Annotator.objects.select_related("campaign__arena", "voter").get(pk=pk)
        began = time.perf_counter()
        found = next_item(annotator=annotator)
        asked = time.perf_counter() - began
        with lock:
            told["next_ms"].append(asked * 1000)
        if found.is_wait:
            time.sleep(0.05)
            continue
        if found.assignment is None:
            return
        luck = rng.random()
        if luck < DROPS:
            # As if the lease had run out: the place goes back while the page is still open.
            past = found.assignment.battle.created_at
            Assignment.objects.filter(pk=found.assignment.pk).update(leased_until=past)
            places.expire_due(annotator.campaign)
            with lock:
                told["dropped"] += 1
        said: dict[str, Any] = {"skip": "I do not know the subject"}
        if luck > SKIPS + DROPS or luck < DROPS:
            said = {"ranks": [rng.randint(1, 4) for _ in range(4)]}
        began = time.perf_counter()
        try:
            cast_vote(battle=found.assignment.battle, voter=annotator.voter, ballot=Ballot.parse(said, 4))
            outcome = "skipped" if "skip" in said else "answered"
        except ArenaError:
            outcome = "refused"
        with lock:
            told[outcome] += 1
            told["vote_ms"].append((time.perf_counter() - began) * 1000)


def _report(
    pk: int, options: argparse.Namespace, told: list[dict[str, Any]], seconds: float, vendor: str
) -> int:
    from django.db.models import Count, F

    from annotation.models import Assignment, Campaign, Item
    from arena.models import Vote

    campaign = Campaign.objects.get(pk=pk)
    votes = Vote.objects.counted().exclude(kind="skip").count()
    twice = Assignment.objects.values("item", "annotator").annotate(n=Count("id")).filter(n__gt=1).count()
    uneven = Item.objects.exclude(held=F("wanted")).count()
    result = {
        "database": vendor,
        "annotators": options.annotators,
        "wanted": campaign.votes_wanted,
        "votes": votes,
        "judged_twice": twice,
        "items_not_full": uneven,
        "state": campaign.state,
        "skipped": sum(one["skipped"] for one in told),
        "dropped_out": sum(one["dropped"] for one in told),
        "refused_late": sum(one["refused"] for one in told),
        "failures": sum(len(one["errors"]) for one in told),
        "errors": [error for one in told for error in one["errors"]][:5],
        "seconds": round(seconds, 1),
        "next_ms": _percentiles([ms for one in told for ms in one["next_ms"]]),
        "vote_ms": _percentiles([ms for one in told for ms in one["vote_ms"]]),
    }
    kept = (
        votes == campaign.votes_wanted
        and not twice
        and not uneven
        and not result["errors"]
        and campaign.state == Campaign.State.FINISHED
    )
    if options.json:
        results.write(options.json, "campaign_queue", _rows(result), database=vendor)
    print(json.dumps({**result, "kept": kept}))
    return 0 if kept else 1


def _rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What the queue promises, each with its goal; then how long people waited, which has none."""
    promised = {
        f"votes of {result['annotators']} annotators": ("votes", result["wanted"]),
        "judged twice by one person": ("judged_twice", 0),
        "battles with too few or too many votes": ("items_not_full", 0),
        "errors": ("failures", 0),
    }
    rows: list[dict[str, Any]] = [
        {"measure": measure, "ours": result[name], "unit": "", "goal": goal, "met": result[name] == goal}
        for measure, (name, goal) in promised.items()
    ]
    for measure, name in (("skipped", "skipped"), ("dropped out in the middle", "dropped_out")):
        rows.append({"measure": measure, "ours": result[name], "unit": "times"})
    for measure, name in (("next battle", "next_ms"), ("vote", "vote_ms")):
        rows += [
            {"measure": f"{measure}, {share}", "ours": result[name][share], "unit": "ms"}
            for share in ("p50", "p95")
        ]
    return [*rows, {"measure": "from the first battle to the end", "ours": result["seconds"], "unit": "s"}]


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values) or [0.0]
    return {
        f"p{share}": round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 1)
        for share in (50, 95, 99)
    }


if __name__ == "__main__":
    sys.exit(main())
