"""Faults with real processes: `python -m tests.faults [--runs N] [--only NAME …] [--write]`.

Each fault has an installation of its own in a temporary folder. Leases are short (3 s, renewed each
second, looked after each second), so that recoveries are seen in seconds; with the defaults add the
difference. `--write` puts the table into docs/reliability.md.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
PACE = {
    "ARENA_JOB_LEASE_SECONDS": "3",
    "ARENA_JOB_BEAT_SECONDS": "1",
    "ARENA_JOB_REAP_SECONDS": "1",
    "ARENA_LOG_LEVEL": "WARNING",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=1, help="how often each fault is made (1)")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this fault")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return in_child(options.one, options.runs)
    rows = []
    for name in options.only or known():
        row = play(name, options.runs)
        rows.append(row)
        print(as_line(row), flush=True)
        if row.get("fault"):
            print(row["fault"], file=sys.stderr)
        if options.write:
            write([row])
    return int(any(row.get("fault") or row["lost"] or row["doubled"] for row in rows))


def known() -> list[str]:
    """The names of the faults, read without Django."""
    return list(LABELS)


# What the table says of each.
LABELS = {
    "kill": "kill −9 of the worker in a fill, queue in a folder",
    "kill-child": "kill −9 of the process in its pool",
    "kill-tree": "kill −9 of worker and pool together",
    "kill-serve": "kill −9 of all that `manage.py serve` runs",
    "kill-redis": "kill −9 of the worker, Redis and PostgreSQL",
    "redis-restart": "Redis killed and restarted",
    "flushall": "Redis forgets all (FLUSHALL)",
    "postgres-restart": "PostgreSQL killed and restarted",
    "endpoint": "an endpoint drips, hangs, 429, 500, 10 GB",
    "disk-full": "disk full for 2 s",
    "poison": "a job that kills its worker",
    "two-reapers": "eight keepers at once",
    "clock-shift": "workers' clocks ±5 min",
    "fill-10000": "a fill of 10,000, killed twice",
}
NEEDS = {
    "kill-redis": ("redis", "postgres"),
    "redis-restart": ("redis",),
    "flushall": ("redis",),
    "postgres-restart": ("postgres",),
    "clock-shift": ("postgres",),
}


def play(name: str, runs: int, *, migrated: Path | None = None) -> dict[str, Any]:
    """One fault in a process and a folder of its own.

    `migrated` is a file of SQLite with all tables, which saves the time of making them.
    """
    from tests.faults.services import Services

    with tempfile.TemporaryDirectory(prefix="arena-faults-") as text:
        folder = Path(text)
        if migrated is not None:
            (folder / "data").mkdir()
            shutil.copy(migrated, folder / "data" / "db.sqlite3")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ARENA_")}
        for key in ("DATABASE_URL", "REDIS_URL"):
            kept.pop(key, None)
        services = Services(folder, NEEDS.get(name, ()))
        try:
            environment = {
                **kept,
                **PACE,
                **services.environment,
                "ARENA_DATA_DIR": str(folder / "data"),
                "ARENA_CACHE_DIR": str(folder / "cache"),
                "DJANGO_SETTINGS_MODULE": "arena.settings",
                "FAULTS_PORTS": json.dumps(services._ports),
                "FAULTS_REDIS": str(services._redis.pid if services._redis else 0),
                "FAULTS_FOLDER": text,
            }
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "tests.faults", "--one", name, "--runs", str(runs)],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            services.adopt()
            services.end()
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    try:
        row: dict[str, Any] = json.loads(last)
    except ValueError:
        tail = "\n".join(done.stderr.strip().splitlines()[-40:]) or "It said nothing."
        row = {"what": LABELS[name], "runs": runs, "lost": 0, "doubled": 0, "recovery": [], "fault": tail}
    return {"name": name, "seconds": time.monotonic() - began, **row}


def in_child(name: str, runs: int) -> int:
    import django

    django.setup()
    from dataclasses import asdict

    from django.core.management import call_command

    from tests.faults import scenarios
    from tests.faults.services import Services
    from tests.faults.world import World
    from tests.gpu_workers import small

    call_command("migrate", verbosity=0)
    folder = Path(os.environ["FAULTS_FOLDER"])
    scenario = scenarios.ALL[name]
    services = Services.of_parent(folder, json.loads(os.environ["FAULTS_PORTS"]))
    with small.endpoint() as endpoint:
        world = World(folder, endpoint)
        try:
            outcome = scenario(world, services, runs)
        except Exception:
            print(world.last_words(), file=sys.stderr)
            raise
        finally:
            world.end()
    print(json.dumps({"what": LABELS[name], **asdict(outcome)}))
    return 0


def as_line(row: dict[str, Any]) -> str:
    if row.get("fault"):
        return f"| {row['what']} | FAILED: {row['fault'].splitlines()[-1]} | | | | |"
    times = row["recovery"]
    longest = f"{max(times):.1f} s" if times else "–"
    return f"| {row['what']} | {row['runs']} | {row['lost']} | {row['doubled']} | {longest} | {row['note']} |"


def write(rows: list[dict[str, Any]]) -> None:
    """Put these rows into the page's table; those of faults that were not made now stay as they are."""
    file = ROOT / "docs/reliability.md"
    text = file.read_text()
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in old.splitlines() if line[:2] == "| "}
    lines |= {row["what"]: as_line(row) for row in rows}
    order = {label: place for place, label in enumerate(LABELS.values())}
    kept = sorted((label for label in lines if label in order), key=order.__getitem__)
    head = "| fault | runs | lost | doubled | longest recovery | |\n|---|---|---|---|---|---|"
    table = "\n".join([head, *(lines[label] for label in kept)])
    file.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
