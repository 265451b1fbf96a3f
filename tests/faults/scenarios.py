"""The faults. Each takes a world and a number of runs, and gives what was lost, doubled and how long it took.

`lost` are responses or jobs that were asked for and are not there in the end, `doubled` those there are
twice; `recovery` is the time from the fault to the next response, or to the end of the work.
"""

import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, connection
from django.db.models.functions import Now

from arena.models import Job, Response
from arena.services import jobs, responses
from tests.faults.services import Services
from tests.faults.world import Worker, World, count_lost, ended, until
from tests.gpu_workers import small


@dataclass
class Outcome:
    runs: int = 0
    lost: int = 0
    doubled: int = 0
    recovery: list[float] = field(default_factory=list)
    note: str = ""


Scenario = Callable[[World, Services, int], Outcome]


def kill(world: World, services: Services, runs: int) -> Outcome:
    """kill -9 of the worker in the middle of a fill, again and again; the next worker goes on."""
    return _kill_often(world, runs, wanted=150 * runs)


def kill_child(world: World, services: Services, runs: int) -> Outcome:
    """kill -9 of the process in a worker's pool that does the work; the worker makes another."""

    def fault(worker: Worker) -> Worker:
        for child in worker.children():
            os.kill(child, signal.SIGKILL)
        return worker

    return _kill_often(world, runs, wanted=150 * runs, pool="prefork", fault=fault)


def kill_tree(world: World, services: Services, runs: int) -> Outcome:
    """kill -9 of a worker together with its pool, and the next one is started."""
    return _kill_often(world, runs, wanted=150 * runs, pool="prefork")


def kill_serve(world: World, services: Services, runs: int) -> Outcome:
    """kill -9 of everything that `manage.py serve` runs at once, as a power cut does; it is started again."""

    def fault(tree: Worker) -> Worker:
        tree.kill()
        return world.serve()

    return _kill_often(world, runs, wanted=150 * runs, start=world.serve, fault=fault)


def fill_10000(world: World, services: Services, runs: int) -> Outcome:
    """A fill of 10,000 responses whose worker is killed twice on the way."""
    outcome = _kill_often(world, 2, wanted=10_000, between=3_000)
    outcome.runs = 1
    return outcome


def _kill_often(
    world: World,
    kills: int,
    wanted: int,
    between: int = 20,
    pool: str = "threads",
    start: Callable[[], Worker] | None = None,
    fault: Callable[[Worker], Worker] | None = None,
) -> Outcome:
    """One fill; `fault` (the worker killed and another started) each time it has got on by `between`."""
    dice = random.Random(5)
    contestant = world.contestant(wanted)
    job = world.fill(contestant)
    outcome = Outcome(runs=kills)

    def replaced(worker: Worker) -> Worker:
        world.kill(worker)
        return world.worker(pool=pool)

    worker = start() if start else world.worker(pool=pool)
    until(lambda: world.made(), "the fill has begun")
    for _ in range(kills):
        before = world.made()
        until(lambda before=before: world.made() > before + between, "the fill goes on", 600)
        time.sleep(dice.uniform(0, 0.2))
        # What the killed one wrote last may be seen only later: another attempt must be writing.
        attempt, began = _attempt(job), time.monotonic()
        worker = (fault or replaced)(worker)
        until(lambda attempt=attempt: _attempt(job) > attempt, "another attempt has begun")
        before = world.made()
        until(lambda before=before: world.made() > before or ended(job), "the fill goes on")
        outcome.recovery.append(time.monotonic() - began)
    until(lambda: ended(job), "the fill has ended", 600)
    outcome.lost, outcome.doubled = count_lost(wanted, contestant)
    outcome.note = f"{len(world.endpoint.asked) - wanted} of {wanted:,} were asked for again"
    return outcome


def _attempt(job: Job) -> int:
    return int(Job.objects.values_list("attempt", flat=True).get(pk=job.pk))


def redis_restart(world: World, services: Services, runs: int) -> Outcome:
    """Redis is killed and started again (append-only file) while work is queued and under way."""
    return _queue_fault(world, runs, services.restart_redis)


def flushall(world: World, services: Services, runs: int) -> Outcome:
    """Redis forgets everything that is queued."""
    return _queue_fault(world, runs, services.flush_redis)


