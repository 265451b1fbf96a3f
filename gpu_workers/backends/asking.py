"""Asking an address many things at once: bounded, patient, within a budget. What is said is its subclasses'.

The other side is not trusted (arena/outbound.py). A number of requests are under way at a time, each in a
thread, which costs less here than an event loop would (docs/decisions.md); what
fails in passing is asked again after a pause with a random part, or when the other side says; a
circuit breaker that all backends of one address share lets a server that is down rest.
"""

import queue
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

import httpx

from arena import outbound
from gpu_workers.backends.base import (
    BackendError,
    ContestantSpec,
    GenerationRequest,
    GenerationResult,
    Sampling,
)
from gpu_workers.backends.breaker import breaker_of
from gpu_workers.backends.budget import Budget
from gpu_workers.backends.hosts import check_host, rules_for

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
    breaks_after: int = 10  # failures in a row of all requests together
    rest: float = 5.0  # of a circuit that is broken, doubled each time


class Failed(Exception):
    """This one request failed for good; the text is the sentence."""


class Again(Exception):
    """It may work later. `pause` is what the endpoint asks for; `down` where nobody answers at all."""

    def __init__(self, sentence: str, *, pause: float | None = None, down: bool = False) -> None:
        super().__init__(sentence)
        self.pause = pause
        self.down = down


class AskingBackend:
    """A bounded number of requests at once, each tried again where that may help."""

    name = ""
    default_limits = Limits()

    def __init__(
        self,
        spec: ContestantSpec,
        *,
        hosts: outbound.Rules | Sequence[str],
        limits: Limits | None = None,
    ) -> None:
        """Raises BackendError for a host that is not on the list, or parameters that make no sense."""
        self.spec = spec
        self.limits = limits or self.default_limits
        if limits is None and spec.at_once:
            self.limits = replace(self.limits, concurrency=spec.at_once)
        self.sampling = self.read_parameters()
        self.address = check_host(spec.endpoint, hosts)
        self.budget = Budget.parse(spec.budget)
        self._closing = threading.Event()
        self._session = outbound.Session(
            rules_for(hosts),
            outbound.Limits(
                connect=self.limits.connect,
                silence=self.limits.silence,
                whole=self.limits.whole,
                largest=self.limits.largest,
            ),
            connections=self.limits.concurrency,
        )
        self._headers = {"Authorization": f"Bearer {spec.key}"} if spec.key else {}
        self._breaker = breaker_of(self.address, after=self.limits.breaks_after, rest=self.limits.rest)

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
        return {"backend": self.name, "endpoint": self.address, "revision": self.spec.revision}

    def close(self) -> None:
        """Close the connections. What is under way ends."""
        self._closing.set()
        self._session.close()

    def read_parameters(self) -> Sampling:
        """The contestant's sampling. Raises BackendError."""
        return Sampling.parse(self.spec.parameters)

    def path(self) -> str:
        """What is posted to."""
        return self.address

    def body(self, request: GenerationRequest) -> dict[str, Any]:
        raise NotImplementedError

    def parsed(self, key: str, content: bytes) -> GenerationResult:
        """The result in an answer. Raises Failed where it holds none."""
        raise NotImplementedError

    def said(self, content: bytes) -> str:
        """What the endpoint says of its error, with a colon before it, or nothing."""
        return ""

    def _answer(self, request: GenerationRequest, ended: threading.Event) -> GenerationResult:
        """Ask until there is an answer, `attempts` times at most. Raises BackendError if nobody is there."""
        body = self.body(request)
        with self.budget.reserved(body, self.sampling.max_new_tokens) as spend:
            for attempt in range(1, self.limits.attempts + 1):
                self._breaker.wait(ended)
                started = time.time()
                try:
                    result = self._ask(request.key, body)
                except Failed as failure:
                    return GenerationResult(request.key, error=str(failure), retries=attempt - 1)
                except Again as failure:
                    self._breaker.failed(str(failure))
                    if ended.is_set() or self._closing.is_set():
                        return GenerationResult(request.key, error="The work was ended.")
                    if attempt == self.limits.attempts:
                        if failure.down:
                            raise BackendError(str(failure)) from None
                        return GenerationResult(
                            request.key,
                            error=f"{failure} It was asked {attempt} times.",
                            retries=attempt - 1,
                        )
                    ended.wait(self._pause(attempt, failure.pause))
                else:
                    self._breaker.worked()
                    spend(result.prompt_tokens, result.tokens, result.text)
                    return replace(result, retries=attempt - 1, started=started, finished=time.time())
        raise AssertionError("There is at least one attempt.")

    def _pause(self, attempt: int, asked: float | None) -> float:
        if asked is not None:
            return min(asked, self.limits.longest_pause)
        longest = min(self.limits.first_pause * 2 ** (attempt - 1), self.limits.longest_pause)
        # At random, or all that failed together would come back together.
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  (spreads load, keeps no secret)

    def _ask(self, key: str, body: Mapping[str, Any]) -> GenerationResult:
        try:
            answer = self._session.post(self.path(), body=body, headers=self._headers)
        except outbound.Refused as refusal:
            raise BackendError(f"The endpoint {self.address} is refused: {refusal}") from None
        except outbound.Unreachable as error:
            raise Again(
                f"{error} Start the server, or correct the endpoint {self.address}",
                down=True,
            ) from None
        except outbound.TooSlow:
            raise Again(f"The endpoint {self.address} did not answer in time.") from None
        except outbound.TooLong:
            raise Failed(f"The endpoint's answer took longer than {self.limits.whole:g} seconds.") from None
        except outbound.TooLarge:
            raise Failed(f"The endpoint's answer is larger than {self.limits.largest:,} bytes.") from None
        except outbound.Broken as error:
            raise Again(str(error)) from None
        self._check(answer.status, answer.headers, answer.content)
        return self.parsed(key, answer.content)

    def _check(self, status: int, headers: httpx.Headers, content: bytes) -> None:
        if status == httpx.codes.OK:
            return
        said = self.said(content)
        if status in AGAIN:
            raise Again(f"The endpoint answered {status}{said}.", pause=retry_after(headers))
        if status in (401, 403):
            raise BackendError(f"The endpoint refused the key ({status}{said}). Check the contestant's key.")
        if status == 404:
            model = f" or the model {self.spec.endpoint_model}" if self.spec.endpoint_model else ""
            raise BackendError(f"The endpoint does not know the address{model} (404{said}).")
        if 300 <= status < 400:
            raise BackendError(
                f"The endpoint redirects ({status}), which is not followed. Give its own address."
            )
        raise Failed(f"The endpoint answered {status}{said}.")


def retry_after(headers: httpx.Headers) -> float | None:
    """The pause that the endpoint asks for, in seconds: a number, or a date (RFC 9110, 10.2.3)."""
    text = headers.get("retry-after", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
