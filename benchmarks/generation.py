"""Generation beside plain transformers in one run: tokens a second, and what the worker adds.

    python benchmarks/generation.py                 a 17M-parameter decoder, 64 prompts x 4 samples
    python benchmarks/generation.py --quick         a small one, 16 x 4, under a minute on two free cores
    python benchmarks/generation.py --json out.json the rows as JSON, for benchmarks.tables

The same random decoder writes the same number of tokens for the same prompts on each side: one `generate`
call for each response (what people write themselves), `generate` on batches with left padding, and
with `num_return_sequences`; the better of the two batched ways is the peer. Beside them, transformers' own
continuous batching, which is made for GPUs. Timed in CPU seconds of
one thread (wall seconds on a GPU), medians, the sides in turn. The worker's overhead is a whole
generation job on SQLite, with a backend that answers at once. The endpoint answers each request after a
fixed time, as a server with room does; beside it, the same requests from bare httpx: threads that
share a client, and its asynchronous client, whichever is quicker (benchmarks/served.py). The same with
that decoder behind `transformers serve` (benchmarks/served_transformers.py): what it gives us, of what it
gives bare httpx.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    ContinuousBatchingConfig,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from benchmarks import results, served, served_transformers
from gpu_workers.backends import ContestantSpec, GenerationRequest, GenerationResult, open_backend
from gpu_workers.backends.decoding import left_padded

VOCABULARY = 8192


@dataclass(frozen=True)
class Size:
    hidden: int
    layers: int
    heads: int
    prompts: int
    samples: int
    new_tokens: int
    repeats: int


FULL = Size(384, 8, 6, prompts=64, samples=4, new_tokens=48, repeats=3)
QUICK = Size(192, 4, 4, prompts=16, samples=4, new_tokens=16, repeats=3)


@dataclass(frozen=True)
class Row:
    """One comparison. `ratio` is ours over theirs; for an overhead, ours alone counts."""

    measure: str
    ours: float
    unit: str
    peer: str
    theirs: float | None
    ratio: float | None
    goal: str
    met: bool


def save_model(size: Size, folder: Path) -> None:
    """A random decoder whose texts never end early: no token ends them."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=size.hidden,
        intermediate_size=size.hidden * 8 // 3,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(do_sample=True, pad_token_id=0)
    model.save_pretrained(folder)
    inner = Tokenizer(models.WordLevel({f"w{n}": n for n in range(VOCABULARY)}, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="w0")
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }} {% endfor %}"
    tokenizer.save_pretrained(folder)


def make_prompts(size: Size) -> list[str]:
    """Of 8 to 120 words: people's prompts differ in length."""
    rng = random.Random(3)
    return [
        " ".join(f"w{rng.randrange(1, VOCABULARY)}" for _ in range(rng.randint(8, 120)))
        for _ in range(size.prompts)
    ]


def clock() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


class Sides:
    """The same work done in four ways; each gives how many tokens it wrote."""

    def __init__(self, size: Size, folder: Path) -> None:
        self.size, self.folder = size, folder
        spec = ContestantSpec(
            "transformers",
            str(folder),
            parameters={"max_new_tokens": size.new_tokens, "temperature": 1.0, "top_p": 1.0, "top_k": 0},
        )
        self.backend = open_backend(spec)
        self.model: Any = self.backend.model  # type: ignore[attr-defined]
        self.tokenizer: Any = self.backend.tokenizer  # type: ignore[attr-defined]
        self.prompts = make_prompts(size)
        self.ids = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in self.prompts]
        self.sampling = {
            "do_sample": True,
            "temperature": 1.0,
            "top_p": 1.0,
            "top_k": 0,
            "max_new_tokens": size.new_tokens,
            "pad_token_id": 0,
        }

    def ours(self) -> int:
        requests = [
            GenerationRequest(f"{n}/{sample}", ({"role": "user", "content": text},), seed=1000 * n + sample)
            for n, text in enumerate(self.prompts)
            for sample in range(self.size.samples)
        ]
        results = list(self.backend.generate(requests))
        assert not any(result.error for result in results)
        return sum(result.tokens or 0 for result in results)

    def loop(self) -> int:
        written = 0
        for ids in self.ids:
            for _ in range(self.size.samples):
                written += self._generate([ids], 1)
        return written

    def batches(self) -> int:
        """Prompts of like length together, each as often as samples are wanted, 32 rows at a time."""
        rows = sorted((ids for ids in self.ids for _ in range(self.size.samples)), key=len)
        return sum(self._generate(rows[at : at + 32], 1) for at in range(0, len(rows), 32))

    def several(self) -> int:
        """Prompts of like length together, with num_return_sequences."""
        rows, at_once = sorted(self.ids, key=len), 32 // self.size.samples
        return sum(
            self._generate(rows[at : at + at_once], self.size.samples) for at in range(0, len(rows), at_once)
        )

    def continuous(self) -> float:
        """Tokens a second of transformers' continuous batching (`generate_batch`), at its second call."""
        # A model of its own: the call changes how the model attends.
        model: Any = AutoModelForCausalLM.from_pretrained(self.folder, dtype=self.model.dtype)
        config = GenerationConfig(**self.sampling, eos_token_id=-1)
        model = model.to(self.model.device)
        # On a CPU its own choice is a cache of most of the memory, made anew in each call: that took 14 of
        # 15 CPU seconds. This one has room for 32,768 tokens.
        room = None
        if not torch.cuda.is_available():
            room = ContinuousBatchingConfig(page_size=32, num_blocks=1024, max_batch_tokens=2048)
        rate = 0.0
        for prompts in (self.ids[:1], self.ids * self.size.samples):
            began = clock()
            out = model.generate_batch(
                inputs=prompts, generation_config=config, continuous_batching_config=room
            )
            rate = sum(len(one.generated_tokens) for one in out.values()) / (clock() - began)
        return rate

    def _generate(self, rows: Sequence[list[int]], each: int) -> int:
        ids, mask = left_padded(list(rows), 0)
        ids, mask = ids.to(self.model.device), mask.to(self.model.device)
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=ids, attention_mask=mask, num_return_sequences=each, **self.sampling
            )
        return int(out.shape[0] * (out.shape[1] - ids.shape[1]))


