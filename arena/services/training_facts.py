"""What is known before a run: what a data set holds, and how large a base is."""

import json
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from arena.models import DataSet
from arena.services.data_sets import data_set_folder

MOST_ROWS = 20_000  # read for the report
MOST_HEAD = 2**27  # bytes of a safetensors head
CHARACTERS_PER_TOKEN = 3.5  # of English under the usual vocabularies; only an estimate is wanted
Agreement = float | None


@dataclass(frozen=True)
class DataFacts:
    """What the train split holds. agreement: share of pairs of voters who agree on the same two responses."""

    votes: int
    informative: int
    held_out: int
    with_ties: int
    all_tied: int
    all_bad: int
    voters: int
    prompts: int
    agreement: Agreement
    by_k: tuple[tuple[int, int], ...]
    response_tokens: float
    longest_tokens: float

    @property
    def tie_share(self) -> float:
        return self.with_ties / self.informative if self.informative else 0.0


@dataclass(frozen=True)
class ModelFacts:
    parameters: int
    layers: int
    hidden: int
    vocabulary: int
    context: int


def read_data_facts(data_set: DataSet) -> DataFacts:
    """What the K-wise files of a data set hold, from at most the first twenty thousand votes."""
    folder = data_set_folder(data_set) / "kwise"
    rows: list[dict[str, Any]] = []
    for file in sorted(folder.glob("train-*.parquet")):
        columns = ["prompt_id", "ranks", "kind", "voter", "responses"]
        rows += pq.read_table(file, columns=columns).slice(0, MOST_ROWS - len(rows)).to_pylist()
    ordered = [row for row in rows if row["ranks"] is not None and len(set(row["ranks"])) > 1]
    lengths = [len(one["text"]) / CHARACTERS_PER_TOKEN for row in ordered for one in row["responses"]]
    return DataFacts(
        votes=data_set.manifest["splits"]["train"].get("votes", len(rows)),
        informative=data_set.manifest["splits"]["train"]["informative"],
        held_out=data_set.manifest["splits"]["held_out"]["informative"],
        with_ties=sum(_has_ties(row["ranks"]) for row in ordered),
        all_tied=sum(row["ranks"] is not None and len(set(row["ranks"])) < 2 for row in rows),
        all_bad=sum(row["kind"] == "all_bad" for row in rows),
        voters=len({row["voter"] for row in rows}),
        prompts=len({row["prompt_id"] for row in rows}),
        agreement=_agreement(ordered),
        by_k=tuple(sorted(Counter(len(row["responses"]) for row in ordered).items())),
        response_tokens=sum(lengths) / len(lengths) if lengths else 0.0,
        longest_tokens=max(lengths, default=0.0),
    )


def _has_ties(ranks: Sequence[int | None]) -> bool:
    ranked = [rank for rank in ranks if rank is not None]
    return len(set(ranked)) < len(ranked)


def _agreement(rows: Sequence[Mapping[str, Any]]) -> Agreement:
    """Of all pairs of votes that order the same two responses, the share that order them alike."""
    first: Counter[tuple[str, str]] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    for row in rows:
        places = [10**6 if rank is None else rank for rank in row["ranks"]]
        names = [one["id"] for one in row["responses"]]
        for i, one in enumerate(names):
            for j, other in enumerate(names):
                if one < other and places[i] != places[j]:
                    both[(one, other)] += 1
                    first[(one, other)] += places[i] < places[j]
    alike = pairs = 0
    for key, count in both.items():
        up = first[key]
        alike += (up * (up - 1) + (count - up) * (count - up - 1)) // 2
        pairs += count * (count - 1) // 2
    return round(alike / pairs, 3) if pairs else None


def read_model_facts(folder: Path) -> ModelFacts:
    """The size of a checkpoint from its settings and the heads of its files; zeros where unknown."""
    file = folder / "config.json"
    told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    told = {**told, **(told.get("text_config") or {})}

    def number(*names: str) -> int:
        return next((int(told[name]) for name in names if isinstance(told.get(name), int)), 0)

    return ModelFacts(
        parameters=sum(_count(part) for part in folder.glob("*.safetensors")),
        layers=number("num_hidden_layers", "n_layer"),
        hidden=number("hidden_size", "n_embd"),
        vocabulary=number("vocab_size"),
        context=number("max_position_embeddings", "n_positions"),
    )


def _count(file: Path) -> int:
    """The numbers in one safetensors file: its head is eight bytes of length and then JSON."""
    try:
        with file.open("rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            head = json.loads(handle.read(min(length, MOST_HEAD)))
    except (struct.error, ValueError):
        return 0  # the trainer will say what is wrong with it
    total = 0
    for name, tensor in head.items():
        if name != "__metadata__":
            size = 1
            for side in tensor["shape"]:
                size *= side
            total += size
    return total
