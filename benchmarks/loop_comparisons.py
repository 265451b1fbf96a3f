"""What the loop's figure would be with other votes or another trainer, several seeds, same base and budget.

    python benchmarks/loop_comparisons.py                     five seeds
    python benchmarks/loop_comparisons.py --quick             one seed, 60 rankings, six arms, no TRL
    python benchmarks/loop_comparisons.py --cells cells.jsonl keeps each cell, and goes on where it was ended
    python benchmarks/loop_comparisons.py --only kwise pairs  some of the arms

The demo's decoder is trained on the votes of one hidden taste in four stages (online mode): voters judge
samplings of the newest model, which is then trained on their votes. No Django: the models, the voters, the
trainer and the sampler are the product's, the votes go from one to the other in a K-wise data set folder.
An arm is one way to vote and to train. With the same seed all arms begin with the same model, prompts and
samplings. All have the same number of votes, passes, learning rate, beta and weight of the best responses:

- kwise: rankings of four, with the objective that the product suggests; plackett-luce: the same with that.
- pairs: as many votes on two responses, with the objective that the product suggests for pairs.
- trl: the rankings of four as pairs, through TRL 1.16.0's DPOTrainer with loss_type sigmoid and sft, as many
  rankings' pairs a step; trl-plain: sigmoid alone.
- dpo, robust (Chowdhury et al., told the share), smooth (conservative DPO, told the share), dr-dpo and kwise
  once more with 20 % of the votes turned round: what each loses by it.
- kwise, near: held near each stage's base on fresh samples (online_kl).

The verdict is that of loop.py: the taste, without error, on held-out prompts, tuned against parent.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from scipy.stats import t

from arena.demo_corpus import HELD_OUT, TRAIN, DemoPrompt, Taste, prompts
from benchmarks import results
from benchmarks.loop import PARAMETERS, Row, plain, readable, show, wins
from gpu_workers.backends.base import ContestantSpec, GenerationRequest
from gpu_workers.backends.checkpoint import CheckpointBackend
from gpu_workers.demo.build import build
from gpu_workers.demo.recipe import DEMO
from gpu_workers.generation import seed_of
from gpu_workers.kwise.config import parse_config
from gpu_workers.kwise.trainer import train

CACHE = Path(os.environ.get("ARENA_CACHE_DIR", Path("~/.cache/preference-arena").expanduser()))
BASE = "oak"
SAMPLING = {"temperature": 0.8, "max_new_tokens": 96}  # how the base competes in the demo
FLIPPED = 0.2
SMOOTHING = {"label_smoothing": FLIPPED}


@dataclass(frozen=True)
class Arm:
    """One way to vote and to train. flipped: share of the votes turned round."""

    name: str
    objective: str = "adpo-list"
    options: dict[str, float] = field(default_factory=dict)
    k: int = 4
    flipped: float = 0.0
    settings: dict[str, float] = field(default_factory=dict)  # beside those that all arms have
    trl: tuple[str, ...] = ()  # TRL's loss_type; empty: our trainer


ARMS = (
    Arm("kwise"),
    Arm("pairs", objective="dpo", k=2),
    Arm("dpo", objective="dpo"),
    Arm("dpo, flipped", objective="dpo", flipped=FLIPPED),
    Arm("robust", objective="robust-dpo", options=SMOOTHING),
    Arm("robust, flipped", objective="robust-dpo", options=SMOOTHING, flipped=FLIPPED),
    Arm("smooth", objective="dpo", options=SMOOTHING),
    Arm("smooth, flipped", objective="dpo", options=SMOOTHING, flipped=FLIPPED),
    Arm("dr-dpo", objective="dr-dpo", options={"tau": 0.3}),
    Arm("dr-dpo, flipped", objective="dr-dpo", options={"tau": 0.3}, flipped=FLIPPED),
    Arm("kwise, near", settings={"online_kl": 0.03}),
    Arm("trl", trl=("sigmoid", "sft")),
    Arm("kwise, flipped", flipped=FLIPPED),
    Arm("plackett-luce", objective="plackett-luce"),
    Arm("trl-plain", trl=("sigmoid",)),
)
QUICK = ("kwise", "pairs", "dpo", "dpo, flipped", "smooth", "smooth, flipped")


@dataclass(frozen=True)
class Study:
    rankings: int = 300
    stages: int = 4
    samples: int = 8  # of each held-out prompt in the verdict


@dataclass(frozen=True)
class Judged:
    """One vote: a prompt, what was shown, and competition ranks in that order."""

    prompt: DemoPrompt
    texts: tuple[str, ...]
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """What one arm came to with one seed. cpu_seconds are the training's."""

    arm: str
    seed: int
    rankings: int
    stages: int
    win_rate: float
    readable: float
    words: float
    cpu_seconds: float