def speed(sides: Sides) -> Iterator[Row]:
    """Tokens a second of each side: medians, in turn, after one round to warm up."""
    ways: dict[str, Callable[[], int]] = {
        "ours": sides.ours,
        "loop": sides.loop,
        "batches": sides.batches,
        "several": sides.several,
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    sides.ours()
    for _ in range(sides.size.repeats):
        for name, way in ways.items():
            began = clock()
            tokens = way()
            found[name].append(tokens / (clock() - began))
    rates = {name: statistics.median(values) for name, values in found.items()}
    plain = max(rates["batches"], rates["several"])
    unit = "tokens/s" if torch.cuda.is_available() else "tokens/CPU s"
    yield row("generation", rates["ours"], unit, "one generate call each", rates["loop"], 4.0)
    yield row("generation", rates["ours"], unit, "the best plain batching", plain, 1.0)
    yield row("generation", rates["ours"], unit, "transformers' continuous batching", sides.continuous(), 1.0)


def row(measure: str, ours: float, unit: str, peer: str, theirs: float, goal: float) -> Row:
    ratio = ours / theirs
    return Row(measure, ours, unit, peer, theirs, ratio, f">= {goal:g} x", ratio >= goal)


def overhead(count: int) -> Row:
    """CPU milliseconds of a generation job per response, but for what the model takes."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from arena.models import Arena, Contestant, Prompt
    from arena.services import leases, responses
    from gpu_workers import generation_task

    arena = Arena.objects.create(slug="bench", name="Bench")
    Prompt.objects.bulk_create(
        Prompt(arena=arena, key=str(n), messages=[{"role": "user", "content": f"Question {n}?"}])
        for n in range(count)
    )
    contestant = Contestant.objects.create(
        arena=arena, name="Instant", backend="openai", endpoint="http://127.0.0.1:8009/v1", endpoint_model="m"
    )

    class Instant:
        def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationResult]:
            for request in requests:
                yield GenerationResult(request.key, text=f"An answer of {request.seed}. " * 12, tokens=60)

        def facts(self) -> dict[str, Any]:
            return {"backend": "instant", "revision": ""}

        def close(self) -> None:
            """Nothing is held."""

    generation_task.open_backend = lambda spec, hosts: Instant()  # type: ignore[assignment]
    (job,) = responses.plan_generation(arena=arena, contestants=[contestant])
    began = time.process_time()
    leases.work_on(job.pk, generation_task.make_responses)
    spent = 1000 * (time.process_time() - began) / count
    made = contestant.responses.count()
    assert made == count, f"{made} of {count} responses were made"
    return Row("the worker's overhead per response", spent, "CPU ms", "", None, None, "< 5 ms", spent < 5)


def compared(size: Size, folder: Path, *, quick: bool) -> Iterator[Row]:
    """Every row, as soon as it is measured."""
    save_model(size, folder)
    yield from speed(Sides(size, folder))
    yield overhead(100 if quick else 2000)
    repeats = 2 if quick else 3
    for at_once in (8,) if quick else (8, 64, 256):
        ours, peer, theirs = served.rates(at_once, rounds=3 if quick else 12, repeats=repeats)
        yield row(f"a served model, {at_once} at once", ours, "responses/s", peer, theirs, 0.95)
    if not served_transformers.available():
        print("transformers serve was not asked: its packages are missing (make bench installs them).")
        return
    for at_once in (8,) if quick else (8, 64):
        prompts = make_prompts(size) * (2 if quick else 4)
        ours, peer, theirs = served_transformers.rates(
            folder, prompts, at_once=at_once, new_tokens=size.new_tokens, repeats=repeats
        )
        measure = f"served by transformers serve, {at_once} at once, of its own throughput"
        yield row(measure, ours, "responses/s", peer, theirs, 0.95)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a small model and fewer requests, under a minute"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to this file")
    options = parser.parse_args()
    began = time.perf_counter()
    size = QUICK if options.quick else FULL
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as text:
        folder = Path(text)
        os.environ.update(ARENA_DATA_DIR=str(folder / "data"), DJANGO_SETTINGS_MODULE="arena.settings")
        os.environ.setdefault("ARENA_LOG_LEVEL", "WARNING")
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        import django

        django.setup()
        rows = []
        for one in compared(size, folder / "model", quick=options.quick):
            rows.append(one)
            against = (
                "" if one.theirs is None else f" against {one.theirs:,.1f} ({one.peer}): {one.ratio:.2f} x"
            )
            mark = "met" if one.met else "MISSED"
            spent = f"[{time.perf_counter() - began:.0f} s]"
            print(
                f"{spent} {one.measure}: {one.ours:,.2f} {one.unit}{against}; goal {one.goal}: {mark}",
                flush=True,
            )
    if options.json:
        results.write(options.json, "generation", [asdict(one) for one in rows])
    return 0 if all(one.met for one in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
