"""A made-up voter with a fixed hidden taste, for simulations and benchmarks of the loop.

Not a model of people: it likes what it was told to like, and errs at random.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from arena.demo_corpus.grammar import is_on_topic, is_readable, traits
from arena.demo_corpus.prompts import DemoPrompt


@dataclass(frozen=True)
class Taste:
    """What this voter likes, in points, and how much it errs.

    `noise` is the standard deviation of the error in points, drawn anew for each
    response that is judged. Responses closer than `tie` to the one above are tied with it.
    """

    polite: float = 1.0
    short: float = 1.0
    cheerful: float = 0.5
    readable: float = 1.5
    on_topic: float = 1.5
    noise: float = 0.0
    tie: float = 0.25

    def score(self, prompt: DemoPrompt, text: str) -> float:
        """The points of a response, without error."""
        seen = traits(text)
        return (
            self.polite * seen.polite
            + self.short * seen.short
            + self.cheerful * seen.cheerful
            + self.readable * is_readable(text)
            + self.on_topic * is_on_topic(prompt, text)
        )

    def ranks(self, prompt: DemoPrompt, texts: Sequence[str], rng: random.Random) -> list[int]:
        """Competition ranks in the order of `texts`: 1 is best, equal numbers are ties (1, 2, 2, 4)."""
        points = [self.score(prompt, text) + rng.gauss(0.0, self.noise) for text in texts]
        order = sorted(range(len(texts)), key=lambda place: -points[place])
        ranks = [0] * len(texts)
        for position, place in enumerate(order):
            above = order[position - 1] if position else place
            tied = position > 0 and points[above] - points[place] < self.tie
            ranks[place] = ranks[above] if tied else position + 1
        return ranks

    def win(self, prompt: DemoPrompt, text: str, other: str) -> float:
        """1 where `text` is liked better than `other`, 0 where worse, 0.5 where alike; without error."""
        difference = self.score(prompt, text) - self.score(prompt, other)
        if abs(difference) < self.tie:
            return 0.5
        return float(difference > 0)
