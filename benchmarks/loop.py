"""The whole loop, measured: voters of one hidden taste, and how often the tuned contestant then wins.

    python benchmarks/loop.py                 300 rankings of 4 in four stages, three rounds
    python benchmarks/loop.py --quick         one round
    python benchmarks/loop.py --json out.json the rows as JSON
    python benchmarks/loop.py --pool demo     votes on the demo's contestants, not the parent's samplings
    python benchmarks/loop.py --stages 1      all rankings on the parent's samplings, one training run

In a data folder and database of its own, thrown away at the end, and through the product's own services:
the demo is seeded and its models built (or found in the cache), responses are generated, battles drawn and
votes cast by voters who see what a browser sees; a data set is exported, a training run done by its job,
and its result competes. By default the voters compare four samplings of one checkpoint, as a team does that
tunes a model: the votes then say what that model should do more of. The rankings come in four stages
(online mode): a quarter of them on the parent's samplings, then, after a training run, a quarter on those
of its result, and so on. Each stage is a training run from one contestant to the next, and no ranking is
used twice. Then parent and result answer every held-out prompt several times, and the taste, without error,
says who wins: all pairs of samples, the mean over prompts, with a 95 % bootstrap interval over prompts.
Before: the parent against other samples of itself.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import results

if TYPE_CHECKING:
    from arena.demo_corpus import Taste
    from arena.models import Arena, Contestant, TrainingRun

GOAL = 0.85
MOST_LESS_READABLE = 0.05
RANKINGS_PER_VOTER = 25
SAMPLINGS = 4
# What the product suggests for the demo's decoder and so few rankings (arena/services/training_plans.py).
OBJECTIVE = "adpo-list"
PARAMETERS = {
    "epochs": 4,
    "beta": 0.3,
    "learning_rate": 4e-4,
    "batch_size": 4,
    "sft_weight": 0.5,
}
BOOTSTRAPS = 2000


@dataclass(frozen=True)
class Row:
    measure: str
    ours: float
    unit: str
    peer: str
    theirs: float | None
    ratio: float | None
    goal: float | None
    met: bool | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Study:
    """What is simulated: how many rankings, who is trained, and how many samples judge it."""

    rankings: int
    base: str
    pool: str  # "own" samplings of the base, or the "demo" contestants
    samples: int
    noise: float
    parameters: dict[str, Any]
    objective: str = OBJECTIVE
    stages: int = 4
    flipped: float = 0.0  # share of the votes whose order is turned round
    k: int = 4


def set_up(folder: Path) -> None:
    """Django on a fresh database below `folder`, with whatever else it writes."""
    os.environ["ARENA_DATA_DIR"] = str(folder)
    os.environ["DATABASE_URL"] = f"sqlite:///{folder / 'db.sqlite3'}"
    for name in ("ARENA_MEDIA_DIR", "ARENA_MODELS_DIR", "ARENA_DATA_SETS_DIR", "ARENA_RUNS_DIR", "REDIS_URL"):
        os.environ.pop(name, None)
    os.environ.setdefault("ARENA_LOG_LEVEL", "WARNING")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["DJANGO_SETTINGS_MODULE"] = "arena.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def work(kind: str) -> None:
    """Do all queued jobs of a kind in this process, as its worker would. A job that fails ends the
    benchmark.
    """
    from arena.models import Job
    from arena.tasks import export_data_set
    from gpu_workers import tasks

    doers = {
        "demo_models": tasks.build_demo_models,
        "generate": tasks.generate,
        "export": export_data_set,
        "train": tasks.train,
    }
    for job in Job.objects.filter(kind=kind, state=Job.State.QUEUED).order_by("id"):
        doers[kind](job.pk)
        job.refresh_from_db()
        if job.state != Job.State.DONE:
            raise SystemExit(f"The job {job.title} ended as {job.state}. {job.error}")


def vote(arena: Arena, study: Study, taste: Taste, rng: random.Random, rankings: int) -> None:
    """Cast so many rankings. A voter knows the prompt and the texts that the page shows, nothing else."""
    from arena.demo_corpus import prompts
    from arena.models import Voter
    from arena.services.ballots import Ballot
    from arena.services.battles import blind_view, start_battle
    from arena.services.votes import cast_vote

    by_text = {prompt.text: prompt for prompt in prompts()}
    voter = Voter.objects.create(kind=Voter.Kind.SIMULATED)
    for number in range(rankings):
        if number % RANKINGS_PER_VOTER == 0:
            voter = Voter.objects.create(kind=Voter.Kind.SIMULATED)
        battle = start_battle(arena=arena, voter=voter)
        seen = blind_view(battle)
        prompt = by_text[seen["prompt"]["messages"][-1]["content"]]
        ranks = taste.ranks(prompt, [slot["text"] for slot in seen["slots"]], rng)
        if rng.random() < study.flipped:
            ranks = [1 + sum(other > rank for other in ranks) for rank in ranks]
        cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"ranks": ranks}, battle.k))


def tune(arena: Arena, base: Contestant, study: Study, seed: int, name: str) -> TrainingRun:
    from arena.services.data_sets import request_data_set
    from arena.services.training import request_training

    data_set = request_data_set(arena=arena)
    work("export")
    data_set.refresh_from_db()
    run = request_training(
        base=base,
        data_set=data_set,
        name=name,
        objective=study.objective,
        parameters={**study.parameters, "seed": seed},
    )
    work("train")
    run.refresh_from_db()
    return run


def answers(contestant: Contestant, samples: int) -> dict[str, list[str]]:
    """The texts that the contestant gave to every held-out prompt, by the prompt's text."""
    from arena.models import Response
    from arena.services.responses import plan_generation

    work("generate")
    held_out = contestant.arena.prompts.filter(split="held_out")
    plan_generation(arena=contestant.arena, contestants=[contestant], samples=samples, prompts=held_out)
    work("generate")
    found: dict[str, list[str]] = {}
    rows = Response.objects.filter(contestant=contestant, prompt__in=held_out, sample__lt=samples)
    for row in rows.select_related("prompt").order_by("prompt_id", "sample"):
        found.setdefault(row.prompt.text, []).append(row.text)
    return found


