"""Faults with real worker processes: killed, frozen, stopped, and a broker that forgets."""

import signal

import pytest

from arena.models import Job
from arena.services import jobs

pytestmark = pytest.mark.services


@pytest.fixture
def enqueue(transactional_db):
    def make(**fields):
        return jobs.enqueue(**{"kind": Job.Kind.GENERATE, "title": "Generate", "total": 3, **fields})

    return make


@pytest.fixture
def ended(until):
    """`ended(job)` waits until the job has ended, and gives its row."""

    def wait(job):
        def has_ended():
            job.refresh_from_db()
            return job.is_finished

        until(has_ended, f"{job} has ended")
        return job

    return wait


def test_workers_take_from_their_own_queues_and_do_each_job_once(workers, enqueue, ended):
    workers.start("generate")
    workers.start("generate")
    workers.start("train")
    kinds = [Job.Kind.GENERATE, Job.Kind.TRAIN] * 10
    made = [enqueue(kind=kind, total=1) for kind in kinds]

    rows = [ended(job) for job in made]

    assert {(row.state, row.attempt) for row in rows} == {(Job.State.DONE, 1)}
    trained = {line.split()[1] for line in workers.entries("trained")}
    assert trained == {str(job.pk) for job in made if job.kind == Job.Kind.TRAIN}
    started = [line.split()[1] for line in workers.entries("started")]
    assert sorted(started, key=int) == [str(job.pk) for job in made]  # a doubled message did nothing


def test_a_job_whose_worker_is_killed_is_done_by_another(workers, enqueue, ended, until):
    victim = workers.start()
    job = enqueue(payload={"seconds": 60}, total=1)
    until(lambda: workers.entries("step"), "the work has begun")

    victim.kill()
    Job.objects.filter(pk=job.pk).update(payload={})  # nothing to wait for the second time
    workers.start()

    assert (ended(job).state, job.attempt) == (Job.State.DONE, 2)
    assert job.result["attempt"] == 2
    assert [line.split()[2] for line in workers.entries("started")] == ["1", "2"]


def test_a_job_that_kills_its_worker_is_given_up_and_the_next_one_done(workers, enqueue, until):
    poison = enqueue(payload={"kill_on_attempts": 99})

    def refused():
        poison.refresh_from_db()
        return poison.is_finished

    for _ in range(3):
        victim = workers.start()
        until(lambda victim=victim: victim.poll() is not None, "the poison has killed its worker")
    workers.start()
    until(refused, "the poison is given up")
    healthy = enqueue()
    until(lambda: Job.objects.filter(pk=healthy.pk, state=Job.State.DONE).exists(), "the next job is done")

    assert (poison.state, poison.attempt) == (Job.State.QUARANTINED, 3)
    assert len([line for line in workers.entries("started") if line.split()[1] == str(poison.pk)]) == 3


def test_a_frozen_worker_that_wakes_up_changes_nothing(workers, enqueue, ended, until):
    frozen = workers.start()
    job = enqueue(payload={"seconds": 1.0}, total=3)
    until(lambda: workers.entries("step"), "the work has begun")

    frozen.send_signal(signal.SIGSTOP)
    awake = workers.start()
    until(lambda: any(line.split()[2] == "2" for line in workers.entries("started")), "it is taken over")
    frozen.send_signal(signal.SIGCONT)

    assert ended(job).state == Job.State.DONE
    assert job.result == {"attempt": 2, "pid": awake.pid}
    until(lambda: "attempt 1 stops here" in workers.logs(), "the frozen worker has noticed")
    job.refresh_from_db()
    assert job.result == {"attempt": 2, "pid": awake.pid}


def test_a_stopped_worker_gives_its_job_back_and_no_try_is_used_up(workers, enqueue, ended, until):
    stopped = workers.start()
    job = enqueue(payload={"seconds": 600}, total=1)
    Job.objects.filter(pk=job.pk).update(max_attempts=1)
    until(lambda: workers.entries("step"), "the work has begun")

    stopped.terminate()
    until(lambda: stopped.poll() is not None, "the worker has ended")

    job.refresh_from_db()
    assert (job.state, job.error) == (Job.State.QUEUED, "")
    Job.objects.filter(pk=job.pk).update(payload={})
    workers.start()
    assert (ended(job).state, job.attempt) == (Job.State.DONE, 2)


def test_a_broker_that_forgets_everything_loses_no_job(workers, enqueue, ended, queue, settings):
    made = [enqueue(total=1) for _ in range(10)]
    assert queue.messages("generate") == 10

    queue.lose_everything()
    assert queue.messages("generate") == 0
    Job.objects.update(rung_at=None)  # as after RING_AGAIN_AFTER
    workers.start()

    assert {(ended(job).state, job.attempt) for job in made} == {(Job.State.DONE, 1)}
    assert len(workers.entries("step")) == 10


def test_a_running_job_ends_when_it_is_cancelled(workers, enqueue, ended, until):
    workers.start()
    job = enqueue(payload={"seconds": 600}, total=1)
    until(lambda: workers.entries("step"), "the work has begun")

    jobs.cancel(job)

    assert ended(job).state == Job.State.CANCELLED
    following = enqueue(total=1)
    assert ended(following).state == Job.State.DONE  # the worker lives