def _queue_fault(world: World, runs: int, fault: Callable[[], None]) -> Outcome:
    outcome = Outcome(runs=runs)
    world.endpoint.reply = _slowly
    world.worker()
    for run in range(runs):
        contestants = [world.contestant(40, f"{run}-{n}") for n in range(3)]
        queued = [world.fill(one) for one in contestants]
        before = world.made()
        until(lambda before=before: world.made() > before, "the work has begun")
        began = time.monotonic()
        fault()
        # Unheard after 30 seconds is what the keeper goes by; here, at once.
        Job.objects.filter(state=Job.State.QUEUED).update(rung_at=Now() - timedelta(seconds=31))
        until(lambda queued=queued: all(ended(job) for job in queued), "all is done")
        outcome.recovery.append(time.monotonic() - began)
        for one in contestants:
            lost, doubled = count_lost(40, one)
            outcome.lost += lost
            outcome.doubled += doubled
    return outcome


def _slowly(door: Any, body: dict[str, Any]) -> None:
    """So that a fault comes in the middle of the work."""
    time.sleep(0.05)
    small.echo(door, body)


def postgres_restart(world: World, services: Services, runs: int) -> Outcome:
    """PostgreSQL is stopped at once (as by kill -9) in the middle of a fill, and started again."""
    outcome = Outcome(runs=runs)
    world.endpoint.reply = _slowly
    world.worker()
    for run in range(runs):
        contestant = world.contestant(150, f"{run}")
        job = world.fill(contestant)
        before = world.made()
        until(lambda before=before: world.made() > before + 20, "the fill is under way")
        acknowledged = world.made()
        services.restart_postgres()
        began = time.monotonic()
        connection.close()
        outcome.lost += max(0, acknowledged - world.made())
        until(lambda job=job: _quiet(lambda: ended(job)), "the fill has ended")
        outcome.recovery.append(time.monotonic() - began)
        lost, doubled = count_lost(150, contestant)
        outcome.lost += lost
        outcome.doubled += doubled
    return outcome


