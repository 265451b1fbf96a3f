"""What the queue calls. Loaded by a worker only; torch is loaded by the work itself, not here."""

import os
from functools import partial
from typing import Any

from celery import Task

from arena.celery import app
from arena.services import leases

# Read when torch is loaded. Threads that spin while they wait for each other make generation many
# times slower where others (web, training, voters' browsers) want the same cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@app.task(name="gpu_workers.tasks.generate", bind=True)
def generate(self: Task, job_id: int) -> None:
    """Make the responses that a contestant owes."""
    from gpu_workers.generation_task import make_responses

    # Called by a command, this process does one job to its end: there is no queue to go back to.
    from_queue = not self.request.called_directly
    leases.work_on(job_id, partial(make_responses, gives_way=from_queue))


@app.task(name="gpu_workers.tasks.judge")
def judge(job_id: int) -> None:
    """Have a judge look at battles."""
    from gpu_workers.judge_task import judge_battles

    leases.work_on(job_id, judge_battles)


@app.task(name="gpu_workers.tasks.curate")
def curate(job_id: int) -> None:
    """Have a reward model choose a data set."""
    from gpu_workers.curate_task import curate_data_set

    leases.work_on(job_id, curate_data_set)


@app.task(name="gpu_workers.tasks.build_demo_models")
def build_demo_models(job_id: int) -> None:
    """Train the demo's models on this machine, and enter each as soon as it is there."""
    from gpu_workers.demo_task import build_models

    leases.work_on(job_id, build_models)


@app.task(name="gpu_workers.tasks.train")
def train(job_id: int) -> None:
    """Fine-tune a contestant on a data set."""
    from gpu_workers.training_task import run_training

    leases.work_on(job_id, run_training)


@app.task(name="gpu_workers.tasks.check_backend")
def check_backend(job_id: int) -> None:
    """Try a contestant's backend out, for the page."""
    from gpu_workers.check_task import check_backend as checked

    leases.work_on(job_id, checked)


@app.task(name="gpu_workers.tasks.check_contestant")
def check_contestant(contestant_id: int) -> list[dict[str, Any]]:
    """What a contestant's backend promises and keeps. Called by the command, not queued."""
    from gpu_workers.generation_task import checks_of

    return checks_of(contestant_id)
