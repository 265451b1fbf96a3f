"""K-wise training beside TRL's DPOTrainer 1.16.0 in one run: same model, data, number type, optimiser.

    python benchmarks/training.py                 K = 2, 4 and 8 at three shapes, a 17M-parameter decoder
    python benchmarks/training.py --quick         one shape, a small decoder, under a minute
    python benchmarks/training.py --device cuda   on a GPU, with the share of its peak that is used
    python benchmarks/training.py --json out.json the rows as JSON

A ranking of K is K responses here; TRL gets its K (K - 1) / 2 pairs, with reference log-probabilities
precomputed (not timed on either side). Timed are forward, backward and the optimiser's step, in CPU seconds
of one thread (wall seconds on a GPU), medians, the two sides in turn, both with the fused AdamW that TRL's
Trainer takes by default. TRL's own Trainer loop is not timed, which favours TRL. It gets all pairs of a
ranking at once, of K = 8 in four parts, so that they fit into memory. Peak memory, at K = 4, is that of a
process of its own for each side, its imports and its model included; "one response at a time" is our
gradient cache.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks import results
from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.models import Base, peak_memory
from gpu_workers.kwise.objectives import find_objective
from gpu_workers.kwise.policy import Policy
from gpu_workers.kwise.reference import ReferenceCache, fill
from gpu_workers.kwise.scoring import packed_log_probabilities

BETA = 0.1
END = 1


@dataclass(frozen=True)
class Size:
    hidden: int
    layers: int
    heads: int
    vocabulary: int


SIZES = {
    "small": Size(192, 4, 4, 2048),
    "17m": Size(384, 8, 6, 8192),
    "1b": Size(2048, 20, 16, 32_000),
}
SHAPES = [(64, 192), (128, 128), (192, 64)]
MOST_MEMORY = 0.4  # of TRL's
MOST_PAIRS = 7  # that TRL gets at once: all six of K = 4, a quarter of the 28 of K = 8
PEAK_FLOPS = 989e12  # dense bfloat16 of an H100 or H200, as its maker states it


@dataclass(frozen=True)
class Row:
    """One comparison. ratio: ours over theirs; goal and met: None where it is measured without a goal."""

    measure: str
    ours: float
    unit: str
    peer: str
    theirs: float | None
    ratio: float | None
    goal: float | None
    met: bool | None


def make_model(size: Size, device: str) -> LlamaForCausalLM:
    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.hidden * 8 // 3,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=END,
    )
    return LlamaForCausalLM(settings).to(device)


def make_tokenizer(size: Size) -> PreTrainedTokenizerFast:
    """Word "w7" is token 7: what is counted as 64 tokens is 64 tokens on both sides."""
    vocabulary = {"<pad>": 0, "<end>": END, **{f"w{n}": n for n in range(2, size.vocabulary)}}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit()])
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<end>")


def make_rankings(count: int, k: int, shape: tuple[int, int], vocabulary: int) -> list[EncodedRanking]:
    """Random tokens; lengths within a quarter of the shape; the first response is ranked first and so on."""
    rng = random.Random(7)

    def tokens(about: int) -> tuple[int, ...]:
        return tuple(rng.randrange(2, vocabulary) for _ in range(round(about * rng.uniform(0.75, 1.25))))

    return [
        EncodedRanking(
            f"v{n}",
            tokens(shape[0]),
            tuple((*tokens(shape[1]), END) for _ in range(k)),
            tuple(range(1, k + 1)),
        )
        for n in range(count)
    ]


def as_pairs(rankings: list[EncodedRanking]) -> Any:
    """Every pair of every ranking in TRL's format, as text."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()

    def text(tokens: tuple[int, ...]) -> str:
        return " ".join(f"w{token}" for token in tokens if token != END)

    return Dataset.from_list(
        [
            {
                "prompt": text(ranking.prompt) + " ",
                "chosen": text(ranking.responses[better]) + " ",
                "rejected": text(ranking.responses[worse]) + " ",
            }
            for ranking in rankings
            for better, worse in combinations(range(len(ranking.responses)), 2)
        ]
    )


def stir(model: Any) -> None:
    """Move the policy off its reference: at the start every loss is log 2, whatever the code does."""
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=noise).to(parameter)


