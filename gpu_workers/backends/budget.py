"""What a contestant may cost: tokens and money, kept before a request goes out, not found out afterwards.

Requests that are under way together could otherwise pass the limit together: each reserves the most
that it can cost, and gives back what it did not use.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from gpu_workers.backends.base import BackendError

NAMES = ("tokens", "money", "price_in", "price_out")
# Where an endpoint does not tell: a token of English is about four characters.
CHARACTERS_PER_TOKEN = 4
Spend = Callable[[int | None, int | None, str], None]


@dataclass
class Budget:
    """What is left. None is without limit; prices are for a million tokens."""

    tokens: float | None = None
    money: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """Raises BackendError with a sentence for a name or a number that makes no sense."""
        for name, value in given.items():
            if name not in NAMES:
                raise BackendError(f"A budget has no {name!r}. Known are {', '.join(NAMES)}.")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BackendError(f"The budget's {name} is {value!r}; it must be a number.")
        return cls(**given)

    def cost(self, tokens_in: float, tokens_out: float) -> float:
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6

    @contextmanager
    def reserved(self, body: Mapping[str, Any], most_out: int) -> Iterator[Spend]:
        """Reserve the most that this request can cost. Raises BackendError where that is not left.

        What it gives is called once with the tokens in, the tokens out (None where not told) and the text.
        """
        # One token per three characters is more than any prompt of words has.
        most_in = len(json.dumps(body, ensure_ascii=False)) / 3
        self._take(most_in + most_out, self.cost(most_in, most_out), check=True)
        used = [0.0, 0.0]

        def spend(tokens_in: int | None, tokens_out: int | None, text: str) -> None:
            guess_in = most_in * 3 / CHARACTERS_PER_TOKEN
            used[0] = guess_in if tokens_in is None else tokens_in
            used[1] = len(text) / CHARACTERS_PER_TOKEN if tokens_out is None else tokens_out

        try:
            yield spend
        finally:
            self._take(sum(used) - most_in - most_out, self.cost(*used) - self.cost(most_in, most_out))

    def _take(self, tokens: float, money: float, *, check: bool = False) -> None:
        with self._lock:
            if check and self.tokens is not None and tokens > self.tokens:
                raise BackendError(
                    f"The budget is used up: {max(0, self.tokens):,.0f} tokens are left, and a request "
                    f"may take {tokens:,.0f}. Raise the contestant's budget to go on."
                )
            if check and self.money is not None and money > self.money:
                raise BackendError(
                    f"The budget is used up: {max(0.0, self.money):,.4f} is left, and a request may cost "
                    f"{money:,.4f}. Raise the contestant's budget to go on."
                )
            if self.tokens is not None:
                self.tokens -= tokens
            if self.money is not None:
                self.money -= money
