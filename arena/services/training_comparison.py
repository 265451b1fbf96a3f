"""Training runs beside each other: what was set differently, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arena.errors import BadInput
from arena.models import TrainingRun
from arena.services.analyses import Comparison, compare
from arena.services.leaderboards import current_leaderboard
from arena.services.objectives import REWARD_MODELS
from arena.services.training import all_settings
from arena.services.training_reading import ENDLESS, LIMITS, interval_of

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
OF_TEXTS = {"ranking_accuracy", "idealised_accuracy", "winner_log_ratio"}  # a reward model writes none
VERDICT = ("rating", "rank", "votes")
FRESH = ("sequence_kl", "win_rate", "length", "ended", "distinct", "repetition")


@dataclass(frozen=True)
class Line:
    """One setting or figure of all runs, None where a run has none.

    part: "settings", "after", "fresh" or "arena". intervals: of 95 %, lower and upper, where they are known.
    """

    part: str
    name: str
    values: tuple[Any, ...]
    intervals: tuple[tuple[float, float] | None, ...] = ()


def differences(runs: Sequence[TrainingRun]) -> list[Line]:
    """The settings that are not the same in all of the runs, what was left to its default too."""
    told = [
        {
            "base": run.base.name,
            "data_set": run.data_set.number,
            "objective": run.objective,
            **all_settings(run),
        }
        for run in runs
    ]
    names = dict.fromkeys(name for one in told for name in one)
    lines = [Line("settings", name, tuple(one.get(name) for one in told)) for name in names]
    return [line for line in lines if any(value != line.values[0] for value in line.values)]


def results(runs: Sequence[TrainingRun]) -> list[Line]:
    """What was seen at the end of the runs, where at least one of them says it."""
    lines = [
        Line(part, name, *_told(runs, part, name))
        for part, names in (("after", FIGURES), ("fresh", FRESH))
        for name in names
    ]
    judged = [verdict(run).get("result") or {} for run in runs]
    lines += [Line("arena", name, tuple(row.get(name) for row in judged)) for name in VERDICT]
    return [line for line in lines if any(value is not None for value in line.values)]


def _told(
    runs: Sequence[TrainingRun], part: str, name: str
) -> tuple[tuple[Any, ...], tuple[tuple[float, float] | None, ...]]:
    """The figure of each run and its interval; what a reward model has none of is left out."""
    parts = [
        {} if run.objective.startswith(REWARD_MODELS) and name in OF_TEXTS else run.summary.get(part) or {}
        for run in runs
    ]
    found = [interval_of(one, name, *LIMITS.get(name, ENDLESS)) for one in parts]
    values = tuple(one.get(name) for one in parts)
    return values, tuple((one.lower, one.upper) if one else None for one in found)


def verdict(run: TrainingRun) -> dict[str, dict[str, Any]]:
    """The rows of the leaderboard for the run's "result" and its "base", where people have voted on them."""
    if run.result_id is None:
        return {}
    rows = {row["contestant"]: row for row in current_leaderboard(run.arena).rows if not row["new"]}
    found = {"result": rows.get(run.result_id), "base": rows.get(run.base_id)}
    return {name: row for name, row in found.items() if row is not None}


def against_base(run: TrainingRun) -> Comparison | None:
    """How sure the votes are of the order of the result and its base; None before both have a rating."""
    if run.result_id is None or len(verdict(run)) < 2:
        return None
    board = current_leaderboard(run.arena)
    try:
        return compare(board, {}, run.result_id, run.base_id)
    except BadInput:  # shown, but without a rating of its own yet
        return None
