"""The reference taken from generation: what a model said of its own texts is what a forward pass says."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from gpu_workers.backends.base import ContestantSpec, GenerationRequest
from gpu_workers.backends.checkpoint import CheckpointBackend
from gpu_workers.kwise.config import parse_config
from gpu_workers.kwise.data import read_rankings
from gpu_workers.kwise.encoding import EncodedRanking, encode_rankings
from gpu_workers.kwise.models import open_base, revision_hash
from gpu_workers.kwise.reference import ReferenceCache
from gpu_workers.kwise.scoring import packed_log_probabilities
from gpu_workers.kwise.trainer import train
from tests.gpu_workers import kwise_world as world

PROMPTS = ("why the cat", "how", "please the small dog likes blue")
SAMPLES = 24


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A base, and a data set of what it wrote itself, with what generation said of each text."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("generated")
    base = world.write_base(folder / "base")
    rows = []
    for temperature in (1.0, 0.7):
        texts = written(base, temperature)
        for number, prompt in enumerate(PROMPTS):
            for at in range(0, SAMPLES, 4):
                four = texts[prompt][at : at + 4]
                row = world.row(len(rows), prompt, [text for text, _ in four], [1, 2, 3, 4])
                row["prompt_id"] = f"p{number}"
                for response, (_, scored) in zip(row["responses"], four, strict=True):
                    response["scored"] = scored
                rows.append(row)
    world.write_data_set(folder / "data", rows)
    return folder


def written(base: Path, temperature: float) -> dict[str, list[tuple[str, dict[str, Any] | None]]]:
    """By prompt: each text with what generation said of it."""
    parameters = {"temperature": temperature, "max_new_tokens": 12}
    backend = CheckpointBackend(ContestantSpec("transformers", checkpoint=str(base), parameters=parameters))
    asked = [
        GenerationRequest(f"{prompt}/{number}", ({"role": "user", "content": prompt},), seed=number)
        for prompt in PROMPTS
        for number in range(SAMPLES)
    ]
    found: dict[str, list[tuple[str, dict[str, Any] | None]]] = {prompt: [] for prompt in PROMPTS}
    for result in sorted(backend.generate(asked), key=lambda one: one.key):
        scored = asdict(result.scored) if result.scored else None
        found[result.key.split("/")[0]].append((result.text, scored))
    return found


def settings(home: Path, name: str, **changes: Any) -> dict[str, Any]:
    return {
        "data": str(home / "data"),
        "base": str(home / "base"),
        "output": str(home / name),
        "objective": "dpo",
        "epochs": 1,
        "batch_size": 12,
        "kl_prompts": 0,
        "device": "cpu",
        **changes,
    }


def encoded(home: Path) -> tuple[Any, list[EncodedRanking]]:
    base = open_base(parse_config(settings(home, "none")))
    data = read_rankings(home / "data")
    rankings = encode_rankings(
        base.tokenizer,
        data.train,
        longest=base.context,
        system_prompt=None,
        report=data.report,
        uses_ties=False,
    )
    return base, rankings


def test_what_generation_said_is_what_a_forward_pass_says(home):
    base, rankings = encoded(home)
    cache = ReferenceCache(home / "cache", base_sha256=base.sha256, kind="float32")

    kept = cache.adopt(read_rankings(home / "data").train, revision=base.sha256, dtype="float32")

    assert kept > 20
    same = 0
    for ranking in rankings:
        with torch.no_grad():
            scores = packed_log_probabilities(base.model, [ranking], 4)[0].tolist()
        for slot, score in enumerate(scores):
            if (key := ranking.response_key(slot)) in cache.known:
                assert cache.known[key] == pytest.approx(score, abs=1e-4)
                same += 1
    assert same > 20  # the others were cut off, or are read as other tokens than they were written in


def test_another_revision_or_number_type_or_tokens_alone_say_nothing(home):
    train_split = read_rankings(home / "data").train
    sha256 = revision_hash(home / "base")

    def adopted(revision: str = sha256, dtype: str = "float32", by_token: bool = False) -> int:
        folder = home / f"{revision[:4]}-{dtype}-{by_token}"
        cache = ReferenceCache(folder, base_sha256=sha256, kind="float32", by_token=by_token)
        return cache.adopt(train_split, revision=revision, dtype=dtype)

    assert adopted() > 0
    assert adopted(revision="0" * 64) == 0
    assert adopted(dtype="bfloat16") == 0
    assert adopted(by_token=True) == 0


def test_a_run_is_the_same_with_and_without_what_generation_said(home):
    without = home / "without"
    rows = [json.loads(json.dumps(row)) for row in rows_of(home / "data")]
    for row in rows:
        for response in row["responses"]:
            response["scored"] = None
    world.write_data_set(without, rows)
    losses: dict[str, list[float]] = {"told": [], "computed": []}

    def keep(name: str) -> Any:
        return lambda event, **said: losses[name].append(said["loss"]) if event == "step" else None

    train(parse_config(settings(home, "told")), keep("told"))
    train(parse_config(settings(home, "computed", data=str(without))), keep("computed"))

    assert len(losses["told"]) == 3
    assert losses["told"] == pytest.approx(losses["computed"], abs=1e-4)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(folder / "kwise" / "train-00000-of-00001.parquet").to_pylist()
    return rows
