"""`python -m gpu_workers.curate`: a smaller or sharper K-wise data set, chosen by a reward model.

    --keep agreeing     votes whose order the reward model finds at least as likely as --least
    --keep best-of-n    per prompt one ranking: of all its responses the reward model's best and worst

The first drops votes that look like slips; the second makes preferences that nobody cast, and says so:
`voter` and `judge` name the reward model by its hash. Held-out votes stay as they are. Needs no Django;
writes a new folder, whole or not at all, that `gpu_workers.train` reads.
"""

import argparse
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

Row = dict[str, Any]
KEEPS = ("agreeing", "best-of-n")
AT_ONCE = 16  # votes scored between two looks at whether the work is still wanted
RESERVED = "Choose another folder, or remove it: nothing is overwritten."


def main(arguments: Sequence[str] | None = None) -> int:
    given = _arguments(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # Loading torch takes seconds: --help need not wait for it.
    from gpu_workers.kwise.errors import TrainingError

    try:
        told = curate(given.data, given.reward_model, given.output, keep=given.keep, least=given.least)
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(told, ensure_ascii=False))
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m gpu_workers.curate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, help="the folder of a K-wise data set")
    parser.add_argument("reward_model", type=Path, help="the folder of a reward model")
    parser.add_argument("output", type=Path, help="a folder that is not there yet")
    parser.add_argument("--keep", choices=KEEPS, default="agreeing")
    parser.add_argument(
        "--least",
        type=float,
        default=0.3,
        help="the mean probability that the reward model gives a vote's pairs (0.3)",
    )
    return parser.parse_args(arguments)


def curate(
    data: Path, reward_model: Path, output: Path, *, keep: str = "agreeing", least: float = 0.3
) -> dict[str, Any]:
    """Write the chosen data set to `output`; returns how many votes there were and are.

    Raises TrainingError.
    """
    from gpu_workers.kwise.data import data_files, read_rankings, read_rows
    from gpu_workers.kwise.errors import TrainingError

    if output.exists():
        raise TrainingError(f"There is a folder {output} already. {RESERVED}")
    if not 0 <= least <= 1:
        raise TrainingError(f"--least is {least:g}; accepted is a number from 0 to 1.")
    read_rankings(data, uses_ties=True, uses_all_bad=True)  # says what is wrong with it, checksums too
    choice = Choice.open(reward_model, keep=keep, least=least)
    splits = {
        split: [dict(row) for file in data_files(data, split) for row in read_rows(file)]
        for split in ("train", "held_out")
    }
    train = [row for row, _split in choice.of([(row, "train") for row in splits["train"]])]
    train += [row for row, _split in choice.rest()]
    if not train:
        raise TrainingError(f"No vote of {data} is left with --least {least:g}. Choose a smaller one.")
    told = choice.told()
    _write(output, {**splits, "train": train}, {"curated": told, "of": _name_of(data)})
    return {name: value for name, value in told.items() if name != "dropped"}


class Choice:
    """What a reward model keeps of rows that come a page at a time, each with its split.

    "agreeing": votes whose pairs it finds at least as likely as `least`; "best-of-n": none of the votes, and
    at the end per prompt the best and the worst of all responses. Held-out rows pass as they are.
    """

    def __init__(
        self, model: Any, sha256: str, *, keep: str, least: float, check: Callable[[], None] = lambda: None
    ) -> None:
        """`check` is called every few votes, and may end the work."""
        self.model, self.sha256, self.keep, self.least = model, sha256, keep, least
        self.check = check
        self.dropped: list[str] = []
        self._seen: list[tuple[Row, tuple[float, ...]]] = []
        self._votes = self._kept = 0

    @classmethod
    def open(
        cls, folder: Path, *, keep: str, least: float, check: Callable[[], None] = lambda: None
    ) -> "Choice":
        """With the reward model in `folder`. Raises TrainingError."""
        from gpu_workers.kwise.config import TrainingConfig
        from gpu_workers.kwise.models import revision_hash
        from gpu_workers.kwise.reward_model import RewardModel

        model = RewardModel.open(folder, TrainingConfig(data="", base=str(folder), output=""))
        return cls(model, revision_hash(folder), keep=keep, least=least, check=check)

    def of(self, page: Sequence[tuple[Row, str]]) -> list[tuple[Row, str]]:
        """What is kept of this page."""
        train = [row for row, split in page if split == "train"]
        rewards: list[tuple[float, ...]] = []
        for at in range(0, len(train), AT_ONCE):
            self.check()
            rewards += _rewards(self.model, train[at : at + AT_ONCE])
        given = iter(rewards)
        kept = []
        for row, split in page:
            if split != "train" or self._keeps(row, next(given)):
                kept.append((row, split))
        return kept

    def rest(self) -> list[tuple[Row, str]]:
        """What comes after the last page."""
        best = best_of_n(*zip(*self._seen, strict=True), judge=self.sha256[:12]) if self._seen else []
        self._kept += len(best)
        return [(row, "train") for row in best]

    def told(self) -> dict[str, Any]:
        """What was done, for the manifest: `dropped` are the numbers of the votes that were not kept."""
        return {
            "votes": self._votes,
            "kept": self._kept,
            "keep": self.keep,
            "least": self.least if self.keep == "agreeing" else None,
            "reward_model_sha256": self.sha256,
            "dropped": self.dropped,
        }

    def _keeps(self, row: Row, rewards: tuple[float, ...]) -> bool:
        self._votes += 1
        if self.keep == "best-of-n":
            self._seen.append((row, rewards))
        kept = self.keep == "agreeing" and likely(row, rewards) >= self.least
        self._kept += kept
        if not kept:
            self.dropped.append(str(row["vote_id"]))
        return kept


