"""Text from a checkpoint on this machine, by transformers: safetensors only, never its own code."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from gpu_workers.backends.base import (
    BackendError,
    ContestantSpec,
    GenerationRequest,
    GenerationResult,
    Message,
    Sampling,
)
from gpu_workers.backends.decoding import Row, decode, filled_in
from gpu_workers.kwise.encoding import encode_prompt
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.models import check_base, find_device, revision_hash

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
        self.device = find_device("auto")
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.room = ROOM.get(self.device.type, ROOM["cpu"])
        sampling = Sampling.parse(spec.parameters)
        self.model, self.tokenizer = _loaded(spec, self.device, self.dtype)
        self.sampling = filled_in(sampling, self.model.generation_config)
        self.context = int(getattr(self.model.config, "max_position_embeddings", 0) or 2**20)
        self.stop = _stop_tokens(self.model, self.tokenizer)
        folder = Path(spec.checkpoint).expanduser()
        self.revision = revision_hash(folder) if folder.is_dir() else spec.revision

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
        wanted.sort(key=lambda one: (len(one.ids), one.ids))
        for batch in self._batches(wanted):
            yield from self._answers(batch)

    def facts(self) -> dict[str, Any]:
        device = torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"
        return {
            "backend": "transformers",
            "revision": self.revision,
            "device": device,
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    def close(self) -> None:
        """Free the weights."""
        del self.model
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _batches(self, wanted: list[_Wanted]) -> Iterator[list[_Wanted]]:
        batch: list[_Wanted] = []
        for one in wanted:
            # Sorted by length: the newest is the longest, and the batch is as wide as it.
            tokens = (len(batch) + 1) * (len(one.ids) + self.sampling.max_new_tokens)
            if batch and (len(batch) == self.room.rows or tokens > self.room.tokens):
                yield batch
                batch = []
            batch.append(one)
        if batch:
            yield batch

    def _answers(self, batch: list[_Wanted]) -> list[GenerationResult]:
        prompts = list(dict.fromkeys(one.ids for one in batch))
        places = {ids: place for place, ids in enumerate(prompts)}
        rows = [Row(places[one.ids], one.request.seed) for one in batch]
        try:
            decode(
                self.model,
                [list(ids) for ids in prompts],
                rows,
                sampling=self.sampling,
                stop=self.stop,
                pad=self.tokenizer.pad_token_id or 0,
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
        return [self._result(one, row) for one, row in zip(batch, rows, strict=True)]

    def _result(self, one: _Wanted, row: Row) -> GenerationResult:
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
        )

    def _ids(self, messages: Sequence[Message]) -> list[int]:
        try:
            return list(encode_prompt(self.tokenizer, messages, self.spec.system_prompt))
        except TemplateError as error:
            raise BackendError(f"The checkpoint's chat template refuses the prompt: {error}.") from None

    def _too_long(self, length: int) -> str:
        return (
            f"The prompt is {length} tokens long, and with {self.sampling.max_new_tokens} new ones that is "
            f"more than the {self.context} that the model sees. Lower max_new_tokens or shorten the prompt."
        )


def _loaded(spec: ContestantSpec, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    folder = Path(spec.checkpoint).expanduser()
    is_folder = folder.exists() or spec.checkpoint.startswith(("/", "~", "."))
    where: dict[str, Any] = {"trust_remote_code": False, "local_files_only": is_folder}
    if spec.revision and not is_folder:
        where["revision"] = spec.revision
    name = str(folder) if is_folder else spec.checkpoint
    transformers_logging.disable_progress_bar()
    try:
        if is_folder:
            check_base(folder)
        tokenizer = AutoTokenizer.from_pretrained(name, **where)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, use_safetensors=True, **where)
    except TrainingError as error:
        raise BackendError(str(error)) from None
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BackendError(f"The checkpoint {spec.checkpoint} cannot be opened: {reason}") from error
    return model.to(device).eval(), tokenizer  # type: ignore[arg-type]  # transformers wraps it untyped


def _stop_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Every token that ends a text: those of the checkpoint's generation settings, and the tokenizer's."""
    own = model.generation_config.eos_token_id
    found = set(own if isinstance(own, list) else [own])
    found.add(tokenizer.eos_token_id)
    found.discard(None)
    return found
