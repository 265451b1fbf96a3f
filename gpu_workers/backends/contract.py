"""What every backend promises, as checks that a user runs against a new one: `manage.py check_contestant`.

The tests of the backends run the same checks. Each says what it looked at and what it saw; `ok` is
None for what is good to know and no fault.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gpu_workers.backends.base import Backend, BackendError, GenerationRequest, GenerationResult
from gpu_workers.generation import cleaned

QUESTION = "Name one animal that lives in the sea."
FACTS = ("backend", "revision")


@dataclass(frozen=True)
class Check:
    what: str
    ok: bool | None
    said: str = ""


def check(open_backend: Callable[[], Backend]) -> Iterator[Check]:
    """All checks, each as soon as it is made; they end where nothing more can be learned."""
    try:
        backend = open_backend()
    except BackendError as error:
        yield Check("It can be opened", False, str(error))
        return
    yield Check("It can be opened", True)
    try:
        yield from _checks(backend)
    except BackendError as error:
        yield Check("It answers", False, str(error))
    finally:
        backend.close()


def _checks(backend: Backend) -> Iterator[Check]:
    facts = backend.facts()
    missing = [name for name in FACTS if name not in facts]
    yield Check("It says what makes its texts", not missing, ", ".join(f"no {name}" for name in missing))
    if hasattr(backend, "capabilities"):
        yield _capabilities(backend)
    began = time.monotonic()
    first = _one(backend, "first", 7)
    took = time.monotonic() - began
    yield Check("It answers", not first.error, first.error or _shown(first, took))
    if first.error:
        return
    results = list(backend.generate([_asked(f"many {n}", n) for n in range(6)]))
    keys = sorted(result.key for result in results)
    whole = keys == sorted(f"many {n}" for n in range(6))
    yield Check("Each of six requests is answered once", whole, "" if whole else f"answered were {keys}")
    failed = [result.error for result in results if result.error]
    yield Check("None of the six fails", not failed, failed[0] if failed else "")
    again = _one(backend, "first", 7)
    same = _content(again) == _content(first)
    yield Check(
        "The same seed gives the same output" if same else "The same seed gives another output",
        True if same else None,
        "" if same else "responses cannot be made again exactly",
    )
    outputs = {_content(result) for result in results if not result.error}
    yield Check(
        "Other seeds give other outputs" if len(outputs) > 1 else "Other seeds give the same output",
        True if len(outputs) > 1 else None,
        "" if len(outputs) > 1 else "several samples of a prompt would be the same",
    )
    counted = first.tokens is not None
    yield Check("It counts tokens", True if counted else None, "" if counted else "budgets are estimated")
    began = time.monotonic()
    results_iterator = backend.generate([_asked(f"early {n}", n) for n in range(20)])
    next(iter(results_iterator))
    close = getattr(results_iterator, "close", None)
    if close is not None:
        close()
    after = _one(backend, "after", 8)
    yield Check("It can be stopped early and goes on", not after.error, after.error)
    thinking = cleaned(first)
    if not thinking.error and thinking.text != first.text:
        yield Check("It thinks aloud", None, "the thinking is kept apart from the answer")


def _capabilities(backend: Any) -> Check:
    try:
        said = backend.capabilities()
    except BackendError as error:
        return Check("It says what it can", False, str(error))
    return Check("It says what it can", True, ", ".join(f"{name} {value}" for name, value in said.items()))


def _asked(key: str, seed: int) -> GenerationRequest:
    return GenerationRequest(key, ({"role": "user", "content": QUESTION},), seed=seed)


def _one(backend: Backend, key: str, seed: int) -> GenerationResult:
    results = list(backend.generate([_asked(key, seed)]))
    return results[0] if len(results) == 1 else GenerationResult(key, error=f"{len(results)} answers to one.")


def _content(result: GenerationResult) -> str | bytes:
    return result.file or result.text


def _shown(result: GenerationResult, seconds: float) -> str:
    if result.file:
        return f"{result.media_type}, {len(result.file):,} bytes in {seconds:.1f} s"
    text = " ".join(result.text.split())
    return f"{text[:60]!r} in {seconds:.1f} s"
