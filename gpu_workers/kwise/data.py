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
class Span:
    """A marked part of one response: code points `start` to `end` (not included) of its text."""

    slot: int
    start: int
    end: int


@dataclass(frozen=True)
class Ranking:
    """One vote that orders at least two responses, or ties them all.

    shares: where several judgements are one, see merging.py. openings: the messages of each response's own
    prompt, where the responses answer different prompts. criteria: ranks by slot for what else was asked.
    """

    vote_id: str
    prompt_id: str
    messages: tuple[Mapping[str, str], ...]
    system: str | None
    texts: tuple[str, ...]
    ranks: tuple[int | None, ...]  # by slot: 1 is best, equal is tied, None is below all ranked ones
    weight: float = 1.0
    voter: str = ""
    group: str = ""  # of annotators, where the export says so
    rewards: tuple[float, ...] | None = None  # explicit ones by slot, of a reward model
    shares: tuple[tuple[float, ...], ...] | None = None
    openings: tuple[tuple[Mapping[str, str], ...], ...] | None = None
    spans: tuple[Span, ...] = ()
    criteria: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    confidence: int | None = None
    strength: int | None = None
    scored: tuple[
        Mapping[str, Any] | None, ...
    ] = ()  # what generation said of each response, see reference.py
    propensity: float | None = None
    reliability: float | None = None

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
    merged: int = 0  # votes that share their responses with an earlier one
    with_spans: int = 0
    voters: int = 0
    agreement: float | None = None  # share of the pairs judged by several on which two of them agree
    by_k: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RankingData:
    """The rankings of a data set by split, and the hash of the files they came from."""

    train: list[Ranking]
    held_out: list[Ranking]
    report: DataReport
    sha256: str
    manifest: Mapping[str, Any]


def read_rankings(folder: Path, *, uses_ties: bool = False, uses_all_bad: bool = False) -> RankingData:
    """The informative rankings of the data set in `folder`.

    All-bad votes are counted and left out unless the objective learns from them, and so are those that tie
    all. Raises TrainingError where the folder is no K-wise data set, a file is not what its checksum says,
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
        for file in data_files(root, split):
            digest.update(_checked_hash(file, root.parent, manifest).encode())
            for number, row in enumerate(read_rows(file), start=1):
                ranking = _ranking(row, where=f"Row {number} of {file.name}")
                report.votes[split] += 1
                if _keep(ranking, row, report, uses_ties=uses_ties, uses_all_bad=uses_all_bad):
                    found[split].append(ranking)
    for split in SPLITS:
        report.informative[split] = len(found[split])
    kept = [*found["train"], *found["held_out"]]
    report.with_ties = sum(ranking.ties_ranked for ranking in kept)
    report.with_spans = sum(bool(ranking.spans) for ranking in kept)
    report.voters = len({ranking.voter for ranking in kept})
    report.by_k = dict(sorted(Counter(len(ranking.texts) for ranking in kept).items()))
    ordered = sum(ranking.orders for ranking in found["train"])
    _refuse_nothing(report, folder, ordered if not uses_all_bad else len(found["train"]))
    return RankingData(found["train"], found["held_out"], report, digest.hexdigest(), manifest)


def _refuse_nothing(report: DataReport, folder: Path, ordered: int) -> None:
    if not report.votes["train"]:
        raise TrainingError(
            f"The data set {folder} has no votes to train on. Collect votes, then export again."
        )
    if not ordered:
        raise TrainingError(
            f"None of the {report.votes['train']} votes in the data set {folder} orders any responses: "
            f"{report.all_tied} tie all and {report.all_bad} say all bad. Collect votes that tell them apart."
        )


def data_files(folder: Path, split: str) -> list[Path]:
    """The K-wise files of one split of a data set: Parquet, or else its JSONL twin."""
    root = folder / "kwise" if (folder / "kwise").is_dir() else folder
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


def read_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of one file. Raises TrainingError where it cannot be read."""
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
    texts = tuple(response["text"] for response in row["responses"])
    if not all(isinstance(text, str) for text in texts) or not any(texts):
        raise TrainingError(
            f"{where} has responses without a text. This trainer learns from texts: "
            "votes on pictures, sounds or films train no language model."
        )
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
        messages=_messages(row["messages"] or ()),
        system=row.get("system"),
        texts=texts,
        ranks=ranks,
        weight=1.0 if weight is None else float(weight),
        voter=str(row.get("voter") or ""),
        group=str(row.get("group") or ""),
        openings=_openings(row, where),
        scored=tuple(response.get("scored") for response in row["responses"]),
        propensity=row.get("propensity"),
        reliability=row.get("reliability"),
        **_details(row, texts, where),
    )


def _messages(given: Any) -> tuple[Mapping[str, str], ...]:
    return tuple({"role": message["role"], "content": message["content"]} for message in given)


def _openings(row: Mapping[str, Any], where: str) -> tuple[tuple[Mapping[str, str], ...], ...] | None:
    """The messages of each response's own prompt, where the row has them."""
    own = [response.get("messages") for response in row["responses"]]
    if not any(own):
        return None
    if not all(own):
        raise TrainingError(f"{where} has a response without its own prompt beside others that have one.")
    return tuple(_messages(messages) for messages in own)


def _details(row: Mapping[str, Any], texts: tuple[str, ...], where: str) -> dict[str, Any]:
    """What was asked beside the ranking, as far as training uses it."""
    given = row.get("details") or "{}"
    try:
        told = json.loads(given) if isinstance(given, str) else dict(given)
        spans = tuple(Span(int(s["slot"]), int(s["start"]), int(s["end"])) for s in told.get("spans") or ())
        asked = {name: tuple(one["ranks"]) for name, one in (told.get("criteria") or {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{where} has details that cannot be read: {error}.") from None
    for span in spans:
        if not (0 <= span.slot < len(texts) and 0 <= span.start < span.end <= len(texts[span.slot])):
            raise TrainingError(f"{where} marks characters {span.start} to {span.end} outside its response.")
    criteria = {name: ranks for name, ranks in asked.items() if len(ranks) == len(texts)}
    return {
        "spans": spans,
        "criteria": criteria,
        "confidence": told.get("confidence"),
        "strength": told.get("strength"),
    }


def _keep(
    ranking: Ranking, row: Mapping[str, Any], report: DataReport, *, uses_ties: bool, uses_all_bad: bool
) -> bool:
    if row["kind"] == "all_bad" or row["ranks"] is None:
        report.all_bad += 1
        return uses_all_bad
    if ranking.weight <= 0:
        report.weight_zero += 1
        return False
    if not ranking.orders:
        report.all_tied += 1
        return uses_ties and ranking.ties_ranked
    return True
