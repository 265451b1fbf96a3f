"""A generation job: the responses that one contestant owes, made and written down portion by portion."""

import hashlib
import os
import threading
import time
from collections import OrderedDict
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from arena.errors import BadInput
from arena.models import Contestant
from arena.outbound import Rules
from arena.services import jobs, responses
from arena.services.contestants import VARIETY, key_of, left_of, note_spent
from arena.services.leases import GivesWay, Lease
from arena.services.responses import NewResponse, PromptRequest
from gpu_workers import memory
from gpu_workers.backends import (
    Backend,
    BackendError,
    ContestantSpec,
    GenerationRequest,
    GenerationResult,
    contract,
    open_backend,
)
from gpu_workers.generation import run, seed_of
from gpu_workers.variety_task import Variety

FIRST_WINDOW = 32  # requests before a contestant that has nothing yet may go first
WINDOW = 96  # requests taken from the database at a time, or eight rounds of what an endpoint gets at once
KEPT_FAILURES = 50  # sentences kept in the job's result


class KeptBackends:
    """The backends that were opened last, so that the next job of the same contestant need not load one.

    Several checkpoints stay, as conversations ask now this one and now that one; of those on one base,
    the base's weights count once. At least the newest stays, whatever its size.
    """

    def __init__(self, most: int = 8, share: float = 0.5) -> None:
        self._lock = threading.Lock()
        self._most = most
        self._share = share
        self._backends: OrderedDict[tuple[Any, ...], Backend] = OrderedDict()

    def get(self, spec: ContestantSpec, rules: Rules) -> Backend:
        key = (repr(spec), spec.key, rules, _written(spec.checkpoint), _written(spec.adapter))
        with self._lock:
            if key in self._backends:
                self._backends.move_to_end(key)
                return self._backends[key]
            # Not closed: another thread may be in the middle of a text. One goes when nobody holds it.
            while self._backends and (len(self._backends) >= self._most or memory.is_short(self._share)):
                self._backends.popitem(last=False)
            backend = self._backends[key] = open_backend(spec, hosts=rules)
            return backend


KEPT = KeptBackends()


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
        backend = KEPT.get(
            spec_of(contestant), Rules(hosts=tuple(settings.ENDPOINT_HOSTS), **settings.OUTBOUND)
        )
        work = _Work(lease, contestant, backend, gives_way)
        return work.run(int(payload.get("samples", 1)), payload.get("prompts"))
    except BackendError as error:
        raise BadInput(str(error)) from error


def spec_of(contestant: Contestant) -> ContestantSpec:
    """What a backend needs of the contestant. Raises BadInput where the key's variable is not set here."""
    return ContestantSpec(
        backend=contestant.backend,
        checkpoint=contestant.checkpoint,
        adapter=contestant.adapter,
        endpoint=contestant.endpoint,
        endpoint_model=contestant.endpoint_model,
        key=key_of(contestant, os.environ),
        system_prompt=contestant.system_prompt,
        parameters={name: value for name, value in contestant.parameters.items() if name not in VARIETY},
        revision=contestant.revision,
        budget=left_of(contestant),
        at_once=settings.ENDPOINT_REQUESTS,
    )


