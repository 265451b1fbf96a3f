"""What the demo's prompts are about: families of subjects, the facts of each, and sentences that state them.

A family has aspects (what can be said of its subjects), each with a few sentence
patterns; kinds of question, each answered chiefly by one aspect; and subjects with
the phrases that fill the patterns. Every fact can turn up in the answer to any kind
of question of its family, so that a model can answer a question that was held out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from string import Formatter

OPEN: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of question: the aspects that answer it, its wordings, and what may be added.

    Aspects that are OPEN: every one that is not closed. Without `more`, an answer goes on
    with the family's other open aspects.
    """

    key: str
    aspects: tuple[str, ...]
    questions: tuple[str, ...]
    more: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Subject:
    """One thing that prompts ask about, with the phrases that can fill each slot of a pattern."""

    key: str
    phrases: dict[str, tuple[str, ...]]

    def question(self, wording: str) -> str:
        """The wording with this subject in it."""
        return wording.format(**{slot: phrases[0] for slot, phrases in self.phrases.items()})


@dataclass(frozen=True, eq=False)
class Family:
    """Subjects of one sort. `aspects` maps an aspect to its sentence patterns.

    Those of a kind with `more` are closed: a story or a note stands alone, and would read
    oddly in the middle of another answer. The others are open.
    """

    key: str
    kinds: tuple[Kind, ...]
    aspects: dict[str, tuple[str, ...]]
    subjects: tuple[Subject, ...]

    def open_aspects(self) -> tuple[str, ...]:
        closed = {aspect for kind in self.kinds if kind.more for aspect in (*kind.aspects, *kind.more)}
        return tuple(aspect for aspect in self.aspects if aspect not in closed)

    def answering(self, kind: Kind) -> tuple[str, ...]:
        """The aspects that answer this kind of question."""
        return kind.aspects or self.open_aspects()

    def additions(self, kind: Kind, aspect: str) -> tuple[str, ...]:
        """What may follow a sentence of `aspect` in an answer to this kind of question."""
        return kind.more or tuple(other for other in self.open_aspects() if other != aspect)

    def sentences(self, subject: Subject, aspect: str) -> tuple[str, ...]:
        """Every sentence that the grammar can write about this aspect of the subject."""
        return tuple(sentence for pattern in self.aspects[aspect] for sentence in _fillings(pattern, subject))


def _fillings(pattern: str, subject: Subject) -> Iterator[str]:
    slots = list(dict.fromkeys(name for _, name, _, _ in Formatter().parse(pattern) if name))
    for values in product(*(subject.phrases[slot] for slot in slots)):
        yield capitalised(pattern.format(**dict(zip(slots, values, strict=True))))


def capitalised(text: str) -> str:
    """The text with a capital letter at its start, and the rest as it is."""
    return text[:1].upper() + text[1:]


def subjects_from(table: str) -> tuple[Subject, ...]:
    """Subjects from text: a key alone on its line, then `slot: phrase / phrase` lines."""
    subjects: list[Subject] = []
    for line in filter(None, map(str.strip, table.splitlines())):
        slot, colon, phrases = line.partition(": ")
        if not colon:
            subjects.append(Subject(slot, {}))
        else:
            subjects[-1].phrases[slot] = tuple(phrases.split(" / "))
    return tuple(subjects)
