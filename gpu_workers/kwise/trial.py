"""A dry run: what a training run would take, on this machine."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gpu_workers.kwise import reference
from gpu_workers.kwise.models import peak_memory
from gpu_workers.kwise.scoring import PATHS

if TYPE_CHECKING:
    from gpu_workers.kwise.trainer import Run


def try_out(run: "Run") -> dict[str, Any]:
    """Two steps on the longest rankings, and what they say about the whole run."""
    hardest = sorted(run.rankings, key=lambda ranking: -ranking.packed_length)
    several = hardest[: run.config.batch_size]
    began = time.perf_counter()
    reference.fill(
        run.policy.reference,
        run.base.model,
        [] if run.policy.objective.head else several,
        PATHS[run.path],
        precision=run.base.precision,
        stop=run.stop,
        note=lambda done, total: None,
        tokens=run.config.micro_batch_tokens,
        with_weights=run.base.with_weights,
    )
    scored = time.perf_counter() - began
    spent = []
    for _ in range(2):
        began = time.perf_counter()
        run.policy.step(several, 0.0)
        spent.append(time.perf_counter() - began)
    tokens = sum(ranking.packed_length for ranking in several)
    every = sum(ranking.packed_length for ranking in run.rankings)
    summary = {
        "dry_run": True,
        "steps": run.steps,
        "rankings": len(run.rankings),
        "held_out_rankings": len(run.held_out),
        "data": asdict(run.data.report),
        "tokens_per_second": round(tokens / min(spent), 1),
        # The second step is a usual one; the first also warms up.
        "estimated_seconds": round((min(spent) * run.config.epochs + scored) * every / tokens, 3),
        "peak_memory_bytes": peak_memory(run.base.device),
        "scoring": run.path,
    }
    run.emit("done", step=0, steps=run.steps, model="", summary=summary)
    return summary
