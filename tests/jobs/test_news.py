"""What `manage.py serve` tells the person at the terminal."""

import pytest

from arena.management.commands import serve
from arena.models import Job
from arena.services.demo import DemoSeed
from tests import factories


@pytest.fixture
def news(transactional_db, live_server, monkeypatch):
    """`news(arena)` gives the teller and the lines that it has said."""
    monkeypatch.setattr(serve, "LOOK_SECONDS", 0.0)

    def make(arena, address=live_server.url):
        said = []
        seed = DemoSeed(arena, "demo", "a-password", 6, [])
        return serve.News(said.append, address, "https://arena.example.org", seed), said

    return make


def test_the_address_is_shown_only_once_the_server_answers(news):
    arena = factories.make_arena("demo")
    silent, said = news(arena, address="http://127.0.0.1:1")
    silent.tell()
    assert said == []

    teller, said = news(arena)
    teller.tell()
    teller.tell()

    welcome = [line for line in said if "Preference Arena is at https://arena.example.org" in line]
    assert len(welcome) == 1
    assert "demo / a-password" in welcome[0]


def test_patience_is_asked_for_once_and_the_first_battle_announced_once(news):
    arena = factories.make_arena("demo", k=2)
    prompt = factories.make_prompt(arena)
    first, second = factories.make_contestant(arena), factories.make_contestant(arena)
    factories.make_response(prompt, first)
    teller, said = news(arena)
    teller.tell()
    teller.tell()
    assert len([line for line in said if "being trained here" in line]) == 1
    assert not [line for line in said if "first battle is ready" in line]

    factories.make_response(prompt, second)
    teller.tell()
    teller.tell()

    ready = [line for line in said if "first battle is ready" in line]
    assert ready == ["The first battle is ready: https://arena.example.org/arenas/demo/"]


def test_a_job_is_told_of_when_it_moves_and_not_at_every_look(news):
    arena = factories.make_arena("demo")
    job = Job.objects.create(kind=Job.Kind.GENERATE, title="Responses of Acorn", state=Job.State.RUNNING)
    Job.objects.create(kind=Job.Kind.GENERATE, title="Of long ago", state=Job.State.DONE)
    teller, said = news(arena)

    for state, done, message in [("running", 0, "Opening"), ("running", 4, "4"), ("running", 50, "50")]:
        Job.objects.filter(pk=job.pk).update(state=state, done=done, total=100, message=message)
        teller.tell()
    Job.objects.filter(pk=job.pk).update(state=Job.State.FAILED, error="The checkpoint is missing.")
    teller.tell()

    assert [line for line in said if line.startswith("  ")] == [
        "  Responses of Acorn: 0 %, Opening",
        "  Responses of Acorn: 50 %, 50",
        "  Responses of Acorn: The checkpoint is missing.",
    ]
