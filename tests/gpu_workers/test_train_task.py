"""A training job from its row to the new contestant: with the real trainer as the child process."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arena.models import Arena, Contestant, Job, TrainingMetric, TrainingRun
from arena.services import jobs, leases
from arena.services.data_sets import request_data_set, write_data_set
from arena.services.training import request_training, run_config, run_folder
from gpu_workers.training_task import run_training
from tests import factories
from tests.gpu_workers import kwise_world as world

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("loaded_children")]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the trainer's process has it from us


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return world.write_base(tmp_path_factory.mktemp("base") / "small")


@pytest.fixture
def arena(checkpoint) -> Arena:
    """Ten votes of somebody who likes the first contestant, on prompts in words that the base knows."""
    made = factories.make_arena("garden", k=3)
    names = ["Small", "Middle", "Large"]
    for name in names:
        fields = {"backend": "transformers", "checkpoint": str(checkpoint)} if name == "Small" else {}
        factories.make_contestant(made, name, **fields)
    texts = ["the cat sees a dog", "a big river", "why how please thank you"]
    for number in range(10):
        prompt = factories.make_prompt(made, "why the sun", split="held_out" if number == 9 else "train")
        for contestant, text in zip(made.contestants.order_by("id"), texts, strict=True):
            factories.make_response(prompt, contestant, text)
        factories.make_vote(made, [1, 2, 3], prompt=prompt)
    prompt = factories.make_prompt(made, "how the moon")
    for contestant, text in zip(made.contestants.order_by("id"), texts, strict=True):
        factories.make_response(prompt, contestant, text)
    for _ in range(4):
        factories.make_vote(made, [2, 1, 3], prompt=prompt)
    return made


@pytest.fixture
def ask(arena) -> Callable[..., TrainingRun]:
    """`ask(epochs=2)` is a training run whose job waits."""
    data_set = write_data_set(request_data_set(arena=arena))

    def asked(*, objective: str = "plackett-luce", **parameters: Any) -> TrainingRun:
        return request_training(
            base=arena.contestants.get(name="Small"),
            data_set=data_set,
            name="Tuned",
            objective=objective,
            parameters=parameters,
        )

    return asked


def test_a_training_job_makes_a_contestant_with_its_lineage(arena, ask):
    run = ask(epochs=2, batch_size=4)

    job = leases.work_on(run.job_id, run_training)

    assert job is not None
    assert (job.state, job.error) == ("done", "")
    run.refresh_from_db()
    tuned = Contestant.objects.get(name="Tuned")
    assert run.result == tuned
    assert tuned.parent.name == "Small"
    assert Path(tuned.checkpoint) == run_folder(run) / "model"
    assert run.manifest["parent"] == "Small"
    assert job.done == job.total == run.summary["steps"] > 2
    steps = dict(TrainingMetric.objects.filter(run=run).values_list("step", "values"))
    assert sorted(steps) == list(range(job.total + 1))
    assert {"eval_loss", "eval_accuracy"} <= steps[0].keys()
    assert {"loss", "grad_norm", "eval_loss"} <= steps[job.total].keys()
    assert "rankings, 1 held out" in job.log
    assert Job.objects.filter(kind="generate", payload__contestant=tuned.pk).exists()  # it will compete

    # The same message once more: no second contestant.
    Job.objects.filter(pk=run.job_id).update(state="queued", attempt=0)
    leases.work_on(run.job_id, run_training)

    assert list(arena.contestants.filter(parent__isnull=False)) == [tuned]


def test_a_dry_run_keeps_its_estimate_and_makes_no_contestant(arena, ask):
    run = ask(epochs=3, dry_run=True)

    job = leases.work_on(run.job_id, run_training)

    assert job is not None
    assert (job.state, job.error) == ("done", "")
    run.refresh_from_db()
    assert run.completed_at is not None
    assert run.summary["estimated_seconds"] > 0
    assert run.summary["steps"] > 3
    assert not Contestant.objects.filter(parent__isnull=False).exists()
    assert not (run_folder(run) / "state").exists()


def test_a_reward_model_is_kept_for_other_runs_and_does_not_compete(arena, ask):
    run = ask(epochs=1, objective="reward-bradley-terry")

    job = leases.work_on(run.job_id, run_training)

    assert job is not None
    assert (job.state, job.error) == ("done", "")
    run.refresh_from_db()
    assert run.manifest["objective"] == "reward-bradley-terry"
    assert run.result is None
    assert not Contestant.objects.filter(name="Tuned").exists()
    other = ask(objective="modpo", reward_model=run.pk)
    assert run_config(other)["reward_model"] == str(run_folder(run) / "model")
    assert (run_folder(run) / "model" / "reward_head.safetensors").is_file()


def test_the_trainers_sentence_is_the_jobs_error(arena, ask):
    run = ask(max_length=8, epochs=1)

    job = leases.work_on(run.job_id, run_training)

    assert job is not None
    assert job.state == "failed"
    assert "rankings fits into 8 tokens" in job.error
    assert not Contestant.objects.filter(name="Tuned").exists()
    assert not (run_folder(run) / "model").exists()


def test_a_cancelled_run_ends_its_process_and_goes_on_when_tried_again(ask):
    run = ask(epochs=120, batch_size=4, checkpoint_every_steps=5)
    ended: list[Job | None] = []
    worker = threading.Thread(target=lambda: ended.append(leases.work_on(run.job_id, run_training)))
    worker.start()
    try:
        wait_until(
            lambda: TrainingMetric.objects.filter(run=run, step__gte=6).exists() or not worker.is_alive()
        )
    finally:
        jobs.cancel(Job.objects.get(pk=run.job_id))
        worker.join(timeout=120)

    assert ended[0] is not None
    assert ended[0].state == "cancelled"
    assert list((run_folder(run) / "state").glob("checkpoint-*"))
    assert not Contestant.objects.filter(name="Tuned").exists()

    jobs.retry(Job.objects.get(pk=run.job_id))
    done = leases.work_on(run.job_id, run_training)

    assert done is not None
    assert (done.state, done.error) == ("done", "")
    begun = next(line for line in done.log.splitlines() if line.startswith("Goes on at step"))
    assert int(begun.split()[4]) >= 5
    assert Contestant.objects.filter(name="Tuned").count() == 1


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Bounded, for a machine that is busy."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
