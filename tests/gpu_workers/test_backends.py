"""What both backends promise, and what each does with bad input and bad luck."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gpu_workers.backends import (
    Backend,
    BackendError,
    ContestantSpec,
    GenerationRequest,
    Sampling,
    open_backend,
)
from gpu_workers.backends.endpoint import EndpointBackend, Limits
from gpu_workers.backends.hosts import check_host
from tests.gpu_workers import small

LIMITS = Limits(
    concurrency=3,
    attempts=3,
    connect=1,
    silence=0.3,
    whole=1,
    first_pause=0.01,
    longest_pause=0.05,
    largest=9000,
)


def request(key: str, text: str = "What does a dog eat?", seed: int = 1) -> GenerationRequest:
    return GenerationRequest(key, ({"role": "user", "content": text},), seed)


def checkpoint_spec(models: Path, **fields: Any) -> ContestantSpec:
    parameters = {"temperature": 1.0, "max_new_tokens": 12}
    return ContestantSpec(
        **{"backend": "transformers", "checkpoint": str(models / "whole"), "parameters": parameters, **fields}
    )


def endpoint_spec(found: small.Endpoint, **fields: Any) -> ContestantSpec:
    return ContestantSpec(
        **{"backend": "openai", "endpoint": found.address, "endpoint_model": "echo", **fields}
    )


def asked(found: small.Endpoint, limits: Limits = LIMITS, **fields: Any) -> EndpointBackend:
    return EndpointBackend(endpoint_spec(found, **fields), hosts=["127.0.0.1"], limits=limits)


@pytest.fixture(params=["transformers", "openai"])
def backend(request: pytest.FixtureRequest, tiny_models: Path, endpoint: small.Endpoint) -> Iterator[Backend]:
    if request.param == "transformers":
        spec = checkpoint_spec(tiny_models)
    else:
        spec = endpoint_spec(endpoint, parameters={"max_new_tokens": 12})
    found = open_backend(spec, hosts=["127.0.0.1"])
    yield found
    found.close()


# What both promise


def test_every_request_is_answered_once(backend: Backend):
    wanted = [request(str(number), f"Question {number % 7}?", seed=number) for number in range(40)]

    results = list(backend.generate(wanted))

    assert sorted(result.key for result in results) == sorted(one.key for one in wanted)
    assert [result.error for result in results if result.error] == []
    assert all(result.finish_reason in ("stop", "length") for result in results)
    assert all(result.tokens and result.prompt_tokens for result in results)


def test_the_same_request_gives_the_same_text_whoever_is_beside_it(backend: Backend):
    others = [request(f"other {number}", "x " * number, seed=number) for number in range(1, 9)]
    one = request("one", seed=77)

    (alone,) = backend.generate([one])
    among = {result.key: result for result in backend.generate([*others, one])}

    assert among["one"] == alone


def test_another_seed_gives_another_text(backend: Backend):
    texts = {result.text for result in backend.generate([request(str(n), seed=n) for n in range(12)])}

    assert len(texts) >= 11


def test_nothing_asked_is_nothing_answered(backend: Backend):
    assert list(backend.generate([])) == []


def test_closing_the_results_early_is_no_error(backend: Backend):
    results = backend.generate([request(str(number), seed=number) for number in range(60)])

    assert next(results).error == ""
    results.close()

    (again,) = backend.generate([request("again")])
    assert again.error == ""


def test_the_facts_name_the_backend(backend: Backend):
    assert backend.facts()["backend"] in ("transformers", "openai")
    assert "revision" in backend.facts()


# Checkpoints


def test_a_batch_draws_what_a_plain_loop_draws(tiny_models: Path):
    """The slow honest way: no cache, no padding, one token after the other."""
    model = AutoModelForCausalLM.from_pretrained(tiny_models / "whole").eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_models / "whole")
    wanted = [request(str(n), "Tell me of " + "the sea " * (n % 4), seed=n) for n in range(10)]
    sampling = {"temperature": 0.7, "max_new_tokens": 12, "top_p": 0.9, "top_k": 50}
    backend = open_backend(checkpoint_spec(tiny_models, parameters=sampling))
    got = {result.key: result for result in backend.generate(wanted)}

    for one in wanted:
        prompt = tokenizer.apply_chat_template(list(one.messages), tokenize=False, add_generation_prompt=True)
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        start = ids.shape[1]
        chances = torch.rand(12, generator=torch.Generator().manual_seed(one.seed))
        for chance in chances:
            with torch.no_grad():
                scores = model(ids).logits[0, -1] / 0.7
            scores[scores < scores.topk(50).values[-1]] = -torch.inf
            ordered, order = scores.softmax(-1).sort(descending=True)
            kept = ordered.cumsum(-1) - ordered < 0.9
            probabilities = torch.zeros_like(scores).scatter(0, order[kept], ordered[kept])
            point = chance * probabilities.sum()
            token = int((probabilities.cumsum(-1) > point).nonzero()[0])
            ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
            if token == tokenizer.eos_token_id:
                break
        text = tokenizer.decode(ids[0, start:], skip_special_tokens=True).strip()
        assert got[one.key].text == text
        assert got[one.key].tokens == ids.shape[1] - start


def test_temperature_zero_takes_the_likeliest_token_whatever_the_seed(tiny_models: Path):
    parameters = {"temperature": 0, "max_new_tokens": 12}
    backend = open_backend(checkpoint_spec(tiny_models, parameters=parameters))

    texts = {result.text for result in backend.generate([request(str(n), seed=n) for n in range(5)])}

    assert len(texts) == 1


def test_a_text_ends_at_its_end_token_and_shows_none(tiny_models: Path):
    backend = open_backend(
        checkpoint_spec(tiny_models, parameters={"temperature": 1.5, "max_new_tokens": 200})
    )

    results = list(backend.generate([request(str(n), seed=n) for n in range(64)]))

    ended = [result for result in results if result.finish_reason == "stop"]
    assert ended
    for result in ended:
        assert result.tokens is not None
        assert result.tokens <= 200
        assert "<|end|>" not in result.text + result.raw
    assert min(result.tokens or 0 for result in ended) < 100


def test_the_system_prompt_reaches_the_model(tiny_models: Path):
    plain = open_backend(checkpoint_spec(tiny_models))
    spoken = open_backend(checkpoint_spec(tiny_models, system_prompt="Be brief."))

    (one,), (other,) = plain.generate([request("a")]), spoken.generate([request("a")])

    assert one.prompt_tokens is not None
    assert other.prompt_tokens is not None
    assert other.prompt_tokens > one.prompt_tokens + 3


def test_a_template_without_a_system_role_gets_the_system_prompt_in_the_first_message(
    tiny_models: Path, tmp_path: Path
):
    copied = copy_of(tiny_models / "whole", tmp_path / "strict")
    template = copied / "chat_template.jinja"
    template.write_text(
        "{% if messages[0].role == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
        + template.read_text()
    )
    backend = open_backend(checkpoint_spec(tmp_path, checkpoint=str(copied), system_prompt="Be brief."))

    (result,) = backend.generate([request("a")])

    assert result.error == ""


def test_a_prompt_that_does_not_fit_is_refused_and_the_others_are_not(tiny_models: Path):
    backend = open_backend(checkpoint_spec(tiny_models))

    results = {
        result.key: result for result in backend.generate([request("long", "word " * 400), request("short")])
    }

    assert "more than the 256 that the model sees" in results["long"].error
    assert results["long"].text == ""
    assert results["short"].error == ""


def copy_of(folder: Path, target: Path) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def _no_folder(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def _with_code(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}')
    (folder / "mine.py").write_text("raise SystemExit('the checkpoint ran its own code')")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_no_folder, "There is no checkpoint folder"),
        (_no_config, "has no config.json"),
        (_pickled, "has no .safetensors file"),
        (_cut_off, "cannot be opened"),
        (_with_code, "cannot be opened"),
    ],
)
def test_a_bad_checkpoint_is_refused_in_one_sentence(
    spoil: Callable[[Path], None], sentence: str, tiny_models: Path, tmp_path: Path
):
    folder = copy_of(tiny_models / "whole", tmp_path / "spoiled")
    spoil(folder)

    with pytest.raises(BackendError, match=sentence) as refusal:
        open_backend(checkpoint_spec(tiny_models, checkpoint=str(folder)))

    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"temprature": 1}, "Did you mean temperature"),
        ({"temperature": -1}, "must be a number from 0 to 5"),
        ({"top_p": True}, "top_p is True"),
        ({"max_new_tokens": 2.5}, "must be a whole number"),
        ({"temperature": float("nan")}, "temperature is nan"),
    ],
)
def test_bad_parameters_are_refused_by_name(parameters: dict[str, Any], sentence: str):
    with pytest.raises(BackendError, match=sentence):
        Sampling.parse(parameters)


def test_a_backend_that_no_worker_runs_is_refused():
    with pytest.raises(BackendError, match="'uploaded'"):
        open_backend(ContestantSpec("uploaded"))


# Endpoints


def test_an_endpoint_gets_what_the_contestant_says_and_no_more(endpoint: small.Endpoint):
    backend = asked(endpoint, key="secret", system_prompt="Be brief.", parameters={"temperature": 0.5})

    (result,) = backend.generate([request("a", "Hello", seed=2**40 + 3)])

    assert result.error == ""
    (body,) = endpoint.asked
    assert body == {
        "path": "/v1/chat/completions",
        "model": "echo",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
        ],
        "temperature": 0.5,
        "max_tokens": 512,
        "seed": 3,
        "stream": False,
    }
    assert endpoint.headers[0]["Authorization"] == "Bearer secret"
    assert "secret" not in repr(backend.spec) + str(backend.facts())


def test_no_more_requests_at_once_than_allowed(endpoint: small.Endpoint):
    results = list(asked(endpoint).generate([request(str(n)) for n in range(20)]))

    assert len(results) == 20
    assert 1 <= endpoint.most_at_once <= LIMITS.concurrency


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_passing_fault_is_asked_again(status: int, endpoint: small.Endpoint):
    endpoint.failures = [(status, {}), (status, {"Retry-After": "0.01"})]

    (result,) = asked(endpoint).generate([request("a")])

    assert result.error == ""
    assert len(endpoint.asked) == 3


def test_a_lasting_fault_ends_after_some_attempts_in_a_sentence(endpoint: small.Endpoint):
    endpoint.failures = [(500, {})] * 99

    (result,) = asked(endpoint).generate([request("a")])

    assert result.error == "The endpoint answered 500: Not now. It was asked 3 times."
    assert result.text == ""
    assert len(endpoint.asked) == 3


def test_a_refused_request_is_not_asked_again(endpoint: small.Endpoint):
    endpoint.failures = [(400, {})]

    results = {one.key: one for one in asked(endpoint, Limits(concurrency=1)).generate(map_of("a", "b"))}

    assert results["a"].error == "The endpoint answered 400: Not now."
    assert results["b"].error == ""
    assert len(endpoint.asked) == 2


def test_the_reason_of_transformers_serve_is_told(endpoint: small.Endpoint):
    reason = {"detail": "Unexpected fields in the request: {'top_k'}"}
    endpoint.reply = lambda door, body: door.send(422, reason)

    (result,) = asked(endpoint).generate([request("a")])

    assert result.error == "The endpoint answered 422: Unexpected fields in the request: {'top_k'}."


def map_of(*keys: str) -> list[GenerationRequest]:
    return [request(key) for key in keys]


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(401, "refused the key"), (404, "does not know the address or the model echo"), (307, "redirects")],
)
def test_a_fault_of_the_set_up_ends_all(status: int, sentence: str, endpoint: small.Endpoint):
    elsewhere = {"Location": f"{endpoint.address}/elsewhere"}
    endpoint.failures = [(status, elsewhere)] * 99

    with pytest.raises(BackendError, match=sentence):
        list(asked(endpoint).generate(map_of("a", "b", "c", "d", "e", "f", "g", "h")))

    assert len(endpoint.asked) <= LIMITS.concurrency  # the others were not tried
    assert {body["path"] for body in endpoint.asked} == {"/v1/chat/completions"}


def _hang(door: Any, body: dict[str, Any]) -> None:
    time.sleep(0.6)
    small.echo(door, body)


def _drip(door: Any, body: dict[str, Any]) -> None:
    door.send_response(200)
    door.end_headers()
    for _ in range(40):
        door.wfile.write(b" ")
        time.sleep(0.05)


def _large(door: Any, body: dict[str, Any]) -> None:
    door.send(200, b'{"choices": "' + b"x" * 10_000_000 + b'"}')


def _answer(answer: Any) -> small.Reply:
    return lambda door, body: door.send(200, answer)


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (_hang, "did not answer in time"),
        (_drip, "took longer than 1 seconds"),
        (_large, "is larger than 9,000 bytes"),
        (_answer(b"<html>Welcome</html>"), "not a chat completion"),
        (_answer(b"[" * 8000), "not a chat completion"),
        (_answer({"choices": []}), "not a chat completion"),
        (_answer(["choices"]), "not a chat completion"),
        (_answer({"choices": [{"message": {"content": None}}]}), "holds no text"),
    ],
)
def test_garbage_is_an_error_with_a_sentence_and_no_text(
    reply: small.Reply, sentence: str, endpoint: small.Endpoint
):
    endpoint.reply = reply

    (result,) = asked(endpoint).generate([request("a")])

    assert sentence in result.error
    assert result.text == ""


def test_an_endpoint_that_is_down_ends_all_in_one_sentence():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    spec = ContestantSpec("openai", endpoint=nobody, endpoint_model="echo")
    backend = EndpointBackend(spec, hosts=["127.0.0.1"], limits=LIMITS)

    with pytest.raises(
        BackendError, match=r"Nothing answers at 127.0.0.1:\d+ .* Start the server.* http://127.0.0.1:\d+/v1"
    ):
        list(backend.generate(map_of(*"abcdefgh")))


def test_one_bad_answer_among_good_ones_stops_nothing(endpoint: small.Endpoint):
    def reply(door: Any, body: dict[str, Any]) -> None:
        bad = "bad" in body["messages"][-1]["content"]
        (_answer(b"nothing") if bad else small.echo)(door, body)

    endpoint.reply = reply
    wanted = [request(str(n), "bad" if n == 4 else "good", seed=n) for n in range(9)]

    failed = [result.key for result in asked(endpoint).generate(wanted) if result.error]

    assert failed == ["4"]


def test_ending_early_wakes_those_who_wait_to_ask_again(endpoint: small.Endpoint):
    endpoint.failures = [(429, {"Retry-After": "30"})] * 2
    backend = asked(endpoint, Limits(concurrency=3, attempts=3))
    results = backend.generate(map_of("a", "b", "c"))
    assert next(results).error == ""  # the third; the others were told to wait for 30 seconds

    closer = threading.Thread(target=results.close)
    closer.start()
    closer.join(timeout=10)

    assert not closer.is_alive()


@pytest.mark.parametrize(
    ("endpoint", "hosts", "sentence"),
    [
        ("http://evil.example/v1", ["127.0.0.1"], "evil.example is not allowed"),
        ("ftp://127.0.0.1/v1", ["127.0.0.1"], "must begin with http:// or https://"),
        ("nonsense", ["*"], "must begin with http"),
        ("http://127.0.0.1:8009/v1", ["*"], "which is not public"),
        ("http://169.254.169.254/v1", ["*"], "which is not public"),
        ("http://[::1]:8009/v1", ["*"], "which is not public"),
    ],
)
def test_a_host_that_may_not_be_called_is_refused(endpoint: str, hosts: list[str], sentence: str):
    with pytest.raises(BackendError, match=sentence):
        check_host(endpoint, hosts)


def test_a_named_host_may_be_private():
    assert check_host("http://127.0.0.1:8001/v1/", ["*", "127.0.0.1"]) == "http://127.0.0.1:8001/v1"


def test_the_environment_s_proxy_never_sees_a_request(
    endpoint: small.Endpoint, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with pytest.raises(httpx.ConnectError):
        httpx.get(endpoint.address)  # the variable does work

    (result,) = asked(endpoint).generate([request("a")])

    assert result.error == ""
