"""Runs requests through a backend and hands the results on in small portions, so that progress shows."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from gpu_workers.backends.base import Backend, BackendError, GenerationRequest, GenerationResult

# So many failures one after the other, with no success, and the rest would fail too.
PATIENCE = 20

# Characters of one response, the same for all: what is longer was written by a model that does not end.
LONGEST = 64_000
THINKING = "think|thinking|thought|reasoning|reflection|scratchpad"
_BLOCK = re.compile(rf"\A\s*<({THINKING})>.*?</\1>", re.DOTALL | re.IGNORECASE)
# Templates that open the block in the prompt leave only its end in the answer.
_END_ALONE = re.compile(rf"\A(?:(?!<(?:{THINKING})>).)*?</({THINKING})>", re.DOTALL | re.IGNORECASE)
_NEVER_ENDED = re.compile(rf"\A\s*<({THINKING})>", re.IGNORECASE)
_TEMPLATE = re.compile(
    r"<\|(?:im_start|im_end|endoftext|end|eot_id|assistant|user|system|start_header_id|end_header_id|"
    r"channel|message|return|start)\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>"
)


def cleaned(result: GenerationResult) -> GenerationResult:
    """The result with only what a voter shall read in `text`; what was taken away stays in `raw`.

    Taken away, by rule and from every contestant alike: a block of thinking at the beginning, the tokens
    of chat templates at either end, and what is beyond LONGEST characters. A text that is nothing but
    thinking is a failure: the answer was cut off before it began.
    """
    if result.error or result.file:
        return result
    text = result.text
    while (block := _BLOCK.match(text)) or (block := _END_ALONE.match(text)):
        text = text[block.end() :]
    if _NEVER_ENDED.match(text):
        return replace(result, text="", error="It was still thinking when max_new_tokens were used up.")
    text = _trimmed(text)
    reason = result.finish_reason
    if len(text) > LONGEST:
        text, reason = text[:LONGEST].rstrip(), "length"
    if text == result.text:
        return result
    return replace(result, text=text, raw=result.raw or result.text, finish_reason=reason)


def _trimmed(text: str) -> str:
    """Without template tokens and space at both ends; in the middle they may be what was asked about."""
    while True:
        text = text.strip()
        first = _TEMPLATE.match(text)
        last = next((m for m in _TEMPLATE.finditer(text) if m.end() == len(text)), None)
        if first:
            text = text[first.end() :]
        elif last:
            text = text[: last.start()]
        else:
            return text


def seed_of(*parts: object) -> int:
    """A seed of 63 bits that belongs to these parts, the same on every machine."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def run(
    backend: Backend,
    requests: Sequence[GenerationRequest],
    *,
    portion: int = 16,
    seconds: float = 2.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[list[GenerationResult]]:
    """The results of all requests in lists of at most `portion`, or what there is after `seconds`.

    A request that the backend passes over comes back as failed. Raises BackendError after
    PATIENCE failures without one success; what came before was handed on.
    """
    open_keys = {request.key for request in requests}
    if len(open_keys) != len(requests):
        raise ValueError("Two requests have the same key.")
    ready: list[GenerationResult] = []
    failures, successes, since = 0, 0, clock()
    for made in backend.generate(requests):
        result = cleaned(made)
        open_keys.discard(result.key)
        ready.append(result)
        failures += bool(result.error)
        successes += not result.error
        if len(ready) >= portion or clock() - since >= seconds:
            yield ready
            ready, since = [], clock()
        if failures >= PATIENCE and not successes:
            if ready:
                yield ready
            raise BackendError(f"The first {failures} responses all failed. The last one: {result.error}")
    ready += [GenerationResult(key, error="The backend gave no answer.") for key in sorted(open_keys)]
    if ready:
        yield ready
