"""Runs requests through a backend and hands the results on in small portions, so that progress shows."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence

from gpu_workers.backends.base import Backend, BackendError, GenerationRequest, GenerationResult

# So many failures one after the other, with no success, and the rest would fail too.
PATIENCE = 20


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
    for result in backend.generate(requests):
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
