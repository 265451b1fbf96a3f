"""A generation job: the responses that one contestant owes, made and written down portion by portion."""

import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from arena.errors import BadInput
from arena.models import Contestant
from arena.services import responses
from arena.services.leases import GivesWay, Lease
from arena.services.responses import NewResponse, PromptRequest
from gpu_workers.backends import (
    Backend,
    BackendError,
    ContestantSpec,
    GenerationRequest,
    GenerationResult,
    open_backend,
)
from gpu_workers.generation import run, seed_of

FIRST_WINDOW = 32  # requests before a contestant that has nothing yet may go first
WINDOW = 96  # requests taken from the database at a time
KEPT_FAILURES = 50  # sentences kept in the job's result


class KeptBackend:
    """The last backend that was opened, so that the next job of the same contestant need not load it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[Any, ...] = ()
        self._backend: Backend | None = None

    def get(self, spec: ContestantSpec, hosts: list[str]) -> Backend:
        key = (repr(spec), spec.key, tuple(hosts), _written(spec.checkpoint))
        with self._lock:
            if self._backend is None or key != self._key:
                # Not closed: another thread may be in the middle of a text. It goes when nobody holds it.
                self._backend, self._key = None, ()
                self._backend = open_backend(spec, hosts=hosts)
                self._key = key
            return self._backend


KEPT = KeptBackend()


def make_responses(lease: Lease, *, gives_way: bool = False) -> dict[str, Any]:
    """The work of a job of the kind "generate". Responses that fail are counted and told, and stop nothing.

    Raises BadInput with one sentence where none could be made, and, if it `gives_way`, GivesWay
    once it has made its first while a contestant that has none waits in the queue.
    """
    payload = lease.job.payload
    contestant = Contestant.objects.select_related("arena").filter(pk=payload["contestant"]).first()
    if contestant is None:
        raise BadInput("The contestant is gone. There is nothing to generate for.")
    if contestant.retired_at is not None:
        return {"made": 0, "failed": 0, "note": f"{contestant.name} is retired; nothing was generated."}
    lease.progress(message=f"Opening {contestant.name}")
    try:
        backend = KEPT.get(spec_of(contestant), list(settings.ENDPOINT_HOSTS))
        work = _Work(lease, contestant, backend, gives_way)
        return work.run(int(payload.get("samples", 1)), payload.get("prompts"))
    except BackendError as error:
        raise BadInput(str(error)) from error


def spec_of(contestant: Contestant) -> ContestantSpec:
    """What a backend needs of the contestant. Raises BadInput where the key's variable is not set here."""
    key = ""
    if variable := contestant.endpoint_key_variable:
        key = os.environ.get(variable, "")
        if not key:
            raise BadInput(
                f"The variable {variable} is not set on this worker. It must hold {contestant.name}'s key."
            )
    return ContestantSpec(
        backend=contestant.backend,
        checkpoint=contestant.checkpoint,
        endpoint=contestant.endpoint,
        endpoint_model=contestant.endpoint_model,
        key=key,
        system_prompt=contestant.system_prompt,
        parameters=dict(contestant.parameters),
        revision=contestant.revision,
    )


class _Work:
    """One attempt. `made` and `failed` grow as it goes; `before` were made by earlier turns of the job."""

    def __init__(self, lease: Lease, contestant: Contestant, backend: Backend, gives_way: bool) -> None:
        self.gives_way = gives_way
        self.lease = lease
        self.contestant = contestant
        self.backend = backend
        self.before = responses.made_by_job(lease.job)
        self.made = 0
        self.failed: dict[tuple[int, int], str] = {}
        self.tokens = 0
        self.started = time.monotonic()

    def run(self, samples: int, prompt_ids: list[int] | None) -> dict[str, Any]:
        while True:
            wanted = responses.next_requests(
                contestant=self.contestant,
                samples=samples,
                prompt_ids=prompt_ids,
                limit=WINDOW if self.made else FIRST_WINDOW,
                skip=self.failed.keys(),
            )
            if not wanted:
                break
            if self.gives_way and self.made and responses.somebody_waits(self.contestant):
                # Those that failed here are tried again when its turn comes.
                self.lease.progress(done=self.before + self.made)
                raise GivesWay("Waits while others make their first responses")
            self._make({f"{one.prompt_id}/{one.sample}": one for one in wanted})
        if self.failed and not self.before + self.made:
            last = list(self.failed.values())[-1]
            raise BadInput(f"None of {len(self.failed)} responses could be made. {last}")
        kept = list(self.failed.items())[:KEPT_FAILURES]
        return {
            "made": self.before + self.made,
            "tokens": self.tokens,
            "failed": len(self.failed),
            "failures": [
                {"prompt": prompt, "sample": sample, "error": error} for (prompt, sample), error in kept
            ],
        }

    def _make(self, wanted: dict[str, PromptRequest]) -> None:
        seed = self.contestant.parameters.get("seed", 0)
        requests = [
            GenerationRequest(
                key, tuple(one.messages), seed=seed_of(self.contestant.pk, seed, one.prompt_id, one.sample)
            )
            for key, one in wanted.items()
        ]
        seeds = {request.key: request.seed for request in requests}
        for portion in run(self.backend, requests):
            # Another worker may have the job by now: then nothing more is written.
            self.lease.check()
            good = [result for result in portion if not result.error]
            responses.record_responses(
                contestant=self.contestant,
                items=[self._row(wanted[result.key], result, seeds[result.key]) for result in good],
            )
            for result in portion:
                if result.error:
                    self.failed[wanted[result.key].prompt_id, wanted[result.key].sample] = result.error
            self.made += len(good)
            self.tokens += sum(result.tokens or 0 for result in good)
            self._tell()

    def _tell(self) -> None:
        seconds = max(time.monotonic() - self.started, 1e-3)
        message = f"{self.before + self.made} responses, {self.tokens / seconds:.0f} tokens a second"
        if self.failed:
            message += f", {len(self.failed)} failed"
        self.lease.progress(done=self.before + self.made + len(self.failed), message=message)

    def _row(self, asked: PromptRequest, result: GenerationResult, seed: int) -> NewResponse:
        system = self.contestant.system_prompt
        return NewResponse(
            prompt_id=asked.prompt_id,
            sample=asked.sample,
            text=result.text,
            raw=result.raw,
            made_by={
                **self.backend.facts(),
                "parameters": dict(self.contestant.parameters),
                "seed": seed,
                "system_prompt_sha256": hashlib.sha256(system.encode()).hexdigest() if system else "",
                "finish_reason": result.finish_reason,
                "prompt_tokens": result.prompt_tokens,
                "tokens": result.tokens,
                "job": self.lease.job.pk,
                "attempt": self.lease.job.attempt,
            },
        )


def _written(checkpoint: str) -> tuple[int, ...]:
    """When the checkpoint's files were written: a folder that was trained anew is loaded anew."""
    files = sorted(Path(checkpoint).expanduser().glob("*")) if checkpoint else []
    return tuple(file.stat().st_mtime_ns for file in files)