class Theirs:
    """TRL's trainer on the expanded pairs."""

    def __init__(self, size: Size, rankings: list[EncodedRanking], device: str, folder: str) -> None:
        # Here, so that a process that measures our memory does not hold TRL.
        from trl import DPOConfig, DPOTrainer

        settings = DPOConfig(
            output_dir=folder,
            beta=BETA,
            loss_type=["sigmoid"],
            precompute_ref_log_probs=True,
            max_length=None,
            bf16=False,
            gradient_checkpointing=False,
            use_cpu=device == "cpu",
            report_to=[],
            disable_tqdm=True,
            per_device_train_batch_size=4,
        )
        self.trainer = DPOTrainer(
            model=make_model(size, device),
            args=settings,
            train_dataset=as_pairs(rankings),
            processing_class=make_tokenizer(size),
        )
        self.model = self.trainer.model
        self.per_ranking = len(self.trainer.train_dataset) // len(rankings)
        stir(self.model)
        self.model.train()
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-6, fused=True)

    def backward(self, number: int) -> float:
        """Adds the gradient of one ranking's pairs up, MOST_PAIRS at a time; its loss."""
        first, total = number * self.per_ranking, 0.0
        for at in range(first, first + self.per_ranking, MOST_PAIRS):
            last = min(at + MOST_PAIRS, first + self.per_ranking)
            rows = [self.trainer.train_dataset[i] for i in range(at, last)]
            batch = self.trainer._prepare_inputs(self.trainer.data_collator(rows))
            loss = self.trainer.compute_loss(self.model, batch) * len(rows) / self.per_ranking
            loss.backward()
            total += float(loss.detach())
        return total


class Ours:
    """The K-wise trainer on the whole rankings."""

    def __init__(
        self,
        size: Size,
        rankings: list[EncodedRanking],
        device: str,
        folder: str,
        *,
        by_response: bool = False,
    ) -> None:
        model = make_model(size, device)
        base = Base(model, None, "0" * 64, Path(folder), torch.device(device), torch.float32, torch.float32)
        cache = ReferenceCache(Path(folder), base_sha256=base.sha256, kind="float32")
        model.eval()
        fill(
            cache,
            model,
            rankings,
            packed_log_probabilities,
            precision=base.precision,
            stop=lambda: False,
            note=lambda done, total: None,
        )
        stir(model)
        config = TrainingConfig(
            data="",
            base="",
            output="",
            beta=BETA,
            sft_weight=0.0,
            learning_rate=1e-6,
            gradient_cache=by_response,
        )
        self.policy = Policy(base, config, find_objective("dpo", {}), cache, packed_log_probabilities)
        self.rankings, self.model, self.optimiser = rankings, model, self.policy.optimiser.inner

    def backward(self, number: int) -> float:
        ranking = self.rankings[number]
        losses, _, _ = self.policy.losses([ranking], len(ranking.responses))
        loss = losses.mean()
        loss.backward()
        return float(loss.detach())


def gradient(side: Ours | Theirs, number: int) -> tuple[float, torch.Tensor]:
    side.model.zero_grad()
    loss = side.backward(number)
    return loss, torch.cat([p.grad.flatten() for p in side.model.parameters()])


def step(side: Ours | Theirs, number: int) -> None:
    side.optimiser.zero_grad()
    side.backward(number)
    side.optimiser.step()


def seconds(work: Callable[[], None], device: str) -> float:
    if device == "cpu":
        began = time.process_time()
        work()
        return time.process_time() - began
    torch.cuda.synchronize()
    wall = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - wall


def compare(size: Size, k: int, shape: tuple[int, int], repeats: int, device: str) -> list[Row]:
    """Equality on the first ranking, then speed over `repeats` steps."""
    rankings = make_rankings(2, k, shape, size.vocabulary)
    name = f"K={k} {shape[0]}/{shape[1]} tokens"
    with tempfile.TemporaryDirectory() as folder:
        theirs = Theirs(size, rankings, device, folder)
        ours = Ours(size, rankings, device, folder)
        loss, gradients = gradient(ours, 0)
        their_loss, their_gradients = gradient(theirs, 0)
        distance = float((gradients - their_gradients).norm() / their_gradients.norm())
        rows = [
            equality(f"{name}: loss apart", abs(loss - their_loss), 1e-5 if k <= 4 else None),
            equality(f"{name}: gradient apart, relative", distance, 1e-4 if k <= 4 else None),
        ]
        spent: dict[str, list[float]] = {"ours": [], "theirs": []}
        for number in range(repeats + 1):
            for label, side in (("ours", ours), ("theirs", theirs)):
                spent[label].append(seconds(partial(step, side, number % 2), device))
    # The first of each fills caches.
    mine, peer = (1 / statistics.median(spent[label][1:]) for label in ("ours", "theirs"))
    goal = {2: 1.2, 4: 6.0 if shape[0] >= 3 * shape[1] else 4.0 if shape[0] == shape[1] else 3.0}.get(k, 7.0)
    unit = "rankings per CPU second" if device == "cpu" else "rankings per second"
    rows.append(Row(f"{name}: speed", mine, unit, "TRL 1.16.0", peer, mine / peer, goal, mine / peer >= goal))
    return rows


def peaks(k: int, shape: tuple[int, int], size: str) -> list[Row]:
    """The most memory that a process of each side holds over two steps of one ranking."""

    def peak(side: str) -> float:
        asked = [sys.executable, __file__, "--peak-of", side, "--k", str(k), "--shape", *map(str, shape)]
        done = subprocess.run(
            [*asked, "--size", size], capture_output=True, text=True, check=True, timeout=600
        )
        return float(done.stdout.split()[-1])

    ours, single, theirs = (peak(side) for side in ("ours", "by-response", "theirs"))
    name = f"K={k} {shape[0]}/{shape[1]} tokens"
    return [
        Row(
            f"{name}: peak memory",
            ours,
            "MB",
            "TRL 1.16.0",
            theirs,
            ours / theirs,
            MOST_MEMORY,
            ours <= MOST_MEMORY * theirs,
        ),
        Row(
            f"{name}: peak memory, one response at a time",
            single,
            "MB",
            "TRL 1.16.0",
            theirs,
            single / theirs,
            MOST_MEMORY,
            single <= MOST_MEMORY * theirs,
        ),
    ]


