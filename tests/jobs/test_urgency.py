"""Urgent jobs go first, hanging ones are taken away, and a canary says whether anybody listens."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from arena.models import Canary, Job
from arena.services import canaries, jobs, leases
from arena.tasks import hear_canary

pytestmark = pytest.mark.services


@pytest.mark.django_db(transaction=True)
def test_whoever_is_waited_for_goes_first_and_the_other_loses_nothing(make_job, queue):
    early = make_job(title="A long fill")
    late = make_job(title="An answer in a conversation", priority=jobs.LIVE)
    done: list[str] = []

    def work(lease):
        done.append(lease.job.title)

    leases.work_on(early.pk, work)

    assert done == ["An answer in a conversation"]
    early.refresh_from_db()
    assert early.state == Job.State.QUEUED
    assert queue.messages("generate") == 1  # it was rung for anew
    leases.work_on(early.pk, work)
    leases.work_on(late.pk, work)  # its own message comes late
    assert done == ["An answer in a conversation", "A long fill"]


@pytest.mark.django_db
def test_urgent_work_of_another_queue_is_no_reason_to_wait(make_job):
    mine = make_job()
    make_job(kind=Job.Kind.EXPORT, priority=jobs.LIVE)
    make_job(priority=jobs.LIVE, run_at=Now() + timedelta(minutes=1))
    make_job(priority=jobs.LIVE, state=Job.State.DONE)

    assert jobs.most_urgent(mine.pk) == mine.pk
    assert not jobs.more_urgent_waits(mine)


@pytest.mark.django_db
def test_work_that_stands_still_is_taken_away_though_its_process_lives(make_job, settings):
    hung = make_job()
    first = jobs.claim(job_id=hung.pk, owner="alive but stuck")
    Job.objects.update(progress_at=Now() - timedelta(seconds=settings.JOB_HANG_SECONDS + 1))
    assert jobs.beat(first)  # the lease is as fresh as can be

    assert jobs.reap()["requeued"] == 1

    assert not jobs.beat(first)
    taken = jobs.claim(job_id=hung.pk, owner="another")
    assert taken is not None
    assert taken.attempt == 2
    assert jobs.reap()["requeued"] == 0  # whoever has just begun does not hang


@pytest.mark.django_db
def test_a_rate_and_the_time_left_are_told_of_this_attempt_alone(make_job):
    now = timezone.now()
    job = make_job(
        state=Job.State.RUNNING,
        done_before=40,
        done=60,
        total=100,
        started_at=now - timedelta(seconds=10),
        progress_at=now,
    )

    assert job.rate == pytest.approx(2.0)
    assert job.seconds_left == 20
    assert make_job(state=Job.State.RUNNING, started_at=now, progress_at=now).seconds_left is None


@pytest.mark.django_db(transaction=True)
def test_a_canary_is_sent_once_a_minute_however_many_ask(queue):
    assert canaries.send_canaries() == len(jobs.QUEUES)
    assert canaries.send_canaries() == 0
    assert queue.messages("train") == 1

    Canary.objects.update(sent_at=Now() - canaries.EVERY - timedelta(seconds=1))
    assert canaries.send_canaries() == len(jobs.QUEUES)


@pytest.mark.django_db
def test_a_queue_is_well_while_its_canary_is_heard_or_a_job_goes_on(make_job):
    assert canaries.queue_faults()["train"] == "No worker has listened to the queue train yet."

    Canary.objects.create(queue="train")
    hear_canary("train")
    assert canaries.queue_faults()["train"] == ""

    later = timezone.now() + timedelta(minutes=7)
    assert canaries.queue_faults(later)["train"] == (
        "No worker has listened to the queue train for 7 minutes."
    )
    make_job(kind=Job.Kind.TRAIN, state=Job.State.RUNNING, lease_until=later + timedelta(seconds=30))
    assert canaries.queue_faults(later)["train"] == ""


@pytest.mark.django_db
def test_only_queues_in_which_somebody_waits_are_complained_of(make_job):
    assert canaries.unserved() == []

    make_job(kind=Job.Kind.TRAIN)

    assert canaries.unserved() == ["No worker has listened to the queue train yet."]


def test_a_worker_whose_work_hangs_ends_and_its_job_is_done_by_the_next(workers, until, transactional_db):
    hung = jobs.enqueue(kind=Job.Kind.GENERATE, title="Hangs", total=1, payload={"hang_on_attempts": 1})
    victim = workers.start(ARENA_JOB_HANG_SECONDS=2, ARENA_JOB_HANG_GRACE_SECONDS=1)

    until(lambda: victim.poll() is not None, "the hanging worker has ended")
    assert victim.returncode == leases.HANGS
    workers.start()
    until(lambda: Job.objects.filter(pk=hung.pk, state=Job.State.DONE).exists(), "the job is done")

    hung.refresh_from_db()
    assert hung.attempt == 2