def sample(
    model: Path, asked: Sequence[DemoPrompt], count: int, seed: int, **changes: Any
) -> list[list[str]]:
    """`count` texts for each prompt."""
    backend = CheckpointBackend(
        ContestantSpec("transformers", checkpoint=str(model), parameters={**SAMPLING, **changes})
    )
    wanted = [
        GenerationRequest(
            f"{place}.{number}",
            ({"role": "user", "content": prompt.text},),
            seed_of(seed, prompt.key, number),
        )
        for place, prompt in enumerate(asked)
        for number in range(count)
    ]
    texts = {result.key: result.text for result in backend.generate(wanted)}
    backend.close()
    return [[texts[f"{place}.{number}"] for number in range(count)] for place in range(len(asked))]


def judge(model: Path, arm: Arm, votes: int, seed: int, stage: int) -> list[Judged]:
    """Votes on samplings of the model at temperature 1, some of them turned round."""
    rng = random.Random(1_000 * seed + stage)
    known = [prompt for prompt in prompts() if prompt.split == TRAIN]
    # Over again where there are more votes than prompts; the second time with other texts.
    asked = [prompt for _ in range(-(-votes // len(known))) for prompt in rng.sample(known, len(known))]
    asked, times, rows = asked[:votes], Counter[str](), []
    wanted = list({prompt.key: prompt for prompt in asked}.values())
    drawn = sample(model, wanted, 4 * -(-votes // len(known)), seed_of(seed, stage), temperature=1.0)
    by_key = {prompt.key: texts for prompt, texts in zip(wanted, drawn, strict=True)}
    taste = Taste()
    for prompt in asked:
        at = 4 * times[prompt.key]
        times[prompt.key] += 1
        texts = by_key[prompt.key][at : at + arm.k]
        ranks = taste.ranks(prompt, texts, rng)
        if rng.random() < arm.flipped:
            ranks = [1 + sum(other > rank for other in ranks) for rank in ranks]
        rows.append(Judged(prompt, tuple(texts), tuple(ranks)))
    return rows


def write_votes(folder: Path, votes: Sequence[Judged]) -> Path:
    """A K-wise data set folder with these votes."""
    (folder / "kwise").mkdir(parents=True)
    with (folder / "kwise" / "train.jsonl").open("w", encoding="utf-8") as lines:
        for number, vote in enumerate(votes):
            row = {
                "vote_id": f"v{number}",
                "prompt_id": vote.prompt.key,
                "messages": [{"role": "user", "content": vote.prompt.text}],
                "responses": [{"text": text} for text in vote.texts],
                "ranks": vote.ranks,
                "kind": "ranking",
            }
            lines.write(json.dumps(row) + "\n")
    return folder


def by_ours(arm: Arm, model: Path, votes: Sequence[Judged], folder: Path, seed: int) -> Path:
    settings = {
        **PARAMETERS,
        **arm.settings,
        "objective": arm.objective,
        "objective_options": arm.options,
        "data": str(write_votes(folder / "data", votes)),
        "base": str(model),
        "output": str(folder / "run"),
        "seed": seed,
        "kl_prompts": 0,
    }
    train(parse_config(settings), lambda event, **values: None)
    return folder / "run" / "model"


def by_trl(arm: Arm, model: Path, votes: Sequence[Judged], folder: Path, seed: int) -> Path:
    """TRL's trainer on every ordered pair of the votes, with as many rankings' pairs in a step."""
    from datasets import Dataset, disable_progress_bars
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(model)
    pairs = [
        {
            "prompt": tokenizer.apply_chat_template(
                [{"role": "user", "content": vote.prompt.text}], tokenize=False, add_generation_prompt=True
            ),
            "chosen": vote.texts[better],
            "rejected": vote.texts[worse],
        }
        for vote in votes
        for one, other in combinations(range(len(vote.texts)), 2)
        for better, worse in ([(one, other)] if vote.ranks[one] < vote.ranks[other] else [(other, one)])
        if vote.ranks[one] != vote.ranks[other]
    ]
    ordered = sum(len(set(vote.ranks)) > 1 for vote in votes)
    settings = DPOConfig(
        output_dir=str(folder / "trl"),
        loss_type=list(arm.trl),
        loss_weights=[1.0, PARAMETERS["sft_weight"]][: len(arm.trl)],
        beta=PARAMETERS["beta"],
        learning_rate=PARAMETERS["learning_rate"],
        num_train_epochs=PARAMETERS["epochs"],
        per_device_train_batch_size=round(len(pairs) / ordered * PARAMETERS["batch_size"]),
        lr_scheduler_type="cosine",
        warmup_steps=0.1,
        precompute_ref_log_probs=True,
        max_length=None,
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=seed,
    )
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        args=settings,
        train_dataset=Dataset.from_list(pairs),
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def play(arm: Arm, seed: int, study: Study, parent: Path, parents: dict[str, list[str]]) -> Cell:
    """The stages of one arm, and the verdict on the last model."""
    with tempfile.TemporaryDirectory() as scratch:
        model, spent = parent, 0.0
        for stage in range(study.stages):
            votes = judge(model, arm, study.rankings // study.stages, seed, stage)
            began = time.process_time()
            work = by_trl if arm.trl else by_ours
            model = work(arm, model, votes, Path(scratch) / str(stage), seed)
            spent += time.process_time() - began
        own = answers(model, study.samples, seed)
    texts = [text for several in own.values() for text in several]
    return Cell(
        arm.name,
        seed,
        study.rankings,
        study.stages,
        win_rate=float(wins(Taste(), own, parents).mean()),
        readable=readable(own),
        words=float(np.mean([len(text.split()) for text in texts])),
        cpu_seconds=round(spent, 1),
    )


def answers(model: Path, samples: int, seed: int) -> dict[str, list[str]]:
    """By prompt's text, so many answers to every held-out prompt as the model competes."""
    asked = [prompt for prompt in prompts() if prompt.split == HELD_OUT]
    drawn = sample(model, asked, samples, seed_of("verdict", seed))
    return {prompt.text: texts for prompt, texts in zip(asked, drawn, strict=True)}


def played(study: Study, arms: Sequence[Arm], seeds: range, file: Path | None) -> list[Cell]:
    """Every arm with every seed, seed by seed; what `file` has already is taken from there."""
    cells = []
    if file and file.exists():
        cells = [Cell(**json.loads(line)) for line in file.read_text().splitlines()]
        cells = [cell for cell in cells if (cell.rankings, cell.stages) == (study.rankings, study.stages)]
    done = {(cell.arm, cell.seed) for cell in cells}
    parent = build(DEMO, CACHE / "demo-models", lambda event, **values: None) / BASE
    for seed in seeds:
        parents = answers(parent, study.samples, 10_000 + seed)
        for arm in arms:
            if (arm.name, seed) in done:
                continue
            cell = play(arm, seed, study, parent, parents)
            print(
                f"seed {seed}, {arm.name}: win rate {cell.win_rate:.3f}, readable {cell.readable:.3f}, "
                f"{cell.words:.1f} words, training {cell.cpu_seconds:.0f} CPU s",
                flush=True,
            )
            cells.append(cell)
            if file:
                with file.open("a") as lines:
                    lines.write(json.dumps(asdict(cell)) + "\n")
    return [cell for cell in cells if cell.arm in {arm.name for arm in arms} and cell.seed in seeds]


def mean(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The mean with a 95 % t interval over seeds; no interval from one seed."""
    numbers = np.array(values)
    if len(numbers) < 2:
        return float(numbers.mean()), None, None
    half = float(t.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / len(numbers) ** 0.5)
    return float(numbers.mean()), float(numbers.mean()) - half, float(numbers.mean()) + half


def told(cells: Sequence[Cell]) -> list[Row]:
    """The arms, and the comparisons for which there is a goal, seed against seed."""
    by_arm: dict[str, dict[int, Cell]] = {}
    for cell in cells:
        by_arm.setdefault(cell.arm, {})[cell.seed] = cell
    rows = []
    for name, found in by_arm.items():
        for measure, unit in (("win_rate", "of held-out sample pairs"), ("readable", "of responses")):
            values = [getattr(cell, measure) for cell in found.values()]
            label = f"{name}: {measure.replace('_', ' ')}, {len(values)} seeds"
            rows.append(plain(label, mean(values)[0], unit, *mean(values)[1:]))
        spent = [cell.cpu_seconds for cell in found.values()]
        rows.append(plain(f"{name}: training", mean(spent)[0], "CPU seconds"))

    def wins_of(name: str, seeds: Iterable[int]) -> list[float]:
        return [by_arm[name][seed].win_rate for seed in seeds]

    for ours, theirs in (
        ("kwise", "pairs"),
        ("kwise", "trl"),
        ("kwise", "trl-plain"),
        ("kwise", "plackett-luce"),
        ("dpo", "trl"),
    ):
        if ours in by_arm and theirs in by_arm:
            seeds = sorted(by_arm[ours].keys() & by_arm[theirs].keys())
            if seeds:
                rows.append(lead(ours, theirs, wins_of(ours, seeds), wins_of(theirs, seeds)))
    losses = {
        name: {seed: by_arm[name][seed].win_rate - cell.win_rate for seed, cell in found.items()}
        for flipped, found in by_arm.items()
        if flipped.endswith(", flipped")
        and (name := flipped.removesuffix(", flipped")) in by_arm
        and found.keys() <= by_arm[name].keys()
    }
    for name in losses:
        if name != "dpo" and "dpo" in losses:
            seeds = sorted(losses[name].keys() & losses["dpo"].keys())
            mine, plain_dpo = ([losses[one][seed] for seed in seeds] for one in (name, "dpo"))
            rows.append(loss(name, mine, plain_dpo))
    return rows


def lead(ours: str, theirs: str, mine: Sequence[float], others: Sequence[float]) -> Row:
    ahead, low, high = mean([a - b for a, b in zip(mine, others, strict=True)])
    goal = 0.0 if (ours, theirs) in (("kwise", "pairs"), ("kwise", "trl"), ("kwise", "trl-plain")) else None
    return Row(
        f"{ours} ahead of {theirs}, {len(mine)} seeds",
        ahead,
        "of win rate",
        theirs,
        mean(others)[0],
        mean(mine)[0] / mean(others)[0],
        goal,
        None if goal is None else ahead >= goal,
        low,
        high,
    )


def loss(name: str, mine: Sequence[float], others: Sequence[float]) -> Row:
    """What 20 % of flipped votes cost this arm beside what they cost plain DPO; the interval is of the
    difference.
    """
    saved, low, high = mean([b - a for a, b in zip(mine, others, strict=True)])
    return Row(
        f"{name}: lost by {FLIPPED:.0%} flipped votes less than dpo, {len(mine)} seeds",
        saved,
        f"of win rate ({name} loses {mean(mine)[0]:.3f})",
        "dpo",
        mean(others)[0],
        None,
        0.0,
        saved > 0,
        low,
        high,
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, 60 rankings in one stage, six arms")
    parser.add_argument("--seeds", type=int, help="how many seeds (5)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (0)")
    parser.add_argument("--rankings", type=int, default=300, help="votes of each arm")
    parser.add_argument("--stages", type=int, default=4, help="training runs among which the votes go")
    parser.add_argument("--only", nargs="+", choices=[arm.name for arm in ARMS], help="these arms")
    parser.add_argument("--cells", type=Path, metavar="PATH", help="JSON lines; kept, and read at the start")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the rows there")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    study = Study(60, 1, 4) if given.quick else Study(given.rankings, given.stages)
    wanted = given.only or (QUICK if given.quick else [arm.name for arm in ARMS])
    arms = [arm for arm in ARMS if arm.name in wanted]
    seeds = given.seeds or (1 if given.quick else 5)
    cells = played(study, arms, range(given.first, given.first + seeds), given.cells)
    rows = told(cells)
    show(rows)
    if given.json:
        results.write(given.json, "loop_comparisons", [asdict(row) for row in rows])
    return 0


if __name__ == "__main__":
    sys.exit(main())
