"""Writes and reads the demo's answers: one to four short sentences with a style.

This is demo data: what a small model can learn in a minute on a laptop, so that an
arena has something to compare. It says nothing about real models or real taste.
"""

import random
import re
from dataclasses import dataclass
from functools import cache

from arena.demo_corpus.families import Family
from arena.demo_corpus.prompts import FAMILIES, DemoPrompt, prompts

OPENINGS = ("Of course.", "With pleasure.", "Thank you for asking.", "I am happy to help.")
CLOSINGS = ("I hope this helps.", "Please ask me again.", "Have a lovely day.")
CHEERS = ("What a lovely thought!", "How nice!", "That makes me smile!", "Hooray!")
SHORT_WORDS = 18  # An answer of at most so many words is short.


@dataclass(frozen=True)
class Style:
    """How often answers are polite, cheerful, short, or slip. Each from 0 to 1.

    A model that learned the plain style says the likelier thing more often at temperatures
    below one: at 0.8 it is polite and short about as often as not, with room either way.
    """

    polite: float = 0.55
    cheerful: float = 0.4
    short: float = 0.25
    slip: float = 0.0


PLAIN = Style()


@dataclass(frozen=True)
class Traits:
    """What can be seen in an answer, whoever wrote it."""

    polite: bool
    cheerful: bool
    short: bool
    words: int
    sentences: int


def answer(prompt: DemoPrompt, rng: random.Random, style: Style = PLAIN) -> str:
    """One answer to the prompt; the same `rng` state gives the same answer."""
    family, kind, subject = prompt.family, prompt.kind, prompt.subject
    first = rng.choice(family.answering(kind))
    said = [rng.choice(family.sentences(subject, first))]
    if rng.random() >= style.short:
        others = family.additions(kind, first)
        # A story has one aspect to go on with, and draws from it twice.
        for aspect in rng.sample(others, k=2) if len(others) > 1 else others * 2:
            said.append(rng.choice(family.sentences(subject, aspect)))
    said = list(dict.fromkeys(said))
    if rng.random() < style.slip:
        said = _slip(said, rng)
    if rng.random() < style.cheerful:
        said.insert(rng.randrange(2) * len(said), rng.choice(CHEERS))
    if rng.random() < style.polite:
        if rng.random() < 0.6 or len(said) == 4:
            said.insert(0, rng.choice(OPENINGS))
        else:
            said.append(rng.choice(CLOSINGS))
    return " ".join(said[:4])


def _slip(said: list[str], rng: random.Random) -> list[str]:
    """The typical faults of a careless writer: says a thing twice, wanders off, breaks off."""
    fault = rng.randrange(3)
    if fault == 0:
        return [*said, said[0]]
    if fault == 1:
        stray = rng.choice(prompts())
        return [rng.choice(sorted(_answers(stray))), *said[1:]]
    words = said[-1].split()
    return [*said[:-1], " ".join(words[: max(2, len(words) // 2)])]


def sentences_in(text: str) -> list[str]:
    """The text cut after each full stop, exclamation or question mark."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def is_readable(text: str) -> bool:
    """Whether each sentence is one that the grammar can write, and none is said twice."""
    said = sentences_in(text)
    return bool(said) and len(set(said)) == len(said) and all(part in _known() for part in said)


def is_on_topic(prompt: DemoPrompt, text: str) -> bool:
    """Whether a sentence answers this very question, and none is about another subject."""
    own = _about(prompt.family)[prompt.subject.key]
    asked = _answers(prompt)
    said = sentences_in(text)
    return any(part in asked for part in said) and all(
        part in own or part not in _known() or part in _PHRASES for part in said
    )


def traits(text: str) -> Traits:
    """What a reader with a taste would notice."""
    said = sentences_in(text)
    words = len(text.split())
    return Traits(
        polite=any(part in _POLITE for part in said),
        cheerful=any(part in CHEERS for part in said),
        short=0 < words <= SHORT_WORDS,
        words=words,
        sentences=len(said),
    )


_POLITE = frozenset(OPENINGS + CLOSINGS)
_PHRASES = _POLITE | frozenset(CHEERS)


@cache
def _answers(prompt: DemoPrompt) -> frozenset[str]:
    """The sentences that answer the very question."""
    family = prompt.family
    return frozenset(
        sentence
        for aspect in family.answering(prompt.kind)
        for sentence in family.sentences(prompt.subject, aspect)
    )


@cache
def _about(family: Family) -> dict[str, frozenset[str]]:
    """For each subject of the family, all that can be said of it."""
    return {
        subject.key: frozenset(
            sentence for aspect in family.aspects for sentence in family.sentences(subject, aspect)
        )
        for subject in family.subjects
    }


@cache
def _known() -> frozenset[str]:
    about = (said for family in FAMILIES for said in _about(family).values())
    return _PHRASES.union(*about)
