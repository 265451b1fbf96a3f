"""The rules of jobs: one claim, one fence, no job lost, no work doubled."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from arena.errors import BadInput, JobLost
from arena.models import Job
from arena.services import jobs

pytestmark = pytest.mark.services

FINISHED = [Job.State.DONE, Job.State.FAILED, Job.State.CANCELLED, Job.State.QUARANTINED]


def enqueue(**fields: Any) -> Job:
    return jobs.enqueue(**{"kind": Job.Kind.GENERATE, "title": "Generate responses", "total": 10, **fields})


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """What `act` gives to each of `count` threads that all start in the same moment."""
    together = threading.Barrier(count)
    results: list[Any] = [None] * count

    def one(number: int) -> None:
        try:
            together.wait(timeout=30)
            results[number] = act(number)
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


def seconds_ago(seconds: float) -> Any:
    return Now() - timedelta(seconds=seconds)


@pytest.mark.django_db(transaction=True)
def test_the_queue_hears_of_a_job_only_once_it_is_committed(queue):
    with transaction.atomic():
        job = enqueue()
        assert queue.messages("generate") == 0

    job.refresh_from_db()
    assert queue.messages("generate") == 1
    assert job.state == Job.State.QUEUED
    assert job.rung_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_job_of_a_rolled_back_request_is_neither_stored_nor_told(queue):
    with transaction.atomic():
        enqueue()
        transaction.set_rollback(True)

    assert not Job.objects.exists()
    assert queue.messages("generate") == 0


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_down_costs_neither_the_request_nor_the_job(broken_queue, queue):
    job = enqueue()

    job.refresh_from_db()
    assert (job.state, job.rung_at) == (Job.State.QUEUED, None)
    assert jobs.reap()["rung"] == 1  # tried, in vain
    job.refresh_from_db()
    assert job.rung_at is None
    broken_queue()
    jobs.reap()
    assert queue.messages("generate") == 1
    job.refresh_from_db()
    assert job.rung_at is not None


@pytest.mark.django_db(transaction=True)
def test_one_key_has_one_unfinished_job(queue):
    first = enqueue(unique_key="generate:7")

    assert enqueue(unique_key="generate:7", title="Another title") == first
    assert enqueue(unique_key="generate:8") != first
    assert enqueue() != enqueue()
    assert Job.objects.filter(unique_key="generate:7").get().title == "Generate responses"
    assert queue.messages("generate") == 4


@pytest.mark.parametrize("state", FINISHED)
@pytest.mark.django_db
def test_a_finished_job_leaves_its_key_to_the_next(make_job, state):
    finished = make_job(unique_key="generate:7", state=state)

    assert enqueue(unique_key="generate:7") != finished


@pytest.mark.django_db(transaction=True)
def test_of_many_who_ask_for_the_same_key_at_once_all_get_the_same_job(queue):
    results = at_once(8, lambda _: enqueue(unique_key="generate:7"))

    assert {getattr(job, "pk", job) for job in results} == {Job.objects.get().pk}


@pytest.mark.django_db(transaction=True)
def test_of_many_who_claim_at_once_one_has_the_job(make_job):
    job = make_job()

    results = at_once(12, lambda number: jobs.claim(job_id=job.pk, owner=f"worker {number}"))

    winners = [(number, result) for number, result in enumerate(results) if result is not None]
    assert [result.attempt for _, result in winners] == [1]
    job.refresh_from_db()
    assert (job.attempt, job.lease_owner) == (1, f"worker {winners[0][0]}")


@pytest.mark.parametrize(
    "fields",
    [
        *({"state": state} for state in FINISHED),
        {"state": Job.State.QUEUED, "run_at": Now() + timedelta(minutes=1)},
        {"state": Job.State.QUEUED, "attempt": 3, "max_attempts": 3},
        {"state": Job.State.QUEUED, "cancel_requested": True},
        {"state": Job.State.RUNNING, "attempt": 1, "lease_until": Now() + timedelta(minutes=1)},
        {"state": Job.State.RUNNING, "attempt": 3, "lease_until": Now() - timedelta(minutes=1)},
    ],
)
@pytest.mark.django_db
def test_a_job_that_is_not_to_be_had_is_not_claimed(make_job, fields):
    job = make_job(**fields)
    before = Job.objects.values().get()

    assert jobs.claim(job_id=job.pk, owner="late") is None
    assert jobs.claim(job_id=job.pk + 1, owner="wrong") is None

    assert Job.objects.values().get() == before


@pytest.mark.django_db
def test_a_job_whose_lease_ran_out_is_claimed_before_any_reaper_comes(make_job):
    job = make_job(state=Job.State.RUNNING, attempt=1, lease_until=seconds_ago(1))

    taken = jobs.claim(job_id=job.pk, owner="second")

    assert taken is not None
    assert (taken.attempt, taken.lease_owner) == (2, "second")


@pytest.mark.django_db
def test_a_worker_whose_attempt_is_over_changes_nothing(make_job):
    job = make_job()
    stale = jobs.claim(job_id=job.pk, owner="first")
    Job.objects.update(lease_until=seconds_ago(1))
    current = jobs.claim(job_id=job.pk, owner="second")
    before = Job.objects.values().get()

    assert stale is not None
    assert not jobs.beat(stale)
    with pytest.raises(JobLost, match="attempt 1 stops here"):
        jobs.note_progress(stale, done=9, line="from the past")
    with pytest.raises(JobLost):
        jobs.finish(stale, result={"from": "the past"})
    jobs.fail(stale, error="from the past")
    jobs.give_back(stale)
    jobs.end_cancelled(stale)

    assert Job.objects.values().get() == before
    assert current is not None
    jobs.finish(current, result={"from": "the present"})
    job.refresh_from_db()
    assert (job.state, job.result, job.done) == (Job.State.DONE, {"from": "the present"}, 10)


@pytest.mark.parametrize("state", [Job.State.FAILED, Job.State.CANCELLED, Job.State.QUARANTINED])
@pytest.mark.django_db
def test_the_fence_holds_over_a_retry(make_job, state):
    job = make_job()
    stale = jobs.claim(job_id=job.pk, owner="first")
    Job.objects.update(state=state, lease_until=None, cancel_requested=True, error="It went wrong.")

    again = jobs.retry(job)
    taken = jobs.claim(job_id=again.pk, owner="second")

    assert stale is not None
    assert taken is not None
    assert taken.attempt == 2
    assert not jobs.beat(stale)
    with pytest.raises(JobLost):
        jobs.finish(stale)
    job.refresh_from_db()
    assert (job.state, job.lease_owner, job.error) == (Job.State.RUNNING, "second", "")


@pytest.mark.django_db
def test_a_retried_job_has_all_its_tries_again(make_job, settings):
    job = make_job(state=Job.State.QUARANTINED, attempt=3, max_attempts=3)

    jobs.retry(job)

    assert job.max_attempts - job.attempt == settings.JOB_ATTEMPTS


@pytest.mark.parametrize("state", [Job.State.QUEUED, Job.State.RUNNING, Job.State.DONE])
@pytest.mark.django_db
def test_what_has_not_failed_cannot_be_tried_again(make_job, state):
    job = make_job(state=state)

    with pytest.raises(BadInput, match="Only a failed"):
        jobs.retry(job)

    job.refresh_from_db()
    assert job.state == state


@pytest.mark.django_db
def test_a_retry_beside_the_same_work_is_refused(make_job):
    failed = make_job(state=Job.State.FAILED, unique_key="generate:7", error="It went wrong.")
    make_job(unique_key="generate:7")

    with pytest.raises(BadInput, match="already queued"):
        jobs.retry(failed)

    failed.refresh_from_db()
    assert (failed.state, failed.error) == (Job.State.FAILED, "It went wrong.")


@pytest.mark.django_db
def test_a_queued_job_is_cancelled_at_once_and_never_claimed(make_job):
    job = jobs.cancel(make_job())

    assert job.state == Job.State.CANCELLED
    assert job.finished_at is not None
    assert jobs.claim(job_id=job.pk, owner="late") is None


@pytest.mark.django_db
def test_a_running_job_is_asked_to_end_and_its_worker_ends_it(make_job):
    claimed = jobs.claim(job_id=make_job().pk, owner="first")
    assert claimed is not None

    job = jobs.cancel(claimed)

    assert (job.state, job.cancel_requested) == (Job.State.RUNNING, True)
    assert jobs.is_cancelled(claimed)
    jobs.end_cancelled(claimed)
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED


@pytest.mark.parametrize("state", FINISHED)
@pytest.mark.django_db
def test_cancelling_a_finished_job_changes_nothing(make_job, state):
    job = make_job(state=state)
    before = Job.objects.values().get()

    jobs.cancel(job)

    assert Job.objects.values().get() == before


@pytest.mark.django_db(transaction=True)
def test_the_reaper_queues_what_its_worker_left(make_job, queue):
    left = make_job(state=Job.State.RUNNING, attempt=1, lease_until=seconds_ago(1), rung_at=Now())
    alive = make_job(state=Job.State.RUNNING, attempt=1, lease_until=Now() + timedelta(minutes=1))

    assert jobs.reap() == {"cancelled": 0, "given_up": 0, "requeued": 1, "rung": 1}

    left.refresh_from_db()
    alive.refresh_from_db()
    assert (left.state, left.attempt) == (Job.State.QUEUED, 1)
    assert alive.state == Job.State.RUNNING
    assert queue.messages("generate") == 1
    assert jobs.reap() == {"cancelled": 0, "given_up": 0, "requeued": 0, "rung": 0}


@pytest.mark.django_db(transaction=True)
def test_the_reaper_gives_up_a_job_that_ended_its_worker_at_each_try(make_job, queue):
    job = make_job(state=Job.State.RUNNING, attempt=3, max_attempts=3, lease_until=seconds_ago(1))

    assert jobs.reap()["given_up"] == 1

    job.refresh_from_db()
    assert (job.state, job.lease_until) == (Job.State.QUARANTINED, None)
    assert "then try again" in job.error
    assert queue.messages("generate") == 0


@pytest.mark.parametrize("attempt", [1, 3])
@pytest.mark.django_db(transaction=True)
def test_the_reaper_ends_a_cancelled_job_whose_worker_is_gone(make_job, queue, attempt):
    job = make_job(
        state=Job.State.RUNNING, attempt=attempt, lease_until=seconds_ago(1), cancel_requested=True
    )

    assert jobs.reap()["cancelled"] == 1

    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    assert queue.messages("generate") == 0


@pytest.mark.django_db(transaction=True)
def test_the_reaper_rings_again_for_what_was_never_heard(make_job, queue):
    make_job(rung_at=None)
    make_job(rung_at=seconds_ago(jobs.RING_AGAIN_AFTER.total_seconds() + 1))
    make_job(rung_at=seconds_ago(1))
    make_job(rung_at=None, run_at=Now() + timedelta(minutes=1))
    make_job(rung_at=None, run_at=seconds_ago(1))

    assert jobs.reap()["rung"] == 3

    assert queue.messages("generate") == 3


@pytest.mark.django_db(transaction=True)
def test_many_reapers_at_once_use_up_no_tries_and_lose_nothing(make_job, queue):
    left = [
        make_job(state=Job.State.RUNNING, attempt=1, lease_until=seconds_ago(1), rung_at=Now())
        for _ in range(5)
    ]

    results = at_once(6, lambda _: jobs.reap())

    assert [result for result in results if isinstance(result, Exception)] == []
    assert sum(result["requeued"] for result in results) == 5
    rows = Job.objects.filter(pk__in=[job.pk for job in left])
    assert set(rows.values_list("state", "attempt")) == {(Job.State.QUEUED, 1)}
    assert queue.messages("generate") >= 5  # a doubled ring is allowed, a missing one is not


@pytest.mark.django_db(transaction=True)
def test_a_cancel_is_never_lost_among_reapers(make_job, queue):
    """Whatever comes first: the job ends cancelled, or its worker is told; it is not queued for ever."""
    for _ in range(10):
        job = make_job(state=Job.State.RUNNING, attempt=1, lease_until=seconds_ago(1))

        at_once(3, lambda number, job=job: jobs.cancel(job) if number == 0 else jobs.reap())
        jobs.reap()

        job.refresh_from_db()
        assert job.state == Job.State.CANCELLED


@pytest.mark.django_db
def test_progress_renews_the_lease_and_keeps_the_newest_of_the_log(make_job, monkeypatch):
    monkeypatch.setattr(jobs, "LOG_LIMIT", 20)
    job = jobs.claim(job_id=make_job().pk, owner="first")
    assert job is not None
    Job.objects.update(lease_until=seconds_ago(1), progress_at=seconds_ago(60))

    jobs.note_progress(job, done=3, total=12, message="x" * 400, line="the first line\n")
    jobs.note_progress(job, line="the last line")

    job.refresh_from_db()
    assert (job.done, job.total, len(job.message)) == (3, 12, 300)
    assert job.log == "t line\nthe last line\n"[-20:]
    assert Job.objects.filter(lease_until__gt=Now(), progress_at__gt=seconds_ago(30)).exists()


@pytest.mark.django_db
def test_a_job_given_back_uses_up_no_try(make_job):
    claimed = jobs.claim(job_id=make_job(max_attempts=1).pk, owner="first")
    assert claimed is not None

    jobs.give_back(claimed)

    assert not jobs.beat(claimed)
    again = jobs.claim(job_id=claimed.pk, owner="second")
    assert again is not None
    assert again.attempt == 2


@pytest.mark.django_db
def test_a_cancelled_job_is_not_queued_again_when_its_worker_stops(make_job):
    claimed = jobs.claim(job_id=make_job().pk, owner="first")
    assert claimed is not None
    jobs.cancel(claimed)

    jobs.give_back(claimed)
    Job.objects.update(lease_until=seconds_ago(1))
    jobs.reap()

    claimed.refresh_from_db()
    assert claimed.state == Job.State.CANCELLED
