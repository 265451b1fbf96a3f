"""Samples of one prompt that differ on purpose."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from arena.errors import BadInput
from arena.models import Contestant, Job, Response
from arena.services.contestants import create_contestant
from arena.services.responses import plan_generation
from gpu_workers import generation_task, tasks
from gpu_workers.backends import ContestantSpec, GenerationRequest, open_backend
from gpu_workers.backends.decoding import filled_in
from tests import factories
from tests.gpu_workers import small

STEPS = 10


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_task, "KEPT", generation_task.KeptBackends())


def greedy(checkpoint: Path) -> Any:
    return open_backend(
        ContestantSpec(
            "transformers", str(checkpoint), parameters={"temperature": 0, "max_new_tokens": STEPS}
        )
    )


def asked(key: str, avoid: tuple[str, ...] = (), penalty: float = 0.0) -> GenerationRequest:
    words = ({"role": "user", "content": "Tell me of the sea"},)
    return GenerationRequest(key, words, avoid=avoid, penalty=penalty)


def test_a_penalised_text_is_the_one_that_a_plain_loop_writes(tiny_models: Path):
    """Greedy diverse decoding, one token after the other without a cache."""
    model = AutoModelForCausalLM.from_pretrained(tiny_models / "whole").eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_models / "whole")
    backend = greedy(tiny_models / "whole")
    assert filled_in(backend.sampling, model.generation_config).repetition_penalty == 1.0
    (first,) = backend.generate([asked("first")])
    (second,) = backend.generate([asked("second", (first.text,), 2.5)])
    apart = (first.text, second.text)

    got = {one.key: one for one in backend.generate([asked("third", apart, 2.5), asked("free", (), 2.5)])}

    prompt = tokenizer.apply_chat_template(
        list(asked("").messages), tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
    start = ids.shape[1]
    others = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in apart]
    for step in range(STEPS):
        with torch.no_grad():
            logits = model(ids).logits[0, -1]
        for other in others:
            if step < len(other):
                logits[other[step]] -= 2.5
        token = int(logits.argmax())
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
        if token in backend.stop:
            break
    assert got["third"].text == tokenizer.decode(ids[0, start:], skip_special_tokens=True).strip()
    assert got["free"].text == first.text  # beside it in the batch, and kept away from nothing
    assert len({*apart, got["third"].text}) == 3


@pytest.mark.django_db
def test_a_job_makes_each_round_of_samples_apart_from_those_before(tiny_models: Path):
    arena = factories.make_arena("tale")
    for number in range(3):
        factories.make_prompt(arena, f"Tell me of {number}")
    parameters = {"temperature": 0, "max_new_tokens": STEPS, "diversity_penalty": 20.0}
    contestant = factories.make_contestant(
        arena,
        backend="transformers",
        checkpoint=str(tiny_models / "whole"),
        parameters=parameters,
    )
    plain = factories.make_contestant(
        arena,
        backend="transformers",
        checkpoint=str(tiny_models / "whole"),
        parameters={**parameters, "diversity_penalty": 0},
    )

    made = {one.pk: jobs_done(one, samples=3) for one in (contestant, plain)}

    for prompt in arena.prompts.all():
        texts = Response.objects.filter(prompt=prompt, contestant=contestant).values_list("text", flat=True)
        assert len(set(texts)) == 3
    assert len(set(Response.objects.filter(contestant=plain).values_list("text", flat=True))) <= 3
    assert made[contestant.pk].result["diversity"] > made[plain.pk].result["diversity"] == 0
    kept = Response.objects.filter(contestant=contestant).order_by("sample")
    assert [one.made_by.get("kept_away_from") for one in kept] == [None] * 3 + [1] * 3 + [2] * 3


@pytest.mark.django_db
def test_a_ladder_and_contrast_reach_an_endpoint(endpoint: small.Endpoint):
    arena = factories.make_arena("tale")
    factories.make_prompt(arena, "Tell me of the sea")
    contestant = factories.make_contestant(
        arena,
        backend="openai",
        endpoint=endpoint.address,
        endpoint_model="m",
        parameters={"temperature_ladder": [0.2, 1.4], "contrast": True},
    )

    jobs_done(contestant, samples=3)

    first, second, third = endpoint.asked
    assert [one["temperature"] for one in endpoint.asked] == [0.2, 1.4, 0.2]
    assert "Others have answered" not in first["messages"][-1]["content"]
    said = dict(Response.objects.values_list("sample", "text"))
    assert said[0] in second["messages"][-1]["content"]
    assert said[0] in third["messages"][-1]["content"]
    assert said[1] in third["messages"][-1]["content"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("backend", "parameters", "sentence"),
    [
        ("openai", {"diversity_penalty": 2}, "Use contrast for an endpoint"),
        ("openai", {"diversity_penalty": -1}, "from 0 to 100"),
        ("openai", {"contrast": "yes"}, "true or false"),
        ("openai", {"temperature_ladder": [1.0]}, "2 to 16 numbers"),
    ],
)
def test_what_makes_no_sense_is_refused(backend: str, parameters: dict[str, Any], sentence: str):
    arena = factories.make_arena()

    with pytest.raises(BadInput, match=sentence):
        create_contestant(
            arena=arena,
            name="Odd",
            backend=backend,
            endpoint="http://127.0.0.1:8009/v1",
            endpoint_model="m",
            parameters=parameters,
        )


def jobs_done(contestant: Contestant, samples: int) -> Job:
    (job,) = plan_generation(arena=contestant.arena, contestants=[contestant], samples=samples)
    tasks.generate(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (Job.State.DONE, "")
    return job