def checks_of(contestant_id: int) -> list[dict[str, Any]]:
    """The contract's checks of this contestant's backend. Raises BadInput where its key is not to be had."""
    contestant = Contestant.objects.get(pk=contestant_id)
    rules = Rules(hosts=tuple(settings.ENDPOINT_HOSTS), **settings.OUTBOUND)
    spec = spec_of(contestant)
    return [asdict(check) for check in contract.check(lambda: open_backend(spec, hosts=rules))]


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
        self.variety = Variety(contestant)
        self.started = time.monotonic()

    def run(self, samples: int, prompt_ids: list[int] | None) -> dict[str, Any]:
        while True:
            wanted = responses.next_requests(
                contestant=self.contestant,
                samples=samples,
                prompt_ids=prompt_ids,
                limit=max(WINDOW, 8 * settings.ENDPOINT_REQUESTS) if self.made else FIRST_WINDOW,
                skip=self.failed.keys(),
            )
            if not wanted:
                break
            if self.variety.by_rounds:
                wanted = [one for one in wanted if one.sample == wanted[0].sample]
            if self.made and responses.somebody_waits(self.contestant):
                self._give_way("Waits while others make their first responses")
            self._make({f"{one.prompt_id}/{one.sample}": one for one in wanted})
        if self.failed and not self.before + self.made:
            last = list(self.failed.values())[-1]
            raise BadInput(f"None of {len(self.failed)} responses could be made. {last}")
        kept = list(self.failed.items())[:KEPT_FAILURES]
        return {
            "diversity": self.variety.measured(samples, prompt_ids),
            "made": self.before + self.made,
            "tokens": self.tokens,
            "failed": len(self.failed),
            "failures": [
                {"prompt": prompt, "sample": sample, "error": error} for (prompt, sample), error in kept
            ],
        }

    def _give_way(self, message: str) -> None:
        if self.gives_way:
            # Those that failed here are tried again when its turn comes.
            self.lease.progress(done=self.before + self.made)
            raise GivesWay(message)

    def _make(self, wanted: dict[str, PromptRequest]) -> None:
        seed = self.contestant.parameters.get("seed", 0)
        earlier = self.variety.earlier(wanted.values())
        requests = [
            GenerationRequest(
                key,
                self.variety.messages(one, earlier.get(one.prompt_id, [])),
                seed=seed_of(self.contestant.pk, seed, one.prompt_id, one.sample),
                temperature=self.variety.temperature(one.sample),
                avoid=self.variety.avoid(one, earlier.get(one.prompt_id, [])),
                penalty=self.variety.penalty,
            )
            for key, one in wanted.items()
        ]
        by_key = {request.key: request for request in requests}
        for portion in run(self.backend, requests):
            # Another worker may have the job by now: then nothing more is written.
            self.lease.check()
            good = [result for result in portion if not result.error]
            responses.record_responses(
                contestant=self.contestant,
                items=[self._row(wanted[result.key], result, by_key[result.key]) for result in good],
            )
            note_spent(
                contestant=self.contestant,
                tokens_in=sum(result.prompt_tokens or 0 for result in good),
                tokens_out=sum(result.tokens or 0 for result in good),
            )
            for result in portion:
                if result.error:
                    self.failed[wanted[result.key].prompt_id, wanted[result.key].sample] = result.error
            self.made += len(good)
            self.tokens += sum(result.tokens or 0 for result in good)
            self._tell()
            if jobs.more_urgent_waits(self.lease.job):
                self._give_way("Waits while somebody is answered")

    def _tell(self) -> None:
        seconds = max(time.monotonic() - self.started, 1e-3)
        message = f"{self.before + self.made} responses, {self.tokens / seconds:.0f} tokens a second"
        if self.failed:
            message += f", {len(self.failed)} failed"
        self.lease.progress(done=self.before + self.made + len(self.failed), message=message)

    def _row(self, asked: PromptRequest, result: GenerationResult, request: GenerationRequest) -> NewResponse:
        system = self.contestant.system_prompt
        job = self.lease.job
        made_by = {
            **self.backend.facts(),
            "parameters": dict(self.contestant.parameters),
            "seed": request.seed,
            "system_prompt_sha256": hashlib.sha256(system.encode()).hexdigest() if system else "",
            "finish_reason": result.finish_reason,
            "prompt_tokens": result.prompt_tokens,
            "tokens": result.tokens,
            "retries": result.retries,
            "queued": job.created_at.isoformat(),
            "started": _moment(result.started),
            "finished": _moment(result.finished),
            "job": job.pk,
            "attempt": job.attempt,
        }
        if request.temperature is not None:
            made_by["temperature"] = request.temperature
        if result.scored is not None and result.scored.revision:
            made_by["scored"] = asdict(result.scored)
        if len(request.messages) != len(asked.messages):
            made_by["contrasted_with"] = asked.sample
        if request.avoid:
            made_by["kept_away_from"] = len(request.avoid)
        return NewResponse(
            prompt_id=asked.prompt_id,
            sample=asked.sample,
            text=result.text,
            raw=result.raw,
            made_by=made_by,
            file=result.file,
            media_type=result.media_type,
        )


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _written(checkpoint: str) -> tuple[int, ...]:
    """When the checkpoint's files were written: a folder that was trained anew is loaded anew."""
    files = sorted(Path(checkpoint).expanduser().glob("*")) if checkpoint else []
    return tuple(file.stat().st_mtime_ns for file in files)
