"""The contract that every backend passes, and what makes one trustworthy: keys, budgets, rests, adapters."""

import base64
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from django.core.management import CommandError, call_command
from peft import LoraConfig, get_peft_model
from PIL import Image
from transformers import AutoModelForCausalLM

from arena.models import Contestant
from arena.services import leases
from arena.services.contestant_changes import request_check
from arena.services.contestants import key_of, left_of, note_spent, set_key
from gpu_workers.backends import (
    Backend,
    BackendError,
    ContestantSpec,
    GenerationRequest,
    GenerationResult,
    contract,
    open_backend,
)
from gpu_workers.backends.asking import Limits, retry_after
from gpu_workers.backends.bases import base_of
from gpu_workers.backends.breaker import GIVEN_UP_AFTER, Breaker
from gpu_workers.backends.budget import Budget
from gpu_workers.backends.custom import CustomBackend
from gpu_workers.backends.endpoint import EndpointBackend
from gpu_workers.check_task import check_backend
from gpu_workers.generation import LONGEST, cleaned
from tests import factories
from tests.gpu_workers import small

# PEFT 0.21 asks transformers 5 by a name that is on its way out; see gpu_workers/backends/bases.py.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")

HERE = ["127.0.0.1"]


def _pixel() -> bytes:
    drawn = io.BytesIO()
    Image.new("RGB", (1, 1), "red").save(drawn, "PNG")
    return drawn.getvalue()


PICTURE = _pixel()
PIXEL = base64.b64encode(PICTURE).decode()


def request(key: str, seed: int = 1, **fields: Any) -> GenerationRequest:
    return GenerationRequest(key, ({"role": "user", "content": "What does a dog eat?"},), seed, **fields)


def own(door: Any, body: dict[str, Any]) -> None:
    """A server that keeps to the arena's own contract."""
    words = f"{body['messages'][-1]['content']} ({body['seed']})"
    door.send(200, {"text": words, "tokens": 5, "prompt_tokens": 7})


@pytest.fixture(scope="session")
def adapter(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, float], Path]:
    """`adapter(name, size)`: a LoRA adapter of the tiny model with weights of this size."""
    folder = tmp_path_factory.mktemp("adapters")

    def make(name: str, size: float) -> Path:
        if not (folder / name).exists():
            model = AutoModelForCausalLM.from_pretrained(tiny_models / "whole")
            tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
            torch.manual_seed(3)
            with torch.no_grad():
                for part, weights in tuned.named_parameters():
                    if "lora_" in part:
                        weights.copy_(size * torch.randn(weights.shape))
            tuned.save_pretrained(folder / name)
        return folder / name

    return make


def spec_of(kind: str, tiny_models: Path, endpoint: small.Endpoint, adapter: Any) -> ContestantSpec:
    sampling = {"temperature": 1.0, "max_new_tokens": 12}
    if kind in ("checkpoint", "adapter"):
        put_on = str(adapter("large", 0.5)) if kind == "adapter" else ""
        return ContestantSpec("transformers", str(tiny_models / "whole"), adapter=put_on, parameters=sampling)
    if kind == "openai":
        return ContestantSpec("openai", endpoint=endpoint.address, endpoint_model="m", parameters=sampling)
    endpoint.reply = own
    return ContestantSpec("custom", endpoint=endpoint.address, parameters={"steps": 3})


@pytest.mark.parametrize("kind", ["checkpoint", "adapter", "openai", "custom"])
def test_every_backend_keeps_to_the_contract(
    kind: str, tiny_models: Path, endpoint: small.Endpoint, adapter: Any
):
    endpoint.capabilities = {"contract": 1, "modality": "text"}
    spec = spec_of(kind, tiny_models, endpoint, adapter)

    checks = list(contract.check(lambda: open_backend(spec, hosts=HERE)))

    assert [check for check in checks if check.ok is False] == []
    assert len(checks) >= 8
    assert all(check.ok for check in checks)


