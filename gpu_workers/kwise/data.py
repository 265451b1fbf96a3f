"""Reads a K-wise data set folder: one row per vote, whole rankings (docs/data-format.md)."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.objectives import LARGEST_K

SPLITS = ("train", "held_out")
NEEDED = ("vote_id", "prompt_id", "messages", "responses", "ranks", "kind")


@dataclass(frozen=True)
class Ranking:
    """One vote that orders at least two responses, or ties them all."""

    vote_id: str
    prompt_id: str
    messages: tuple[Mapping[str, str], ...]
    system: str | None
    texts: tuple[str, ...]
    ranks: tuple[int | None, ...]  # by slot: 1 is best, equal is tied, None is below all ranked ones
    weight: float = 1.0

    @property
    def orders(self) -> bool:
        """Whether the vote puts any response above another."""
        places = set(self.ranks)
        return len(places) > 1

    @property
    def ties_ranked(self) -> bool:
        """Whether at least two ranked responses are level."""
        ranked = [rank for rank in self.ranks if rank is not None]
        return len(set(ranked)) < len(ranked)


@dataclass
class DataReport:
    """What was found in the data, and what was left out and why. Counts are of votes unless named."""

    votes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    informative: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    all_bad: int = 0
    all_tied: int = 0
    weight_zero: int = 0
    responses_too_long: int = 0
    rankings_too_long: int = 0
    with_ties: int = 0
    by_k: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RankingData:
    """The rankings of a data set by split, and the hash of the files they came from."""

    train: list[Ranking]
    held_out: list[Ranking]
    report: DataReport
    sha256: str
    manifest: Mapping[str, Any]


def read_rankings(folder: Path, *, uses_ties: bool = False) -> RankingData:
    """The informative rankings of the data set in `folder`.

    All-bad votes are left out and counted, and so are those that tie all, unless the objective learns from
    ties. Raises TrainingError where the folder is no K-wise data set, a file is not what its checksum says,
    a row cannot be used, or nothing informative is left to train on.
    """
    if not folder.is_dir():
        raise TrainingError(f"There is no data set folder {folder}.")
    root = folder / "kwise" if (folder / "kwise").is_dir() else folder
    manifest = _read_manifest(root)
    report = DataReport()
    digest = hashlib.sha256()
    found: dict[str, list[Ranking]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        for file in _files(root, split):
            digest.update(_checked_hash(file, root.parent, manifest).encode())
            for number, row in enumerate(_rows(file), start=1):
                ranking = _ranking(row, where=f"Row {number} of {file.name}")
                report.votes[split] += 1
                if _keep(ranking, row, report, uses_ties=uses_ties):
                    found[split].append(ranking)
    for split in SPLITS:
        report.informative[split] = len(found[split])
    kept = [*found["train"], *found["held_out"]]
    report.with_ties = sum(ranking.ties_ranked for ranking in kept)
    report.by_k = dict(sorted(Counter(len(ranking.texts) for ranking in kept).items()))
    _refuse_nothing(report, folder)
    return RankingData(found["train"], found["held_out"], report, digest.hexdigest(), manifest)


def _refuse_nothing(report: DataReport, folder: Path) -> None:
    if not report.votes["train"]:
        raise TrainingError(
            f"The data set {folder} has no votes to train on. Collect votes, then export again."
        )
    if not report.informative["train"]:
        raise TrainingError(
            f"None of the {report.votes['train']} votes in the data set {folder} orders any responses: "
            f"{report.all_tied} tie all and {report.all_bad} say all bad. Collect votes that tell them apart."
        )


def _files(root: Path, split: str) -> list[Path]:
    """The files of one split: Parquet, or else its JSONL twin."""
    for ending in ("parquet", "jsonl"):
        files = sorted(root.glob(f"{split}*.{ending}"))
        if files:
            return files
    if split == "train":
        raise TrainingError(f"There is no K-wise data in {root}: no train*.parquet and no train*.jsonl.")
    return []


def _read_manifest(root: Path) -> Mapping[str, Any]:
    file = root.parent / "manifest.json"
    if not file.is_file():
        return {}
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"The data set's manifest {file} cannot be read: {error}.") from None
    return manifest if isinstance(manifest, dict) else {}


def _checked_hash(file: Path, top: Path, manifest: Mapping[str, Any]) -> str:
    with file.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    stated = manifest.get("files", {}).get(file.relative_to(top).as_posix(), {}).get("sha256")
    if stated not in (None, digest):
        raise TrainingError(f"The file {file} is not the one in its manifest: it was changed. Export again.")
    return digest


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if file.suffix == ".parquet":
            yield from pq.read_table(file).to_pylist()
        else:
            with file.open(encoding="utf-8") as lines:
                yield from (json.loads(line) for line in lines if line.strip())
    except (pa.ArrowException, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"The file {file} cannot be read: {error}") from None


def _ranking(row: Mapping[str, Any], *, where: str) -> Ranking:
    missing = [name for name in NEEDED if name not in row]
    if missing:
        raise TrainingError(f"{where} has no {missing[0]}. Is this the kwise format?")
    texts = tuple(str(response["text"]) for response in row["responses"])
    ranks = tuple(row["ranks"]) if row["ranks"] is not None else (None,) * len(texts)
    if not 2 <= len(texts) <= LARGEST_K:
        raise TrainingError(f"{where} has {len(texts)} responses; a ranking has 2 to {LARGEST_K}.")
    if len(ranks) != len(texts):
        raise TrainingError(f"{where} has {len(ranks)} ranks for {len(texts)} responses.")
    if any(rank is not None and not 1 <= rank <= len(texts) for rank in ranks):
        raise TrainingError(f"{where} has a rank outside 1 to {len(texts)}.")
    weight = row.get("weight")
    return Ranking(
        vote_id=str(row["vote_id"]),
        prompt_id=str(row["prompt_id"]),
        messages=tuple({"role": m["role"], "content": m["content"]} for m in row["messages"]),
        system=row.get("system"),
        texts=texts,
        ranks=ranks,
        weight=1.0 if weight is None else float(weight),
    )


def _keep(ranking: Ranking, row: Mapping[str, Any], report: DataReport, *, uses_ties: bool) -> bool:
    if row["kind"] == "all_bad" or row["ranks"] is None:
        report.all_bad += 1
        return False
    if ranking.weight <= 0:
        report.weight_zero += 1
        return False
    if not ranking.orders:
        report.all_tied += 1
        return uses_ties and ranking.ties_ranked
    return True
