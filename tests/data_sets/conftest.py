import json
from pathlib import Path

import pytest

from arena.models import Arena, Contestant, DataSet, Vote
from arena.services.data_sets import FORMATS, request_data_set, write_data_set
from tests import factories


@pytest.fixture
def voted_arena(db: None) -> Arena:
    """Three contestants; a held-out prompt and two others; a vote of every kind."""
    arena = factories.make_pool("study", contestants=3, prompts=3, names=["Ann", "Bob", "Cy"], k=3)
    first, second, held_out = arena.prompts.order_by("id")
    held_out.split = "held_out"
    held_out.save()
    factories.make_vote(arena, [1, 2, 2], prompt=first)
    factories.make_vote(arena, [None, 1, None], kind=Vote.Kind.BEST, prompt=second)
    factories.make_vote(arena, kind=Vote.Kind.ALL_BAD, prompt=second)
    factories.make_vote(arena, [1, 1, 1], prompt=first)
    factories.make_vote(arena, kind=Vote.Kind.SKIP, prompt=first, skip_reason="I do not know")
    factories.make_vote(arena, [3, 2, 1], prompt=held_out)
    return arena


@pytest.fixture
def export():
    """`export(arena)` is a written data set in all formats, or in those named."""

    def written(arena: Arena, *formats: str) -> DataSet:
        return write_data_set(request_data_set(arena=arena, formats=formats or tuple(FORMATS)))

    return written


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder that looks like a checkpoint to whoever does not load it."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def base(voted_arena: Arena, checkpoint: Path) -> Contestant:
    """A contestant that can be trained."""
    return factories.make_contestant(
        voted_arena,
        "Base",
        backend="transformers",
        checkpoint=str(checkpoint),
        system_prompt="Be kind.",
        parameters={"temperature": 0.7},
    )
