"""Text from an endpoint that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, a vendor.

The endpoint is not trusted: only hosts on the list are called, redirects are not followed,
answers are bounded in size and time, and its key goes to it alone.
"""

import json
import queue
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import httpx

from gpu_workers.backends.base import (
    BackendError,
    ContestantSpec,
    GenerationRequest,
    GenerationResult,
    Sampling,
    with_system_prompt,
)
from gpu_workers.backends.hosts import check_host

AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Limits:
    """How hard an endpoint is asked. Times are in seconds."""

    concurrency: int = 8
    attempts: int = 4
    connect: float = 10.0
    silence: float = 120.0  # the longest wait for the next byte
    whole: float = 300.0  # the longest that one answer may take
    first_pause: float = 1.0  # doubled each time, and half of it at random
    longest_pause: float = 60.0
    largest: int = 4 * 2**20  # bytes of one answer


class _Failed(Exception):
    """This one request failed for good; the text is the sentence."""


class _Again(Exception):
    """It may work later. `pause` is what the endpoint asks for; `down` where nobody answers at all."""

    def __init__(self, sentence: str, *, pause: float | None = None, down: bool = False) -> None:
        super().__init__(sentence)
        self.pause = pause
        self.down = down


class EndpointBackend:
    """A bounded number of requests at once, each tried again where that may help."""

    def __init__(self, spec: ContestantSpec, *, hosts: Sequence[str], limits: Limits | None = None) -> None:
        """Raises BackendError for a host that is not on the list, or parameters that make no sense."""
        self.spec = spec
        self.limits = limits or Limits()
        self.sampling = Sampling.parse(spec.parameters)
        self.address = check_host(spec.endpoint, hosts)
        self.hosts = tuple(hosts)
        self._closing = threading.Event()
        self._client = httpx.Client(
            timeout=httpx.Timeout(self.limits.silence, connect=self.limits.connect),
            limits=httpx.Limits(max_connections=self.limits.concurrency),
            follow_redirects=False,
            # No proxy, netrc or certificate path of the environment: the list of hosts is all that counts.
            trust_env=False,
            headers={"Authorization": f"Bearer {spec.key}"} if spec.key else {},
        )

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationResult]:
        """Results in the order in which they arrive. See Backend."""
        waiting = iter(requests)
        done: queue.SimpleQueue[GenerationResult | BaseException] = queue.SimpleQueue()
        ended = threading.Event()

        def work(request: GenerationRequest) -> None:
            try:
                done.put(self._answer(request, ended))
            except BaseException as error:  # raised again in the thread that reads the results
                done.put(error)

        with ThreadPoolExecutor(self.limits.concurrency, thread_name_prefix="endpoint") as pool:
            try:
                under_way = 0
                for request in islice(waiting, self.limits.concurrency):
                    pool.submit(work, request)
                    under_way += 1
                while under_way:
                    result = done.get()
                    under_way -= 1
                    if isinstance(result, BaseException):
                        raise result
                    yield result
                    for request in islice(waiting, 1):
                        pool.submit(work, request)
                        under_way += 1
            finally:
                # Closed early, or failed: nobody waits for pauses and nothing more is asked.
                ended.set()

    def facts(self) -> dict[str, Any]:
        return {"backend": "openai", "endpoint": self.address, "revision": self.spec.revision}

    def close(self) -> None:
        """Close the connections. What is under way ends."""
        self._closing.set()
        self._client.close()

    def _answer(self, request: GenerationRequest, ended: threading.Event) -> GenerationResult:
        """Ask until there is an answer, `attempts` times at most. Raises BackendError if nobody is there."""
        for attempt in range(1, self.limits.attempts + 1):
            try:
                return self._ask(request)
            except _Failed as failure:
                return GenerationResult(request.key, error=str(failure))
            except _Again as failure:
                if ended.is_set() or self._closing.is_set():
                    return GenerationResult(request.key, error="The work was ended.")
                if attempt == self.limits.attempts:
                    if failure.down:
                        raise BackendError(str(failure)) from None
                    return GenerationResult(request.key, error=f"{failure} It was asked {attempt} times.")
                ended.wait(self._pause(attempt, failure.pause))
        raise AssertionError("There is at least one attempt.")

    def _pause(self, attempt: int, asked: float | None) -> float:
        if asked is not None:
            return min(asked, self.limits.longest_pause)
        longest = min(self.limits.first_pause * 2 ** (attempt - 1), self.limits.longest_pause)
        # At random, or all that failed together would come back together.
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  (spreads load, keeps no secret)

    def _ask(self, request: GenerationRequest) -> GenerationResult:
        check_host(self.address, self.hosts)  # again: what a name points to can change
        try:
            status, headers, content = self._post(self._body(request))
        except httpx.TimeoutException:
            raise _Again(f"The endpoint {self.address} did not answer in time.") from None
        except httpx.ConnectError as error:
            raise _Again(
                f"Nothing answers at {self.address} ({error}). Start the server, or correct the endpoint.",
                down=True,
            ) from None
        except httpx.HTTPError as error:
            raise _Again(
                f"The connection to {self.address} broke: {error or type(error).__name__}."
            ) from None
        self._check(status, headers, content)
        return _parsed(request.key, content)

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.spec.endpoint_model,
            "messages": with_system_prompt(self.spec.system_prompt, request.messages),
            "max_tokens": self.sampling.max_new_tokens,
            "seed": request.seed % 2**31,  # some servers read 32 bits
            "stream": False,
        }
        for name in ("temperature", "top_p", "top_k", "repetition_penalty"):
            # Only what was asked for: not every server knows every name.
            if (value := getattr(self.sampling, name)) is not None:
                body[name] = value
        return body

    def _post(self, body: dict[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        started = time.monotonic()
        content = bytearray()
        with self._client.stream("POST", f"{self.address}/chat/completions", json=body) as response:
            # Read bit by bit: a body without end must not fill the memory, nor drip for ever.
            for part in response.iter_bytes():
                content += part
                if len(content) > self.limits.largest:
                    raise _Failed(f"The endpoint's answer is larger than {self.limits.largest:,} bytes.")
                if time.monotonic() - started > self.limits.whole:
                    raise _Failed(f"The endpoint's answer took longer than {self.limits.whole:g} seconds.")
            return response.status_code, response.headers, bytes(content)

    def _check(self, status: int, headers: httpx.Headers, content: bytes) -> None:
        if status == httpx.codes.OK:
            return
        said = _said(content)
        if status in AGAIN:
            raise _Again(f"The endpoint answered {status}{said}.", pause=_retry_after(headers))
        if status in (401, 403):
            raise BackendError(
                f"The endpoint refused the key ({status}{said}). Check the contestant's key variable."
            )
        if status == 404:
            raise BackendError(
                f"The endpoint does not know the address or the model {self.spec.endpoint_model} (404{said})."
            )
        if 300 <= status < 400:
            raise BackendError(
                f"The endpoint redirects ({status}), which is not followed. Give its own address."
            )
        raise _Failed(f"The endpoint answered {status}{said}.")


def _parsed(key: str, content: bytes) -> GenerationResult:
    try:
        answer = json.loads(content)
        choice = answer["choices"][0]
        text = choice["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _Failed("The endpoint's answer is not a chat completion.") from None
    if not isinstance(text, str):
        raise _Failed("The endpoint's answer holds no text.")
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    plain = text.strip()
    return GenerationResult(
        key=key,
        text=plain,
        raw="" if text == plain else text,
        finish_reason=str(choice.get("finish_reason") or "")[:40],
        prompt_tokens=_count(usage.get("prompt_tokens")),
        tokens=_count(usage.get("completion_tokens")),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _said(content: bytes) -> str:
    """What the endpoint says of its error, short, for the sentence."""
    try:
        error = json.loads(content)["error"]
        text = error["message"] if isinstance(error, dict) else error
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return f": {' '.join(str(text).split())[:200].rstrip('.')}"


def _retry_after(headers: httpx.Headers) -> float | None:
    """The pause that the endpoint asks for, in seconds; a date is not read."""
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None