def _quiet(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except DatabaseError:
        connection.close()
        return False


def endpoint(world: World, services: Services, runs: int) -> Outcome:
    """An endpoint that drips, hangs, answers 429 and 500, or 10 GB; another contestant goes on meanwhile."""
    outcome = Outcome(runs=runs)
    world.worker()
    world.worker()
    asked = {"count": 0}

    def moody(door: Any, body: dict[str, Any]) -> None:
        asked["count"] += 1
        mood = asked["count"] % 11
        if mood == 3:
            door.send(429, {"error": {"message": "Slow down"}}, {"Retry-After": "0.1"})
        elif mood == 5:
            door.send(500, {"error": {"message": "Oh"}})
        elif mood == 7:
            time.sleep(0.8)  # longer than the patience for silence
        elif mood == 9:
            _drip(door)
        elif mood == 10:
            _flood(door)
        else:
            small.echo(door, body)

    with small.endpoint() as bad:
        bad.reply = moody
        for run in range(runs):
            broken = world.contestant(40, f"moody {run}", bad.address)
            well = world.contestant(40, f"well {run}")
            began = time.monotonic()
            first, other = world.fill(broken), world.fill(well)
            until(lambda other=other: ended(other), "the contestant that is well has ended")
            until(lambda first=first: ended(first), "the moody one has ended")
            outcome.recovery.append(time.monotonic() - began)
            bad.reply = None  # what failed for good is made when somebody asks again
            responses.plan_generation(arena=world.arena, contestants=[broken])
            until(lambda broken=broken: count_lost(40, broken)[0] == 0, "what failed is made")
            bad.reply = moody
            for one in (broken, well):
                lost, doubled = count_lost(40, one)
                outcome.lost += lost
                outcome.doubled += doubled
    return outcome


def _drip(door: Any) -> None:
    door.send_response(200)
    door.end_headers()
    for _ in range(100):
        door.wfile.write(b" ")
        time.sleep(0.05)


def _flood(door: Any) -> None:
    door.send_response(200)
    door.send_header("Content-Length", str(10 * 2**30))
    door.end_headers()
    for _ in range(10 * 2**14):
        door.wfile.write(b"x" * 65536)


def disk_full(world: World, services: Services, runs: int) -> Outcome:
    """No file may grow: the worker's writes fail as on a full disk. Then there is room again."""
    outcome = Outcome(runs=runs)
    world.endpoint.reply = _slowly
    for run in range(runs):
        worker = world.worker()
        contestant = world.contestant(100, f"{run}")
        before = world.made()
        world.fill(contestant)
        until(lambda before=before: world.made() > before + 10, "the fill is under way")
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        time.sleep(2.0)
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        began = time.monotonic()
        until(lambda contestant=contestant: count_lost(100, contestant)[0] == 0, "the fill is complete")
        outcome.recovery.append(time.monotonic() - began)
        outcome.doubled += count_lost(100, contestant)[1]
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA integrity_check")
            outcome.lost += cursor.fetchone()[0] != "ok"
        world.kill(worker)
    return outcome


def poison(world: World, services: Services, runs: int) -> Outcome:
    """A job that kills its worker at each try is given up after three, and the next one is done."""
    outcome = Outcome(runs=runs)
    for _ in range(runs):
        bad = jobs.enqueue(kind=Job.Kind.GENERATE, title="Poison", total=1, payload={"kill_on_attempts": 99})
        began = time.monotonic()
        starts = 0
        while not ended(bad):
            worker = world.worker("tests.jobs.worker")
            starts += 1
            until(lambda worker=worker, bad=bad: not worker.is_alive() or ended(bad), "it kills its worker")
        good = jobs.enqueue(kind=Job.Kind.GENERATE, title="Good", total=1)
        until(lambda good=good: ended(good), "the next one is done")
        outcome.recovery.append(time.monotonic() - began)
        outcome.lost += good.state != Job.State.DONE
        outcome.doubled += max(0, bad.attempt - 3) + (bad.state != Job.State.QUARANTINED)
        for worker in world.workers:
            if worker.is_alive():
                world.kill(worker)
    return outcome


def two_reapers(world: World, services: Services, runs: int) -> Outcome:
    """Eight keepers look for lost jobs in the same moment; each job is queued again once."""
    outcome = Outcome(runs=runs)
    for _ in range(runs):
        lost = [
            Job.objects.create(
                kind=Job.Kind.GENERATE,
                title="Lost",
                state=Job.State.RUNNING,
                attempt=1,
                lease_until=Now() - timedelta(seconds=1),
            )
            for _ in range(20)
        ]
        found: list[int] = []
        together = threading.Barrier(8)

        def reap(together: threading.Barrier = together, found: list[int] = found) -> None:
            together.wait()
            try:
                found.append(jobs.reap()["requeued"])
            finally:
                connection.close()

        threads = [threading.Thread(target=reap) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        queued = Job.objects.filter(pk__in=[job.pk for job in lost], state=Job.State.QUEUED).count()
        outcome.lost += 20 - queued
        outcome.doubled += sum(found) - 20
        Job.objects.all().delete()
    return outcome


def clock_shift(world: World, services: Services, runs: int) -> Outcome:
    """Workers whose clocks are five minutes fast and slow beside one that is right; the database's counts."""
    outcome = Outcome(runs=runs)
    world.endpoint.reply = _slowly
    for shift in (0, 300, -300):
        world.worker(TEST_CLOCK_SHIFT=shift)
    for run in range(runs):
        # Fewer responses than after which a contestant lets others go first: one attempt each.
        contestants = [world.contestant(30, f"{run}-{n}") for n in range(9)]
        queued = [world.fill(one) for one in contestants]
        began = time.monotonic()
        until(lambda queued=queued: all(ended(job) for job in queued), "all is done")
        outcome.recovery.append(time.monotonic() - began)
        outcome.doubled += sum(job.attempt - 1 for job in queued)  # a lease that was stolen
        outcome.lost += sum(count_lost(30, one)[0] for one in contestants)
    assert Response.objects.exists()
    return outcome


ALL: dict[str, Scenario] = {
    "kill": kill,
    "kill-child": kill_child,
    "kill-tree": kill_tree,
    "kill-serve": kill_serve,
    "kill-redis": kill,
    "redis-restart": redis_restart,
    "flushall": flushall,
    "postgres-restart": postgres_restart,
    "endpoint": endpoint,
    "disk-full": disk_full,
    "poison": poison,
    "two-reapers": two_reapers,
    "clock-shift": clock_shift,
    "fill-10000": fill_10000,
}
