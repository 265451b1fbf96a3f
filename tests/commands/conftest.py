import pytest

from arena.celery import app
from arena.models import Contestant, Job
from arena.services import jobs
from arena.services.leases import Lease, work_on
from arena.services.responses import NewResponse, next_requests, record_responses


@app.task(name="tests.commands.conftest.echo")
def echo(job_id: int) -> None:
    """A worker whose model says each prompt back, through the real lease and services."""
    work_on(job_id, _echo)


def _echo(lease: Lease) -> dict:
    contestant = Contestant.objects.get(pk=lease.job.payload["contestant"])
    samples = lease.job.payload["samples"]
    made = 0
    while asked := next_requests(contestant=contestant, samples=samples, limit=2):
        items = [
            NewResponse(one.prompt_id, one.sample, f"{one.messages[-1]['content']} ({one.sample})")
            for one in asked
        ]
        made += record_responses(contestant=contestant, items=items)
        lease.progress(done=made)
    return {"made": made}


@pytest.fixture
def echo_worker(monkeypatch):
    """Generation that needs no torch."""
    monkeypatch.setitem(jobs.TASKS, Job.Kind.GENERATE, (echo.name, "generate"))