class Bad:
    """A backend with a fault, so that the contract's checks are seen to find it."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def facts(self) -> dict[str, Any]:
        return {} if self.fault == "facts" else {"backend": "bad", "revision": ""}

    def generate(self, requests: Any) -> Iterator[GenerationResult]:
        for each in requests:
            if self.fault == "lost" and each.key == "many 3":
                continue
            if self.fault == "error":
                yield GenerationResult(each.key, error="No.")
            else:
                yield GenerationResult(each.key, text=f"text {each.seed}", tokens=1)

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("facts", "It says what makes its texts"),
        ("lost", "Each of six requests is answered once"),
        ("error", "It answers"),
    ],
)
def test_a_backend_that_breaks_its_promise_is_found_out(fault: str, what: str):
    checks = list(contract.check(lambda: Bad(fault)))

    assert what in [check.what for check in checks if check.ok is False]


@pytest.mark.django_db
def test_a_user_tries_a_contestant_out(capsys, endpoint: small.Endpoint):
    arena = factories.make_arena("pictures")
    endpoint.reply = own
    endpoint.capabilities = {"contract": 1, "modality": "text"}
    factories.make_contestant(arena, "Fox", backend="custom", endpoint=endpoint.address)

    call_command("check_contestant", "Fox", arena="pictures")
    assert "Fox keeps to the contract." in capsys.readouterr().out

    endpoint.reply = lambda door, body: door.send(400, {"error": "Out of foxes"})
    with pytest.raises(CommandError, match="Fox fails 1 of the checks"):
        call_command("check_contestant", "Fox", arena="pictures")
    assert "BAD   It answers: The endpoint answered 400: Out of foxes." in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_the_job_that_tries_a_contestant_out_tells_each_check(endpoint: small.Endpoint):
    endpoint.capabilities = {"contract": 1, "modality": "text"}
    endpoint.reply = lambda door, body: door.send(400, {"error": "Out of foxes"})
    arena = factories.make_arena("pictures")
    fox = factories.make_contestant(arena, "Fox", backend="custom", endpoint=endpoint.address)

    job = leases.work_on(request_check(contestant=fox).pk, check_backend)

    assert job is not None
    assert (job.state, job.error) == ("done", "")
    assert job.result["bad"] == 1
    assert "BAD   It answers: The endpoint answered 400: Out of foxes." in job.log
    assert job.result["checks"][0] == {"what": "It can be opened", "ok": True, "said": ""}


@pytest.mark.django_db(transaction=True)
def test_a_key_that_its_worker_does_not_have_is_said():
    arena = factories.make_arena("pictures")
    fields = {"backend": "custom", "endpoint": "http://127.0.0.1:9", "endpoint_key_variable": "NO_SUCH_KEY"}
    fox = factories.make_contestant(arena, "Fox", **fields)

    job = leases.work_on(request_check(contestant=fox).pk, check_backend)

    assert job is not None
    assert job.state == "failed"
    assert "The variable NO_SUCH_KEY is not set on this worker" in job.error


# Adapters


def texts(backend: Backend) -> list[str]:
    results = backend.generate([request(str(seed), seed) for seed in range(4)])
    return [result.text for result in sorted(results, key=lambda result: result.key)]


def test_contestants_on_one_base_share_its_weights_and_not_their_adapters(tiny_models: Path, adapter: Any):
    checkpoint, sampling = str(tiny_models / "whole"), {"max_new_tokens": 12}
    plain = ContestantSpec("transformers", checkpoint, parameters=sampling)
    base = open_backend(plain)
    alone = texts(base)
    large, nothing = (
        open_backend(ContestantSpec("transformers", checkpoint, adapter=str(made), parameters=sampling))
        for made in (adapter("large", 0.5), adapter("nothing", 0.0))
    )

    assert large.model is base.model is base_of(plain).model
    tuned = texts(large)
    assert tuned != alone
    assert texts(nothing) == alone  # an adapter of zeros changes nothing
    assert texts(base) == alone  # and the base is still itself
    assert texts(large) == tuned
    assert large.facts()["adapter"] != nothing.facts()["adapter"]
    assert "adapter" not in base.facts()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "has no adapter_model.safetensors"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "damaged"),
        (
            lambda folder: (folder / "adapter_config.json").write_text('{"peft_type": "LOHA"}'),
            "not a plain LoRA",
        ),
    ],
)
def test_an_adapter_that_is_no_plain_lora_is_refused(
    change: Callable[[Path], Any], sentence: str, tiny_models: Path, adapter: Any, tmp_path: Path
):
    for file in adapter("large", 0.5).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    change(tmp_path)

    with pytest.raises(BackendError, match=sentence):
        open_backend(ContestantSpec("transformers", str(tiny_models / "whole"), adapter=str(tmp_path)))


# Endpoints of one's own


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({}, "must be"),
        ({"text": "a", "file": {}}, "must be"),
        (["text"], "must be"),
        ({"text": 7}, "holds no text"),
        ({"file": {"media_type": "image/png"}}, "A file must be"),
        ({"file": {"media_type": "image/png", "base64": "no base64!"}}, "A file must be"),
        ({"file": {"media_type": "text/html", "base64": PIXEL}}, "text/html are not taken"),
        ({"file": {"media_type": "image/png", "base64": ""}}, "is empty"),
    ],
)
def test_an_answer_outside_the_contract_is_told_in_a_sentence(
    answer: Any, sentence: str, endpoint: small.Endpoint
):
    endpoint.reply = lambda door, body: door.send(200, answer)
    backend = CustomBackend(ContestantSpec("custom", endpoint=endpoint.address), hosts=HERE)

    (result,) = backend.generate([request("a")])

    assert sentence in result.error
    assert result.text == ""


def test_a_file_comes_through_whole(endpoint: small.Endpoint):
    endpoint.reply = lambda door, body: door.send(200, {"file": {"media_type": "image/png", "base64": PIXEL}})
    backend = CustomBackend(ContestantSpec("custom", endpoint=endpoint.address, key="k"), hosts=HERE)

    (result,) = backend.generate([request("a", temperature=0.5)])

    assert (result.file, result.media_type) == (PICTURE, "image/png")
    assert endpoint.asked[0]["parameters"] == {"temperature": 0.5}
    assert endpoint.headers[0]["Authorization"] == "Bearer k"


# Budgets, rests, keys


def test_no_request_goes_out_that_could_pass_the_budget(endpoint: small.Endpoint):
    spec = ContestantSpec(
        "openai",
        endpoint=endpoint.address,
        endpoint_model="m",
        parameters={"max_new_tokens": 20},
        budget={"tokens": 250},
    )
    backend = EndpointBackend(spec, hosts=HERE, limits=Limits(concurrency=4))

    made = []
    with pytest.raises(BackendError, match="The budget is used up"):
        made.extend(backend.generate([request(str(n)) for n in range(100)]))

    # Each reserves about 100 tokens, and gives back all but the 12 that it took.
    assert 1 <= len(endpoint.asked) <= 250 // 12
    assert backend.budget.tokens == 250 - 12 * len(endpoint.asked)


def test_money_is_counted_by_the_prices_and_given_back_where_a_request_fails():
    budget = Budget.parse({"money": 1.0, "price_in": 1000, "price_out": 2000})

    with budget.reserved({"messages": "x" * 100}, 100) as spend:
        spend(50, 100, "")
    assert budget.money == pytest.approx(1.0 - 0.05 - 0.2)
    with pytest.raises(RuntimeError), budget.reserved({}, 100):
        raise RuntimeError
    assert budget.money == pytest.approx(0.75)
    with pytest.raises(BackendError, match=r"0\.7500 is left"), budget.reserved({}, 1000):
        pytest.fail("the request went out")


@pytest.mark.django_db
def test_what_is_spent_is_counted_on_the_contestant():
    contestant = factories.make_contestant(
        factories.make_arena(), budget={"money": 1.0, "price_in": 1, "price_out": 2, "tokens": 5_000_000}
    )

    note_spent(contestant=contestant, tokens_in=100_000, tokens_out=200_000)
    contestant.refresh_from_db()

    assert (contestant.spent_tokens, contestant.spent_money) == (300_000, pytest.approx(0.5))
    assert left_of(contestant)["money"] == pytest.approx(0.5)


def test_an_address_that_fails_again_and_again_is_left_alone():
    now = [0.0]
    breaker = Breaker("http://garden", after=3, rest=10, clock=lambda: now[0])

    def may_ask() -> bool:
        with breaker._lock:
            return breaker._until <= now[0]

    for _ in range(3):
        assert may_ask()
        breaker.failed("No answer.")
    assert not may_ask()
    now[0] = 10.0
    breaker.wait(threading.Event())  # one goes out to see
    assert not may_ask()  # and the others wait for it
    breaker.worked()
    assert may_ask()

    for _ in range(3):
        breaker.failed("No answer.")
    for _ in range(GIVEN_UP_AFTER - 1):
        now[0] += 1000
        breaker.failed("Still none.")
    with pytest.raises(BackendError, match=r"is left alone\. Still none\."):
        breaker.wait(threading.Event())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2.5", 2.5), ("-1", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), ("", None)],
)
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float | None):
    import httpx

    assert retry_after(httpx.Headers({"Retry-After": text})) == seconds


@pytest.mark.django_db
def test_a_key_is_kept_encrypted_and_comes_from_the_variable_first():
    contestant = factories.make_contestant(factories.make_arena())

    set_key(contestant=contestant, key="open sesame")

    kept = Contestant.objects.values().get(pk=contestant.pk)
    assert "sesame" not in str(kept)
    assert key_of(contestant, {}) == "open sesame"
    contestant.endpoint_key_variable = "GARDEN"
    assert key_of(contestant, {"GARDEN": "other"}) == "other"
    contestant.endpoint_key_variable = ""
    assert key_of(set_key(contestant=contestant, key=""), {}) == ""


# What is shown of a text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>hm</think>\n\nA dog.", "A dog."),
        ("<think>a</think><thinking>b</thinking> A dog.", "A dog."),
        ("hm, the template began it</think>A dog.", "A dog."),
        ("<|im_start|>A dog.<|im_end|></s>", "A dog."),
        ("Use the tag <think> for thoughts.", "Use the tag <think> for thoughts."),
        ("Write `<|im_end|>` at the end of a turn.", "Write `<|im_end|>` at the end of a turn."),
        ("x" * (LONGEST + 9), "x" * LONGEST),
        ("", ""),
    ],
)
def test_thinking_and_template_tokens_are_taken_away_by_rule(text: str, shown: str):
    result = cleaned(GenerationResult("a", text=text, finish_reason="stop"))

    assert (result.text, result.error) == (shown, "")
    assert result.raw == ("" if shown == text else text)


def test_thinking_that_never_ends_is_a_failure():
    result = cleaned(GenerationResult("a", text="<think>hm, hm", finish_reason="length"))

    assert "still thinking" in result.error
    assert result.text == ""
