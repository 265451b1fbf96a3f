"""What every backend takes and gives: requests for text in, results with their facts out.

A request that cannot be answered comes back as a result with `error`, a sentence; what
makes the whole backend useless (no checkpoint, no endpoint) is a BackendError.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Protocol, Self

Message = Mapping[str, Any]


class BackendError(Exception):
    """No request can be answered. The text says what happened and what to do."""


@dataclass(frozen=True)
class GenerationRequest:
    """One text to make. The same key, messages and seed give the same text from the same model."""

    key: str
    messages: tuple[Message, ...]
    seed: int = 0
    # Instead of the contestant's own, where the samples of a prompt shall differ on purpose.
    temperature: float | None = None
    # Texts to keep away from, and how strongly: what is taken off the logit of a token that stands at the
    # same place in one of them (in nats; for checkpoints).
    avoid: tuple[str, ...] = ()
    penalty: float = 0.0
    # How many candidates for the first token are wanted with their log-probabilities (judges).
    logprobs: int = 0


@dataclass(frozen=True)
class Scored:
    """How likely a whole text was to its own model. With the same revision and number type it is the
    trainer's reference, if that reads the same tokens: `tokens_sha256` names them, prompt and end included.
    """

    revision: str
    dtype: str
    tokens_sha256: str
    log_probability: float


@dataclass(frozen=True)
class GenerationResult:
    """What became of the request of this key: a text, or a sentence in `error` and no text.

    `raw` is the model's output with its special tokens, empty where it is the text itself.
    `finish_reason` is "stop", "length" or what an endpoint says; token counts are None
    where an endpoint does not tell. Times are seconds since 1970. A `file` stands in the place of a text.
    """

    key: str
    text: str = ""
    raw: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    tokens: int | None = None
    error: str = ""
    retries: int = field(default=0, compare=False)
    started: float | None = field(default=None, compare=False)
    finished: float | None = field(default=None, compare=False)
    file: bytes = b""
    media_type: str = ""
    first_logprobs: Mapping[str, float] | None = None
    scored: Scored | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ContestantSpec:
    """All that a backend needs to know of a contestant. `key` is the endpoint's key itself."""

    backend: str
    checkpoint: str = ""
    adapter: str = ""
    endpoint: str = ""
    endpoint_model: str = ""
    key: str = field(default="", repr=False)
    system_prompt: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    revision: str = ""
    budget: Mapping[str, Any] = field(default_factory=dict)
    # How many requests are under way at an endpoint at a time; 0 is the backend's own number.
    at_once: int = 0


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. None leaves it to the checkpoint's or the endpoint's own default."""

    max_new_tokens: int = 512
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int = 0

    @classmethod
    def parse(cls, parameters: Mapping[str, Any]) -> Self:
        """The sampling that these parameters ask for. Raises BackendError with a sentence."""
        for name, value in parameters.items():
            if name not in cls.__dataclass_fields__:
                near = get_close_matches(name, cls.__dataclass_fields__, n=1)
                hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(LIMITS)}."
                raise BackendError(f"There is no parameter {name!r}. {hint}")
            whole, least, most = LIMITS[name]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or (whole and value != int(value)) or not least <= value <= most:
                kind = "whole number" if whole else "number"
                raise BackendError(f"{name} is {value!r}; it must be a {kind} from {least:g} to {most:g}.")
        return cls(**{name: int(value) if LIMITS[name][0] else value for name, value in parameters.items()})


# name: (a whole number?, the least, the most)
LIMITS: dict[str, tuple[bool, float, float]] = {
    "max_new_tokens": (True, 1, 131_072),
    "temperature": (False, 0, 5),
    "top_p": (False, 0, 1),
    "top_k": (True, 0, 100_000),
    "repetition_penalty": (False, 0.1, 10),
    "seed": (True, 0, 2**63 - 1),
}


class Backend(Protocol):
    """A model that writes, wherever it runs."""

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationResult]:
        """One result for each request, in any order, each as soon as it is there.

        Closing the iterator ends the work early. Raises BackendError where nothing can be made.
        """
        ...

    def facts(self) -> dict[str, Any]:
        """What made the texts, for the record: revision, device, number type, parameters."""
        ...

    def close(self) -> None:
        """Give back connections and memory."""
        ...


def with_system_prompt(system_prompt: str, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as a model gets them: the contestant's system prompt first, where it has one."""
    plain = [dict(message) for message in messages]
    return [{"role": "system", "content": system_prompt}, *plain] if system_prompt else plain
