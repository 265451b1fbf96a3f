"""Training runs beside each other: what was set differently, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arena.models import TrainingRun
from arena.services.leaderboards import current_leaderboard

MOST_COMPARED = 4
# Of a run's summary, in the order told.
FIGURES = (
    "accuracy",
    "kendall_tau",
    "ranking_accuracy",
    "idealised_accuracy",
    "loss",
    "winner_log_ratio",
)
VERDICT = ("rating", "rank", "votes")
FRESH = ("sequence_kl", "win_rate", "length", "ended", "distinct", "repetition")


@dataclass(frozen=True)
class Line:
    """One setting or figure of all runs, None where a run has none.

    part: "settings", "after", "fresh" or "arena".
    """

    part: str
    name: str
    values: tuple[Any, ...]


def differences(runs: Sequence[TrainingRun]) -> list[Line]:
    """The settings that are not the same in all of the runs."""
    told = [
        {
            "base": run.base.name,
            "data_set": run.data_set.number,
            "objective": run.objective,
            **run.parameters,
        }
        for run in runs
    ]
    names = dict.fromkeys(name for one in told for name in one)
    lines = [Line("settings", name, tuple(one.get(name) for one in told)) for name in names]
    return [line for line in lines if any(value != line.values[0] for value in line.values)]


def results(runs: Sequence[TrainingRun]) -> list[Line]:
    """What was seen at the end of the runs, where at least one of them says it."""
    lines = [
        Line(part, name, tuple((run.summary.get(part) or {}).get(name) for run in runs))
        for part, names in (("after", FIGURES), ("fresh", FRESH))
        for name in names
    ]
    judged = [verdict(run).get("result") or {} for run in runs]
    lines += [Line("arena", name, tuple(row.get(name) for row in judged)) for name in VERDICT]
    return [line for line in lines if any(value is not None for value in line.values)]


def verdict(run: TrainingRun) -> dict[str, dict[str, Any]]:
    """The rows of the leaderboard for the run's "result" and its "base", where people have voted on them."""
    if run.result_id is None:
        return {}
    rows = {row["contestant"]: row for row in current_leaderboard(run.arena).rows if not row["new"]}
    found = {"result": rows.get(run.result_id), "base": rows.get(run.base_id)}
    return {name: row for name, row in found.items() if row is not None}
