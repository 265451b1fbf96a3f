"""A generation job from its row to the responses, with real backends and with a faulty one."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from arena.models import Arena, Contestant, Job, Response
from arena.services import jobs, leases
from arena.services.contestants import retire_contestant
from arena.services.responses import plan_generation
from gpu_workers import generation, generation_task, tasks
from gpu_workers.backends import BackendError, GenerationRequest, GenerationResult
from gpu_workers.generation import PATIENCE, run, seed_of
from tests import factories
from tests.gpu_workers import small


class Scripted:
    """A backend whose results a test writes: a text, or a sentence that says why there is none."""

    def __init__(self, error_of: Callable[[GenerationRequest], str] = lambda request: "") -> None:
        self.error_of = error_of
        self.asked: list[str] = []

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationResult]:
        for request in requests:
            self.asked.append(request.key)
            error = self.error_of(request)
            text = "" if error else f"On {request.messages[-1]['content']}"
            yield GenerationResult(request.key, text=text, tokens=3, finish_reason="stop", error=error)

    def facts(self) -> dict[str, Any]:
        return {"backend": "scripted", "revision": "1"}

    def close(self) -> None:
        """Nothing to close."""


def requests(count: int) -> list[GenerationRequest]:
    return [GenerationRequest(str(number), ({"role": "user", "content": "?"},)) for number in range(count)]


# The plain loop


def test_results_come_in_portions_and_none_is_lost():
    portions = list(run(Scripted(), requests(20), portion=6, clock=lambda: 0.0))

    assert [len(portion) for portion in portions] == [6, 6, 6, 2]
    assert sorted(int(result.key) for portion in portions for result in portion) == list(range(20))


def test_a_slow_backend_hands_on_what_there_is():
    ticks = iter(range(1000))

    portions = list(run(Scripted(), requests(4), portion=100, seconds=2.0, clock=lambda: float(next(ticks))))

    assert len(portions) > 1


def test_a_request_that_the_backend_passes_over_comes_back_as_failed():
    class Forgetful(Scripted):
        def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationResult]:
            return super().generate(requests[1:])

    results = [result for portion in run(Forgetful(), requests(3)) for result in portion]

    assert {result.key: result.error for result in results} == {
        "0": "The backend gave no answer.",
        "1": "",
        "2": "",
    }


def test_many_failures_and_no_success_end_the_work():
    backend = Scripted(lambda request: "Out of cheese.")
    got: list[GenerationResult] = []

    def collect() -> None:
        for portion in run(backend, requests(500), portion=7):
            got.extend(portion)

    with pytest.raises(BackendError, match=rf"first {PATIENCE} responses all failed.*Out of cheese"):
        collect()

    assert len(got) == len(backend.asked) == PATIENCE  # what came was handed on, and no more was asked


def test_many_failures_after_a_success_do_not():
    backend = Scripted(lambda request: "" if request.key == "0" else "Out of cheese.")

    assert sum(map(len, run(backend, requests(100)))) == 100


def test_a_seed_belongs_to_its_parts():
    assert seed_of(1, 2, 3) == seed_of(1, 2, 3)
    assert len({seed_of(1, 23), seed_of(12, 3), seed_of(1, 2, 3), seed_of("1", 23, "")}) == 4
    assert all(0 <= seed_of(number) < 2**63 for number in range(50))


# The job


pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def arena() -> Arena:
    made = factories.make_arena("garden")
    for number in range(7):
        factories.make_prompt(made, f"question {number}")
    factories.make_prompt(factories.make_arena("cellar"), "a prompt of another arena")
    return made


@pytest.fixture
def contestant(arena: Arena, tiny_models: Path) -> Contestant:
    parameters = {"temperature": 1.0, "max_new_tokens": 8, "seed": 5}
    return factories.make_contestant(
        arena,
        "Tiny",
        backend="transformers",
        checkpoint=str(tiny_models / "whole"),
        system_prompt="Be brief.",
        parameters=parameters,
    )


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_task, "KEPT", generation_task.KeptBackends())


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    """`scripted(error_of)` puts a scripted backend in the place of every one that is opened."""

    def put(error_of: Callable[[GenerationRequest], str] = lambda request: "") -> Scripted:
        backend = Scripted(error_of)
        monkeypatch.setattr(generation_task, "open_backend", lambda spec, hosts: backend)
        return backend

    return put


def done(job: Job) -> Job:
    tasks.generate(job.pk)
    job.refresh_from_db()
    return job


def planned(contestant: Contestant, samples: int = 1) -> Job:
    (job,) = plan_generation(arena=contestant.arena, contestants=[contestant], samples=samples)
    return job


def test_a_job_makes_every_response_that_the_contestant_owes(contestant: Contestant):
    job = done(planned(contestant, samples=2))

    assert (job.state, job.error) == (Job.State.DONE, "")
    made = Response.objects.filter(contestant=contestant)
    assert made.count() == 14
    assert {response.prompt.arena_id for response in made} == {contestant.arena_id}
    assert job.result["made"] == job.done == job.total == 14
    assert job.result["failed"] == 0
    for response in made:
        assert response.made_by["parameters"] == contestant.parameters
        assert response.made_by["finish_reason"] in ("stop", "length")
        assert len(response.made_by["revision"]) == 64
        assert len(response.made_by["system_prompt_sha256"]) == 64
        assert response.made_by["tokens"] > 0
        assert response.made_by["job"] == job.pk
    assert len({response.made_by["seed"] for response in made}) == 14


def test_made_again_the_responses_are_the_same(contestant: Contestant):
    done(planned(contestant))
    first = dict(Response.objects.values_list("prompt", "text"))
    Response.objects.all().delete()

    done(planned(contestant))

    assert dict(Response.objects.values_list("prompt", "text")) == first


def test_a_message_that_comes_twice_makes_nothing_twice(contestant: Contestant):
    job = done(planned(contestant))
    before = list(Response.objects.values_list("pk", "text"))

    assert done(job).attempt == 1

    assert list(Response.objects.values_list("pk", "text")) == before


def test_only_what_is_missing_is_asked_for(contestant: Contestant, scripted: Callable[..., Scripted]):
    first, second = contestant.arena.prompts.order_by("id")[:2]
    factories.make_response(first, contestant, "made before")
    backend = scripted()

    job = done(planned(contestant))

    assert len(backend.asked) == job.result["made"] == 6
    assert Response.objects.get(prompt=first).text == "made before"
    assert Response.objects.get(prompt=second).text == "On question 1"


def test_one_response_that_fails_is_told_and_does_not_stop_the_rest(
    contestant: Contestant, scripted: Callable[..., Scripted]
):
    backend = scripted(lambda request: "Too hot." if request.messages[-1]["content"] == "question 3" else "")

    job = done(planned(contestant))

    assert job.state == Job.State.DONE
    assert job.result["made"] == 6
    assert job.result["failed"] == 1
    prompt = contestant.arena.prompts.get(messages__0__content="question 3")
    assert job.result["failures"] == [{"prompt": prompt.pk, "sample": 0, "error": "Too hot."}]
    assert not Response.objects.filter(prompt=prompt).exists()
    assert len(backend.asked) == 7  # it was not asked for again and again


def test_a_job_whose_responses_all_fail_fails_in_one_sentence(
    contestant: Contestant, scripted: Callable[..., Scripted]
):
    scripted(lambda request: "Too hot.")

    job = done(planned(contestant))

    assert job.state == Job.State.FAILED
    assert job.error == "None of 7 responses could be made. Too hot."
    assert not Response.objects.exists()


def test_a_missing_checkpoint_fails_the_job_in_one_sentence(contestant: Contestant, tmp_path: Path):
    job = planned(contestant)
    Contestant.objects.update(checkpoint=str(tmp_path / "gone"))

    assert done(job).state == Job.State.FAILED
    assert job.error == f"There is no checkpoint folder {tmp_path / 'gone'}."


def test_an_endpoint_contestant_is_asked_with_the_key_of_its_variable(
    arena: Arena, endpoint: small.Endpoint, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GARDEN_KEY", "open-sesame")
    contestant = factories.make_contestant(
        arena,
        backend="openai",
        endpoint=endpoint.address,
        endpoint_model="echo",
        endpoint_key_variable="GARDEN_KEY",
    )

    job = done(planned(contestant))

    assert job.result["made"] == 7
    assert {headers["Authorization"] for headers in endpoint.headers} == {"Bearer open-sesame"}
    assert "open-sesame" not in str(list(Response.objects.values())) + str(Job.objects.values())


def test_a_key_s_variable_that_is_not_set_fails_the_job_by_name(arena: Arena, endpoint: small.Endpoint):
    assert "GARDEN_KEY" not in os.environ
    contestant = factories.make_contestant(
        arena,
        "Echo",
        backend="openai",
        endpoint=endpoint.address,
        endpoint_model="echo",
        endpoint_key_variable="GARDEN_KEY",
    )

    job = done(planned(contestant))

    assert job.error == "The variable GARDEN_KEY is not set on this worker. It must hold Echo's key."
    assert endpoint.asked == []


def test_an_endpoint_that_stops_half_way_keeps_what_was_made(
    arena: Arena, endpoint: small.Endpoint, monkeypatch: pytest.MonkeyPatch
):
    contestant = factories.make_contestant(
        arena, backend="openai", endpoint=endpoint.address, endpoint_model="echo"
    )

    def reply(door: Any, body: dict[str, Any]) -> None:
        if "question 5" in body["messages"][-1]["content"]:
            door.send(401, {"error": "The key has run out"})
        else:
            small.echo(door, body)

    endpoint.reply = reply
    monkeypatch.setattr(
        generation_task, "run", lambda backend, wanted: generation.run(backend, wanted, portion=1)
    )
    job = done(planned(contestant))
    assert job.state == Job.State.FAILED
    assert "refused the key (401: The key has run out)" in job.error
    kept = set(Response.objects.values_list("pk", flat=True))

    endpoint.reply = None
    jobs.retry(job)

    assert done(job).state == Job.State.DONE
    assert Response.objects.count() == 7
    assert kept <= set(Response.objects.values_list("pk", flat=True))


def test_a_retired_contestant_makes_nothing(contestant: Contestant, scripted: Callable[..., Scripted]):
    backend = scripted()
    job = planned(contestant)
    retire_contestant(contestant=contestant)

    assert done(job).state == Job.State.DONE
    assert job.result["note"] == "Tiny is retired; nothing was generated."
    assert backend.asked == []


def test_a_cancelled_job_stops_between_two_portions(
    contestant: Contestant, scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
):
    def stop_at_three(request: GenerationRequest) -> str:
        if request.messages[-1]["content"] == "question 3":
            # What the lease's thread does within a second of somebody's cancel.
            lease._cancelled.set()
        return ""

    scripted(stop_at_three)
    monkeypatch.setattr(
        generation_task, "run", lambda backend, wanted: generation.run(backend, wanted, portion=1)
    )
    job = planned(contestant)
    lease: leases.Lease

    def work(given: leases.Lease) -> dict[str, Any]:
        nonlocal lease
        lease = given
        return generation_task.make_responses(given)

    leases.work_on(job.pk, work)

    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    assert Response.objects.count() == 3


def test_the_last_model_is_kept_and_another_takes_its_place(
    contestant: Contestant, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
):
    opened: list[str] = []
    real = generation_task.open_backend

    def noted(spec: Any, hosts: Any) -> Any:
        opened.append(Path(spec.checkpoint).name)
        return real(spec, hosts=hosts)

    monkeypatch.setattr(generation_task, "open_backend", noted)
    done(planned(contestant))
    Response.objects.all().delete()
    done(planned(contestant))
    assert opened == ["whole"]

    other = factories.make_contestant(
        contestant.arena,
        backend="transformers",
        checkpoint=str(tiny_models / "early"),
        parameters={"max_new_tokens": 4},
    )
    done(planned(other))

    assert opened == ["whole", "early"]


def test_a_contestant_that_is_gone_fails_its_job(contestant: Contestant):
    job = planned(contestant)
    Contestant.objects.all().delete()

    assert done(job).error == "The contestant is gone. There is nothing to generate for."


def test_after_its_first_responses_a_job_lets_a_contestant_that_has_none_go_first(
    arena: Arena, contestant: Contestant, scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(generation_task, "FIRST_WINDOW", 2)
    scripted()
    other = factories.make_contestant(arena, "Other", backend="transformers", checkpoint="elsewhere")
    first, second = planned(contestant), planned(other)

    leases.work_on(first.pk, partial(generation_task.make_responses, gives_way=True))

    first.refresh_from_db()
    assert first.state == Job.State.QUEUED
    assert first.message == "Waits while others make their first responses"
    assert Response.objects.filter(contestant=contestant).count() == first.done == 2
    assert done(second).state == Job.State.DONE

    # Nobody is without responses any more, so the first goes on to its end.
    leases.work_on(first.pk, partial(generation_task.make_responses, gives_way=True))
    first.refresh_from_db()
    assert first.state == Job.State.DONE
    assert first.result["made"] == 7
    assert Response.objects.filter(contestant=contestant).count() == 7
    assert first.attempt < first.max_attempts


def test_a_job_that_a_command_does_itself_gives_way_to_nobody(
    arena: Arena, contestant: Contestant, scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(generation_task, "FIRST_WINDOW", 2)
    scripted()
    planned(factories.make_contestant(arena, "Other", backend="transformers", checkpoint="elsewhere"))

    assert done(planned(contestant)).state == Job.State.DONE
