"""Celery's way into the work that needs no GPU. Each task takes a job's id and is safe to run twice."""

import os
import socket
from collections.abc import Mapping
from typing import Any

from arena.celery import app
from arena.models import Contestant, DataSet
from arena.services import analyses, canaries
from arena.services.data_sets import write_data_set
from arena.services.leases import Lease, work_on
from arena.services.rounds import close_round


@app.task(name="arena.tasks.export_data_set")
def export_data_set(job_id: int) -> None:
    work_on(job_id, _export)


def _export(lease: Lease) -> Mapping[str, Any]:
    payload = lease.job.payload
    data_set = write_data_set(DataSet.objects.get(pk=payload["data_set"]), lease)
    told = {"data_set": data_set.pk, "rows": data_set.counts}
    if payload.get("train") is None:
        return told
    base = Contestant.objects.select_related("arena").get(pk=payload["train"])
    return {**told, "run": close_round(base=base, data_set=data_set, by=lease.job.created_by).pk}


@app.task(name="arena.tasks.analyse_leaderboard")
def analyse_leaderboard(job_id: int) -> None:
    work_on(job_id, analyses.run_job)


@app.task(name=canaries.TASK)
def hear_canary(queue: str) -> None:
    """Say that somebody listens to this queue."""
    canaries.hear(queue=queue, worker=f"{socket.gethostname()}:{os.getpid()}")
