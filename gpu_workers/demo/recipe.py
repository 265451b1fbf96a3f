"""How the demo's models are made: sizes, lengths of training, tastes, and who competes."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arena import demo_corpus
from arena.demo_corpus import Style


@dataclass(frozen=True)
class Size:
    """The decoder's shape, about a million parameters."""

    vocabulary: int = 3072  # the most: merging ends near 2,000, when every word is one token
    hidden: int = 128
    layers: int = 3
    heads: int = 4
    feed_forward: int = 256
    context: int = 512


@dataclass(frozen=True)
class Course:
    """One course of training. `style` is how the answers that it learns from are written."""

    steps: int
    batch: int
    matrix_rate: float  # Muon, for hidden matrices
    other_rate: float  # AdamW, for embeddings and norms
    style: Style
    seed: int
    warm_up: int = 10


@dataclass(frozen=True)
class Model:
    """A checkpoint: the base after `step` steps of its course, or the whole base and a course on top."""

    name: str
    step: int
    taste: Course | None = None


@dataclass(frozen=True)
class Entry:
    """A contestant of the demo arena: a checkpoint with a way to sample from it."""

    name: str
    model: str
    description: str
    parameters: dict[str, Any] = field(default_factory=lambda: {"temperature": 0.8, "max_new_tokens": 96})


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the demo's models are."""

    size: Size
    course: Course
    tokenizer_texts: int
    models: tuple[Model, ...]
    entries: tuple[Entry, ...]

    def digest(self) -> str:
        """A name for what comes out: it changes with the recipe, the corpus and the code that trains."""
        hashed = hashlib.sha256(repr(self).encode())
        folders = (Path(str(demo_corpus.__file__)).parent, Path(__file__).parent)
        for source in sorted(file for folder in folders for file in folder.glob("*.py")):
            if source.name not in ("taste.py", "__main__.py"):
                hashed.update(source.read_bytes())
        return hashed.hexdigest()[:16]


def _taste(style: Style, seed: int) -> Course:
    return Course(steps=30, batch=24, matrix_rate=0.004, other_rate=2e-3, style=style, seed=seed, warm_up=4)


STEPS = 750

DEMO = Recipe(
    size=Size(),
    course=Course(steps=STEPS, batch=24, matrix_rate=0.02, other_rate=1e-2, style=Style(), seed=1),
    tokenizer_texts=4000,
    # Four contestants, enough for a battle, are there after two fifths of the training.
    models=(
        Model("acorn", STEPS // 10),
        Model("seedling", STEPS // 5),
        Model("sapling", STEPS * 2 // 5),
        Model("oak", STEPS),
        Model("willow", STEPS, _taste(Style(short=0.0, cheerful=0.9, polite=0.5), seed=2)),
        Model("bramble", STEPS, _taste(Style(slip=0.7, polite=0.1, cheerful=0.1), seed=3)),
    ),
    entries=(
        Entry("Acorn", "acorn", "A tenth of the training: knows words, loses the thread."),
        Entry("Seedling", "seedling", "A fifth of the training."),
        Entry("Sapling", "sapling", "Two fifths of the training."),
        Entry(
            "Wild sapling",
            "sapling",
            "The same model as Sapling at temperature 1.4: bolder, and more often wrong.",
            {"temperature": 1.4, "max_new_tokens": 96},
        ),
        Entry("Oak", "oak", "The whole training, sampled with care."),
        Entry("Willow", "willow", "Oak, taught to say more, and gladly."),
        Entry("Bramble", "bramble", "Oak, taught careless habits."),
    ),
)
