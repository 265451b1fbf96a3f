"""The demo's prompts: every kind of question about every subject, a share of them held out."""

import hashlib
from dataclasses import dataclass, field
from functools import cache

from arena.demo_corpus.everyday import DISHES, HABITS, PEOPLE
from arena.demo_corpus.families import OPEN, Family, Kind, Subject
from arena.demo_corpus.nature import ANIMALS, PLACES, WEATHER

FAMILIES: tuple[Family, ...] = (ANIMALS, DISHES, PLACES, HABITS, WEATHER, PEOPLE)
TRAIN, HELD_OUT = "train", "held_out"


@dataclass(frozen=True)
class DemoPrompt:
    """One prompt of the demo arena. The demo's models never saw an answer to a held-out one."""

    key: str
    text: str
    tags: tuple[str, ...]
    split: str
    wordings: tuple[str, ...]  # the text, and another way to ask the same
    family: Family = field(repr=False, compare=False)
    kind: Kind = field(repr=False, compare=False)
    subject: Subject = field(repr=False, compare=False)


@cache
def prompts() -> tuple[DemoPrompt, ...]:
    """All prompts of the demo, always the same ones in the same order, families in turn.

    Of four subjects in five, one kind of question is held out: each subject and each kind
    is known from other prompts, so a held-out one asks for something new that can be answered.
    """
    by_family = [_prompts_of(family) for family in FAMILIES]
    longest = max(map(len, by_family))
    return tuple(some[place] for place in range(longest) for some in by_family if place < len(some))


@cache
def _by_key() -> dict[str, DemoPrompt]:
    return {prompt.key: prompt for prompt in prompts()}


def prompt_of(key: str) -> DemoPrompt:
    """The prompt with this key. Raises KeyError for a prompt that is not the demo's."""
    return _by_key()[key]


def _prompts_of(family: Family) -> list[DemoPrompt]:
    found = []
    # A story or a note puts facts together as no other answer does: it has to be practised.
    narrow = [kind for kind in family.kinds if kind.aspects is not OPEN and not kind.more]
    for row, subject in enumerate(family.subjects):
        for column, kind in enumerate(family.kinds):
            key = f"{family.key}-{kind.key}-{subject.key}"
            wording = kind.questions[(row + column) % len(kind.questions)]
            # The diagonal, less every fifth subject: about 14 % of all prompts.
            held_out = kind is narrow[row % len(narrow)] and row % 5 != 4
            found.append(
                DemoPrompt(
                    key=key,
                    text=subject.question(wording),
                    tags=(family.key, kind.key),
                    split=HELD_OUT if held_out else TRAIN,
                    wordings=tuple(map(subject.question, kind.questions)),
                    family=family,
                    kind=kind,
                    subject=subject,
                )
            )
    # Neighbours differ in subject and kind; the order never changes between machines.
    return sorted(found, key=lambda prompt: hashlib.sha256(prompt.key.encode()).digest())
