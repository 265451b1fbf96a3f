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
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

Row = dict[str, Any]
KEEPS = ("agreeing", "best-of-n")
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
    from gpu_workers.kwise.config import TrainingConfig
    from gpu_workers.kwise.data import data_files, read_rankings, read_rows
    from gpu_workers.kwise.errors import TrainingError
    from gpu_workers.kwise.models import revision_hash
    from gpu_workers.kwise.reward_model import RewardModel

    if output.exists():
        raise TrainingError(f"There is a folder {output} already. {RESERVED}")
    if not 0 <= least <= 1:
        raise TrainingError(f"--least is {least:g}; accepted is a number from 0 to 1.")
    read_rankings(data, uses_ties=True, uses_all_bad=True)  # says what is wrong with it, checksums too
    model = RewardModel.open(reward_model, TrainingConfig(data="", base=str(reward_model), output=""))
    splits = {
        split: [dict(row) for file in data_files(data, split) for row in read_rows(file)]
        for split in ("train", "held_out")
    }
    rewards, sha256 = _rewards(model, splits["train"]), revision_hash(reward_model)
    if keep == "agreeing":
        train = [row for row, own in zip(splits["train"], rewards, strict=True) if likely(row, own) >= least]
    else:
        train = best_of_n(splits["train"], rewards, judge=sha256[:12])
    if not train:
        raise TrainingError(f"No vote of {data} is left with --least {least:g}. Choose a smaller one.")
    told = {
        "votes": len(splits["train"]),
        "kept": len(train),
        "keep": keep,
        "least": least if keep == "agreeing" else None,
        "reward_model_sha256": sha256,
    }
    _write(output, {**splits, "train": train}, {"curated": told, "of": _name_of(data)})
    return told


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
