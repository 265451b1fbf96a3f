"""One attempt at a job, from the claim to how it ends."""

import threading
import time

import pytest
from django.db import connection
from django.db.models.functions import Now

from arena.errors import BadInput
from arena.models import Job
from arena.services import jobs, leases

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _not_stopping():
    yield
    leases._stopping.clear()


def until_told_to_stop(lease):
    """Work that never ends by itself."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lease.check()
        time.sleep(0.02)
    raise AssertionError("nobody told the work to stop")


def in_thread(act):
    """`act` as somebody else does it, on a connection of its own."""

    def run():
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_work_that_ends_well_leaves_its_result(make_job):
    def work(lease):
        lease.progress(done=4, message="Half way")
        return {"responses": 10}

    job = leases.work_on(make_job().pk, work)

    assert job is not None
    assert (job.state, job.result, job.done, job.error) == (Job.State.DONE, {"responses": 10}, 10, "")
    assert job.finished_at is not None


def test_a_second_message_for_the_same_job_does_no_work(make_job):
    job = leases.work_on(make_job().pk, lambda lease: None)
    calls = []

    assert leases.work_on(job.pk, calls.append) is None

    assert calls == []


def test_a_fault_of_the_domain_becomes_the_jobs_sentence(make_job):
    def work(lease):
        raise BadInput("The data set is empty. Vote first.")

    job = leases.work_on(make_job().pk, work)

    assert (job.state, job.error) == (Job.State.FAILED, "The data set is empty. Vote first.")


def test_an_unforeseen_fault_is_logged_whole_and_ends_the_job(make_job, caplog):
    def work(lease):
        raise KeyError("checkpoint")

    job = leases.work_on(make_job().pk, work)

    assert (job.state, job.error) == (Job.State.FAILED, "KeyError: 'checkpoint'")
    assert "Traceback" in caplog.text


def test_a_cancel_stops_the_work_within_its_next_looks(make_job):
    row = make_job()

    def work(lease):
        canceller = in_thread(lambda: jobs.cancel(row))
        try:
            until_told_to_stop(lease)
        finally:
            canceller.join(timeout=30)

    job = leases.work_on(row.pk, work)

    assert (job.state, job.result) == (Job.State.CANCELLED, {})


def test_a_silent_job_keeps_its_lease(make_job, settings):
    settings.JOB_LEASE_SECONDS, settings.JOB_BEAT_SECONDS = 6, 1
    put_right = []

    def work(lease):
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            put_right.append(jobs.reap()["requeued"])
            time.sleep(0.2)

    job = leases.work_on(make_job().pk, work)

    assert job.state == Job.State.DONE
    assert sum(put_right) == 0


def test_what_a_worker_makes_after_losing_its_lease_does_not_count(make_job):
    def work(lease):
        Job.objects.update(lease_until=Now())
        time.sleep(0.01)
        assert jobs.claim(job_id=lease.job.pk, owner="another worker") is not None
        return {"from": "the worker that lost it"}

    job = leases.work_on(make_job().pk, work)

    assert (job.state, job.attempt, job.lease_owner) == (Job.State.RUNNING, 2, "another worker")
    assert job.result == {}


def test_silent_work_learns_that_its_lease_is_lost(make_job, settings):
    settings.JOB_BEAT_SECONDS = 1

    def work(lease):
        Job.objects.update(lease_until=Now())
        time.sleep(0.01)
        jobs.claim(job_id=lease.job.pk, owner="another worker")
        until_told_to_stop(lease)

    job = leases.work_on(make_job().pk, work)

    assert (job.attempt, job.lease_owner, job.error) == (2, "another worker", "")


def test_a_worker_told_to_stop_gives_its_job_back(make_job):
    def work(lease):
        lease.progress(done=4)
        leases.stop_all()
        until_told_to_stop(lease)

    job = leases.work_on(make_job(max_attempts=1).pk, work)

    assert (job.state, job.done, job.error) == (Job.State.QUEUED, 4, "")
    Job.objects.update(rung_at=Now())
    assert leases.work_on(job.pk, lambda lease: None) is None  # not by the worker that stops
    assert Job.objects.get().rung_at is None  # so that another worker hears of it
    leases._stopping.clear()
    again = leases.work_on(job.pk, lambda lease: None)
    assert again is not None
    assert (again.state, again.attempt) == (Job.State.DONE, 2)


def test_no_thread_is_left_when_the_work_has_ended(make_job):
    def work(lease):
        raise BadInput("No.")

    leases.work_on(make_job().pk, work)

    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("lease-")] == []
