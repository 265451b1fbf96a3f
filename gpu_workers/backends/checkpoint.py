"""Text from a checkpoint on this machine, by transformers: safetensors only, never its own code."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError

from gpu_workers import memory
from gpu_workers.backends.base import (
    BackendError,
    ContestantSpec,
    GenerationRequest,
    GenerationResult,
    Message,
    Sampling,
    Scored,
)
from gpu_workers.backends.bases import adapter_hash, base_of
from gpu_workers.backends.decoding import Row, decode, filled_in
from gpu_workers.kwise.encoding import encode_prompt, tokens_sha256
from gpu_workers.kwise.models import revision_hash

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Room:
    """How much goes through the model at once: rows, and tokens of all rows together."""

    rows: int
    tokens: int


ROOM = {"cpu": Room(rows=32, tokens=32_768), "cuda": Room(rows=128, tokens=262_144)}


@dataclass(frozen=True)
class _Wanted:
    request: GenerationRequest
    ids: tuple[int, ...]


class CheckpointBackend:
    """One checkpoint, loaded once: bfloat16 on a GPU, float32 on a CPU."""

    def __init__(self, spec: ContestantSpec) -> None:
        """Load the checkpoint, a folder or a name on the hub. Raises BackendError."""
        self.spec = spec
        sampling = Sampling.parse(spec.parameters)
        self.base = base_of(spec)
        self.device, self.dtype = self.base.device, self.base.dtype
        self.model, self.tokenizer = self.base.model, self.base.tokenizer
        self.adapter = self.base.add(spec.adapter) if spec.adapter else ""
        self.room = ROOM.get(self.device.type, ROOM["cpu"])
        self.sampling = filled_in(sampling, self.model.generation_config)
        self.context = int(getattr(self.model.config, "max_position_embeddings", 0) or 2**20)
        self.stop = _stop_tokens(self.model, self.tokenizer)
        folder = Path(spec.checkpoint).expanduser()
        self.revision = revision_hash(folder) if folder.is_dir() else spec.revision
        self.adapter_sha256 = adapter_hash(Path(spec.adapter).expanduser()) if spec.adapter else ""

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationResult]:
        """Results batch by batch, prompts of like length together. See Backend."""
        wanted = []
        for request in requests:
            ids = self._ids(request.messages)
            if len(ids) + self.sampling.max_new_tokens > self.context:
                yield GenerationResult(request.key, error=self._too_long(len(ids)))
            else:
                wanted.append(_Wanted(request, tuple(ids)))
        # Equal prompts come to lie side by side, and are read once.
        wanted.sort(key=lambda one: (one.request.temperature or -1.0, len(one.ids), one.ids))
        for batch in self._batches(wanted):
            yield from self._answers(batch)

    def facts(self) -> dict[str, Any]:
        device = torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"
        return {
            "backend": "transformers",
            "revision": self.revision,
            "device": device,
            "hardware": memory.hardware(),
            "dtype": str(self.dtype).removeprefix("torch."),
            **({"adapter": self.adapter_sha256} if self.adapter else {}),
        }

    def close(self) -> None:
        """Free the weights, where no other contestant is on them."""
        del self.model, self.base
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _batches(self, wanted: list[_Wanted]) -> Iterator[list[_Wanted]]:
        batch: list[_Wanted] = []
        for one in wanted:
            # Sorted by length: the newest is the longest, and the batch is as wide as it.
            # A batch has one temperature.
            tokens = (len(batch) + 1) * (len(one.ids) + self.sampling.max_new_tokens)
            full = len(batch) == self.room.rows or tokens > self.room.tokens
            if batch and (full or batch[0].request.temperature != one.request.temperature):
                yield batch
                batch = []
            batch.append(one)
        if batch:
            yield batch

    def _answers(self, batch: list[_Wanted]) -> list[GenerationResult]:
        prompts = list(dict.fromkeys(one.ids for one in batch))
        places = {ids: place for place, ids in enumerate(prompts)}
        rows = [
            Row(places[one.ids], one.request.seed, avoid=self._tokens(one.request.avoid)) for one in batch
        ]
        warmth = batch[0].request.temperature
        sampling = self.sampling if warmth is None else replace(self.sampling, temperature=warmth)
        started = time.time()
        try:
            with self.base.lock:
                self.base.use(self.adapter)
                decode(
                    self.model,
                    [list(ids) for ids in prompts],
                    rows,
                    sampling=sampling,
                    stop=self.stop,
                    pad=self.tokenizer.pad_token_id or 0,
                    penalty=batch[0].request.penalty,
                )
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise BackendError(
                    "The graphics memory is too small for this checkpoint and max_new_tokens."
                ) from None
            torch.cuda.empty_cache()
            log.warning("A batch of %d did not fit the graphics memory; going on with halves.", len(batch))
            self.room = Room(rows=max(1, len(batch) // 2), tokens=self.room.tokens)
            middle = len(batch) // 2
            return self._answers(batch[:middle]) + self._answers(batch[middle:])
        return [self._result(one, row, started) for one, row in zip(batch, rows, strict=True)]

    def _result(self, one: _Wanted, row: Row, started: float) -> GenerationResult:
        text = str(self.tokenizer.decode(row.tokens, skip_special_tokens=True)).strip()
        # The token that ended it is no news; any other special token is.
        written = row.tokens[:-1] if row.finish_reason == "stop" else row.tokens
        raw = str(self.tokenizer.decode(written, skip_special_tokens=False))
        return GenerationResult(
            key=one.request.key,
            text=text,
            raw="" if raw == text else raw,
            finish_reason=row.finish_reason,
            prompt_tokens=len(one.ids),
            tokens=len(row.tokens),
            scored=self._scored(one, row),
            started=started,
            finished=time.time(),
        )

    def _scored(self, one: _Wanted, row: Row) -> Scored | None:
        """None where the text did not end by itself, or an adapter wrote it: it is no base's own."""
        if self.adapter or row.tokens[-1:] != [self.tokenizer.eos_token_id]:
            return None
        dtype = str(self.dtype).removeprefix("torch.")
        key = tokens_sha256(one.ids, tuple(row.tokens))
        return Scored(self.revision, dtype, key, round(row.log_probability, 6))

    def _ids(self, messages: Sequence[Message]) -> list[int]:
        try:
            return list(encode_prompt(self.tokenizer, messages, self.spec.system_prompt))
        except TemplateError as error:
            raise BackendError(f"The checkpoint's chat template refuses the prompt: {error}.") from None

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]

    def _too_long(self, length: int) -> str:
        return (
            f"The prompt is {length} tokens long, and with {self.sampling.max_new_tokens} new ones that is "
            f"more than the {self.context} that the model sees. Lower max_new_tokens or shorten the prompt."
        )


def _stop_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Every token that ends a text: those of the checkpoint's generation settings, and the tokenizer's."""
    own = model.generation_config.eos_token_id
    found = set(own if isinstance(own, list) else [own])
    found.add(tokenizer.eos_token_id)
    found.discard(None)
    return found