def wins(taste: Taste, ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> np.ndarray:
    """Share of sample pairs that ours wins, ties half, for each prompt: (prompts,)."""
    from arena.demo_corpus import prompts

    shares = [
        np.mean(
            [taste.win(prompt, text, other) for text in ours[prompt.text] for other in theirs[prompt.text]]
        )
        for prompt in prompts()
        if prompt.text in ours
    ]
    return np.array(shares)


def interval(shares: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over prompts."""
    rng = np.random.default_rng(seed)
    means = shares[rng.integers(0, len(shares), (BOOTSTRAPS, len(shares)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def readable(texts: dict[str, list[str]]) -> float:
    from arena.demo_corpus import is_readable

    return float(np.mean([is_readable(text) for several in texts.values() for text in several]))


def prepare(study: Study) -> Arena:
    """The demo arena with its models built and all responses made, and the wanted contestants in it."""
    from arena.services.demo import seed_demo

    arena = seed_demo().arena
    work("demo_models")
    work("generate")
    if study.k != arena.k:
        arena.k = study.k
        arena.save(update_fields=["k"])
    return arena


def offer(arena: Arena, study: Study, current: Contestant, seed: int) -> None:
    """Have the voters compare samplings of `current` alone; every one of them is a contestant."""
    from arena.services.contestants import create_contestant, retire_contestant
    from arena.services.responses import plan_generation

    if study.pool != "own":
        return
    for other in arena.contestants.active():
        retire_contestant(contestant=other)
    prompts = arena.prompts.drawable().filter(split="train")  # nobody votes on what the verdict asks
    pool = [
        create_contestant(
            arena=arena,
            name=f"{current.name}, sampling {number} for round {seed + 1}",
            backend=current.backend,
            checkpoint=current.checkpoint,
            # Other samplings in every round: the draws of one would favour it in all.
            parameters={**current.parameters, "temperature": 1.0, "seed": 100 * seed + number},
        )
        for number in range(1, SAMPLINGS + 1)
    ]
    plan_generation(arena=arena, contestants=pool, prompts=prompts)
    work("generate")


def simulate(arena: Arena, study: Study, seed: int) -> list[Row]:
    """One round: new voters, a training run for each stage of their votes, the verdict on the last result."""
    from arena.demo_corpus import Taste
    from arena.models import Vote
    from arena.services.contestants import bring_back_contestant, retire_contestant
    from arena.services.votes import rule_on_vote

    taste, rng = Taste(noise=study.noise), random.Random(seed)
    base = current = arena.contestants.get(name=study.base)
    divergence = 0.0
    for stage in range(study.stages):
        for cast in Vote.objects.filter(arena=arena).counted():
            rule_on_vote(vote=cast, action="quarantined", reason="of an earlier stage", by=None)
        offer(arena, study, current, seed)
        began = time.monotonic()
        rankings = study.rankings // study.stages
        vote(arena, study, taste, rng, rankings)
        print(f"  {rankings} rankings cast in {time.monotonic() - began:.1f} s", flush=True)
        run = tune(arena, current, study, seed, f"{base.name}, round {seed + 1}, stage {stage + 1}")
        current = run.result
        divergence += (run.summary.get("fresh") or {}).get("sequence_kl", float("nan"))
    base.refresh_from_db()
    if base.retired_at is not None:
        bring_back_contestant(contestant=base)
    own, after = answers(base, 2 * study.samples), answers(current, study.samples)
    retire_contestant(contestant=current)
    before = {prompt: texts[: study.samples] for prompt, texts in own.items()}
    again = {prompt: texts[study.samples :] for prompt, texts in own.items()}
    rows = verdict(f"round {seed + 1}", taste, before, again, after)
    rows.append(plain(f"round {seed + 1}: sequence KL, sum of the stages", divergence, "nats"))
    return rows


def over_rounds(rows: Sequence[Row]) -> list[Row]:
    """The mean over the rounds, with a t interval over them."""
    found = []
    for name, goal in (("win rate after", GOAL), ("readable after", None)):
        values = np.array([row.ours for row in rows if row.measure.endswith(name)])
        if len(values) > 1:
            half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
            mean = float(values.mean())
            found.append(
                Row(
                    f"mean of {len(values)} rounds: {name}",
                    mean,
                    "of held-out sample pairs" if goal else "of responses",
                    "",
                    None,
                    None,
                    goal,
                    None if goal is None else mean >= goal,
                    mean - half,
                    mean + half,
                )
            )
    return found


def verdict(
    label: str,
    taste: Taste,
    before: dict[str, list[str]],
    again: dict[str, list[str]],
    after: dict[str, list[str]],
) -> list[Row]:
    """How often the tuned contestant's answers win against `before`, and how often the parent's own do."""
    own, won = wins(taste, again, before), wins(taste, after, before)
    low, high = interval(won)
    rate = float(won.mean())
    return [
        plain(f"{label}: win rate before", float(own.mean()), "of held-out sample pairs", *interval(own)),
        Row(
            f"{label}: win rate after",
            rate,
            "of held-out sample pairs",
            "its parent",
            float(own.mean()),
            rate / float(own.mean()),
            GOAL,
            rate >= GOAL,
            low,
            high,
        ),
        plain(f"{label}: readable before", readable(before), "of responses"),
        Row(
            f"{label}: readable after",
            readable(after),
            "of responses",
            "its parent",
            readable(before),
            readable(after) / readable(before),
            readable(before) - MOST_LESS_READABLE,
            readable(after) >= readable(before) - MOST_LESS_READABLE,
        ),
    ]


def plain(measure: str, value: float, unit: str, low: float | None = None, high: float | None = None) -> Row:
    return Row(measure, value, unit, "", None, None, None, None, low, high)


def show(rows: Sequence[Row]) -> None:
    for row in rows:
        bounds = "" if row.low is None else f" [{row.low:.3f}, {row.high:.3f}]"
        goal = "" if row.goal is None else f" goal {row.goal:g} {'met' if row.met else 'not met'}"
        print(f"{row.measure}: {row.ours:.3f} {row.unit}{bounds}{goal}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round, fewer samples in the verdict")
    parser.add_argument("--rankings", type=int, default=300, help="how many rankings are cast in a round")
    parser.add_argument("--rounds", type=int, help="how many rounds are played")
    parser.add_argument("--base", default="Oak", help="the contestant that is trained")
    parser.add_argument("--pool", choices=["own", "demo"], default="own", help="who is voted on")
    parser.add_argument("--samples", type=int, help="responses per held-out prompt in the verdict")
    parser.add_argument("--noise", type=float, default=0.0, help="the voters' error, in points of the taste")
    parser.add_argument("--stages", type=int, default=4, help="training runs among which the rankings go")
    parser.add_argument("--flipped", type=float, default=0.0, help="share of the votes turned round")
    parser.add_argument("--k", type=int, default=4, help="responses per ranking")
    parser.add_argument("--objective", default=OBJECTIVE, help="of the training runs")
    parser.add_argument("--parameters", type=json.loads, default={}, help="of the training run, as JSON")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the rows there")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    study = Study(
        rankings=given.rankings,
        base=given.base,
        pool=given.pool,
        samples=given.samples or (4 if given.quick else 8),
        noise=given.noise,
        parameters={**PARAMETERS, **given.parameters},
        objective=given.objective,
        stages=given.stages,
        flipped=given.flipped,
        k=given.k,
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        set_up(Path(folder))
        from django.db import connection

        arena = prepare(study)
        for seed in range(given.rounds or (1 if given.quick else 3)):
            rows += simulate(arena, study, seed)
            show(rows[-5:])
        rows += over_rounds(rows)
        show(rows[-2:])
        connection.close()
    if given.json:
        results.write(given.json, "loop", [asdict(row) for row in rows])
    return 0


if __name__ == "__main__":
    sys.exit(main())