def tell_peak(side: str, k: int, shape: tuple[int, int], size: Size) -> None:
    """In a process of its own: take two steps, and print the most megabytes that it held."""
    rankings = make_rankings(1, k, shape, size.vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        made = (
            Theirs(size, rankings, "cpu", folder)
            if side == "theirs"
            else Ours(size, rankings, "cpu", folder, by_response=side == "by-response")
        )
        for _ in range(2):
            if isinstance(made, Ours):
                made.policy.step(rankings, 1e-6)
            else:
                step(made, 0)
    print(peak_memory(torch.device("cpu")) / 2**20)


def utilisation(size: Size, k: int, shape: tuple[int, int]) -> Row:
    """Model FLOPs utilisation on a GPU in bfloat16: 6 FLOPs per parameter and token of what must be computed,
    attention's left out, over the peak of the device.
    """
    rankings = make_rankings(8, k, shape, size.vocabulary)
    model = make_model(size, "cuda")
    base = Base(model, None, "0" * 64, Path(), torch.device("cuda"), torch.bfloat16, torch.bfloat16)
    with tempfile.TemporaryDirectory() as folder:
        cache = ReferenceCache(Path(folder), base_sha256=base.sha256, kind="bfloat16")
        fill(
            cache,
            model,
            rankings,
            packed_log_probabilities,
            precision=base.precision,
            stop=lambda: False,
            note=lambda done, total: None,
        )
        config = TrainingConfig(data="", base="", output="", learning_rate=1e-6, micro_batch_tokens=16384)
        policy = Policy(base, config, find_objective("plackett-luce", {}), cache, packed_log_probabilities)
        spent = [seconds(partial(policy.step, rankings, 1e-6), "cuda") for _ in range(6)]
    tokens = sum(ranking.packed_length for ranking in rankings)
    parameters = sum(p.numel() for p in model.parameters())
    share = 6 * parameters * tokens / statistics.median(spent[1:]) / PEAK_FLOPS
    return Row(
        f"K={k} {shape[0]}/{shape[1]} tokens, {parameters / 1e9:.2f} billion parameters: FLOPs utilisation",
        share,
        f"of {PEAK_FLOPS:.3g} FLOPs a second",
        "",
        None,
        None,
        0.4,
        share >= 0.4,
    )


def equality(measure: str, apart: float, goal: float | None) -> Row:
    return Row(measure, apart, "", "TRL 1.16.0", None, None, goal, None if goal is None else apart <= goal)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one shape, a small decoder")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the rows there")
    parser.add_argument("--k", type=int, nargs="+", help="responses per ranking, one table for each")
    parser.add_argument("--shape", type=int, nargs=2, metavar="N", help="tokens of prompt and response")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--size", choices=SIZES, help="of the decoder")
    parser.add_argument("--peak-of", choices=["ours", "by-response", "theirs"], help=argparse.SUPPRESS)
    return parser.parse_args()


def say(rows: list[Row]) -> list[Row]:
    for row in rows:
        theirs = "" if row.theirs is None else f" TRL {row.theirs:.4g} ratio {row.ratio:.2f}"
        verdict = "" if row.goal is None else f", goal {row.goal:g} {'met' if row.met else 'not met'}"
        print(f"{row.measure}: {row.ours:.3g} {row.unit}{theirs}{verdict}", flush=True)
    return rows


def main() -> int:
    given = arguments()
    torch.set_num_threads(1)
    # TRL and its libraries warn of their own next versions.
    warnings.filterwarnings("ignore", category=FutureWarning)
    size = given.size or ("small" if given.quick else "17m")
    shapes = [tuple(given.shape)] if given.shape else [(64, 64)] if given.quick else SHAPES
    if given.peak_of:
        tell_peak(given.peak_of, given.k[0], shapes[0], SIZES[size])
        return 0
    if given.device == "cuda" and not torch.cuda.is_available():
        print("There is no NVIDIA GPU here: the figures of a GPU are not measured.")
        return 0
    rows: list[Row] = []
    for k in given.k or ((2, 4) if given.quick else (2, 4, 8)):
        for shape in shapes:
            rows += say(compare(SIZES[size], k, shape, 3 if given.quick else 5, given.device))
            # A small decoder weighs nothing beside the libraries.
            if given.device == "cpu" and k == 4 and size != "small":
                rows += say(peaks(k, shape, size))
    if given.device == "cuda":
        rows += say([utilisation(SIZES["1b"], 4, (512, 512))])
    if given.json:
        results.write(given.json, "training", [asdict(row) for row in rows], device=given.device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