def _rewards(model: Any, rows: Iterable[Mapping[str, Any]]) -> list[tuple[float, ...]]:
    from gpu_workers.kwise.data import Ranking

    asked = [
        Ranking(
            str(row["vote_id"]),
            str(row["prompt_id"]),
            tuple(row["messages"] or ()),
            row.get("system"),
            tuple(response["text"] for response in row["responses"]),
            tuple(range(1, len(row["responses"]) + 1)),
            # Each response's own prompt, where the battle had none for all.
            openings=None
            if row["messages"]
            else tuple(tuple(response.get("messages") or ()) for response in row["responses"]),
        )
        for row in rows
    ]
    found: list[tuple[float, ...]] = model.score(asked)
    return found


def likely(row: Mapping[str, Any], rewards: Sequence[float]) -> float:
    """The mean probability of the pairs that a vote orders, by the rewards; 1 where it orders none."""
    from torch import sigmoid, tensor

    ranks = [10**6 if rank is None else rank for rank in row["ranks"] or [None] * len(rewards)]
    gaps = [
        (rewards[i] - rewards[j]) * (1 if ranks[i] < ranks[j] else -1)
        for i, j in combinations(range(len(ranks)), 2)
        if ranks[i] != ranks[j]
    ]
    return float(sigmoid(tensor(gaps)).mean()) if gaps else 1.0


def best_of_n(rows: Sequence[Row], rewards: Sequence[Sequence[float]], *, judge: str) -> list[Row]:
    """For each prompt with two different responses or more: the best and the worst of all that were shown."""
    by_prompt: dict[str, dict[str, tuple[float, Row, int]]] = {}
    for row, own in zip(rows, rewards, strict=True):
        if not row["prompt_id"]:
            continue  # responses to different prompts are not held against each other
        for slot, response in enumerate(row["responses"]):
            by_prompt.setdefault(str(row["prompt_id"]), {})[response["text"]] = (own[slot], row, slot)
    chosen = []
    for prompt, texts in sorted(by_prompt.items()):
        ordered = sorted(texts.values(), key=lambda one: -one[0])
        if len(ordered) < 2 or ordered[0][0] <= ordered[-1][0]:
            continue
        ends = (ordered[0], ordered[-1])
        chosen.append(
            {
                **dict.fromkeys(ends[0][1]),
                "schema_version": ends[0][1].get("schema_version"),
                "vote_id": f"best-of-{len(ordered)}-{prompt}",
                "prompt_id": prompt,
                "messages": ends[0][1]["messages"],
                "system": ends[0][1].get("system"),
                "responses": [row["responses"][slot] for _reward, row, slot in ends],
                "ranks": [1, 2],
                "kind": "ranking",
                "voter": f"reward model {judge}",
                "judge": judge,
                "weight": 1.0,
            }
        )
    return chosen


def _name_of(data: Path) -> str:
    file = data / "manifest.json"
    return str(json.loads(file.read_text()).get("data_set", "")) if file.is_file() else ""


def _write(output: Path, splits: Mapping[str, Sequence[Row]], facts: Mapping[str, Any]) -> None:
    """A folder with JSON lines and a manifest, put in its place in one move."""
    unfinished = output.with_name(f".{output.name}.unfinished")
    (unfinished / "kwise").mkdir(parents=True, exist_ok=True)
    files = {}
    for split, rows in splits.items():
        name = f"kwise/{split}.jsonl"
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        (unfinished / name).write_bytes(lines)
        files[name] = {"sha256": hashlib.sha256(lines).hexdigest(), "rows": len(rows)}
    kinds = Counter(str(row["kind"]) for row in splits["train"])
    manifest = {**facts, "kinds": dict(kinds), "files": files}
    (unfinished / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False))
    unfinished.rename(output)


if __name__ == "__main__":
    sys.exit(main())
