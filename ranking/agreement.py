"""Do people agree? Percent, Krippendorff's alpha, Cohen's and Fleiss' kappa, Gwet's AC1, Kendall's W.

All are computed on contestants, never on slots: two voters who saw the same responses in another order
agree when they prefer the same one. Each comes with a bootstrap interval over items, or with the reason
why it is undefined.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ranking.blocks import Ids, OrderBlock, PairBlock
from ranking.errors import BadVotes
from ranking.outcomes import FIRST, SECOND
from ranking.votes import Votes

Floats = NDArray[np.float64]
LEVELS = ("nominal", "ordinal", "interval")


@dataclass(frozen=True)
class Measure:
    """A coefficient with its interval, or None and the reason in one sentence."""

    value: float | None
    lower: float | None = None
    upper: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Agreement:
    """Agreement on `items` items that two or more people judged, over `judgements` judgements."""

    items: int
    judgements: int
    percent: Measure
    alpha: Measure
    fleiss: Measure
    ac1: Measure


def agreement(
    units: Iterable[Mapping[Hashable, float]],
    *,
    level: str = "nominal",
    rounds: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Agreement:
    """Agreement over items, each a mapping of rater to value. Values are numbers; for "nominal" mere labels.

    Items with fewer than two judgements tell nothing and are left out. The interval resamples items.
    """
    if level not in LEVELS:
        raise BadVotes(f"There is no level {level!r}; it can be {', '.join(LEVELS)}.")
    kept = [list(unit.values()) for unit in units if len(unit) >= 2]
    values, codes = np.unique([value for unit in kept for value in unit], return_inverse=True)
    table = np.zeros((len(kept), len(values)))  # (items, values) how often each was given
    rows = np.repeat(np.arange(len(kept)), [len(unit) for unit in kept])
    np.add.at(table, (rows, codes), 1.0)
    measures = {
        "percent": lambda t: _percent(t),
        "alpha": lambda t: _alpha(t, values, level),
        "fleiss": _fleiss,
        "ac1": _ac1,
    }
    draws = (
        np.random.default_rng(seed).multinomial(len(kept), np.full(len(kept), 1 / len(kept)), rounds)
        if kept
        else None
    )
    found = {name: _measured(table, draws, measure, confidence) for name, measure in measures.items()}
    return Agreement(len(kept), int(table.sum()), **found)


def _measured(
    table: Floats,
    draws: NDArray[np.int64] | None,
    measure: Callable[[Floats], float | str],
    confidence: float,
) -> Measure:
    """`measure` of the table, and its percentile interval over resampled items."""
    if draws is None:
        return Measure(None, reason="No item was judged by two people.")
    value = measure(table)
    if isinstance(value, str):
        return Measure(None, reason=value)
    resampled = [measure(np.repeat(table, times, axis=0)) for times in draws]
    numbers = [number for number in resampled if not isinstance(number, str)]
    if len(table) < 2 or len(numbers) < len(resampled) // 2:
        return Measure(value, reason="There are too few items for an interval.")
    tail = 0.5 - 0.5 * confidence
    lower, upper = np.quantile(numbers, [tail, 1.0 - tail])
    return Measure(value, float(lower), float(upper))


def _percent(table: Floats) -> float:
    """The share of pairs of judgements of the same item that are equal, items weighing the same."""
    raters = table.sum(axis=1)
    return float(((table**2).sum(axis=1) - raters).sum() / (raters * (raters - 1)).sum())


def _alpha(table: Floats, values: Floats, level: str) -> float | str:
    """Krippendorff (2004), 1 - observed over expected disagreement, any number of raters per item."""
    raters = table.sum(axis=1)
    coincidence = (table / (raters - 1)[:, np.newaxis]).T @ table
    coincidence -= np.diag((table / (raters - 1)[:, np.newaxis]).sum(axis=0))
    marginal = coincidence.sum(axis=1)
    distance = _distance(values, marginal, level)
    total = marginal.sum()
    expected = float((np.outer(marginal, marginal) * distance).sum() / (total - 1.0))
    if expected == 0.0:
        return "Everybody gave the same answer everywhere, so chance agreement is not defined."
    return 1.0 - float((coincidence * distance).sum()) / expected


def _distance(values: Floats, marginal: Floats, level: str) -> Floats:
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if level == "interval":
        return np.asarray((values[:, np.newaxis] - values) ** 2)
    # Ordinal: how many judgements lie between two values, half of those at the ends.
    middle = np.cumsum(marginal) - 0.5 * marginal
    return np.asarray((middle[:, np.newaxis] - middle) ** 2)


def _fleiss(table: Floats) -> float | str:
    """Fleiss (1971) kappa, which needs equally many judgements of every item."""
    raters = table.sum(axis=1)
    if raters.min() != raters.max():
        return "The items have different numbers of judgements; Krippendorff's alpha allows that."
    shares = table.sum(axis=0) / table.sum()
    chance = float((shares**2).sum())
    if chance >= 1.0:
        return "Everybody gave the same answer everywhere, so chance agreement is not defined."
    return (_percent(table) - chance) / (1.0 - chance)


def _ac1(table: Floats) -> float | str:
    """Gwet (2008) AC1, which does not collapse when one answer dominates."""
    answers = table.shape[1]
    if answers < 2:
        return "Only one answer was ever given."
    shares = (table / table.sum(axis=1, keepdims=True)).mean(axis=0)
    chance = float((shares * (1.0 - shares)).sum() / (answers - 1))
    raters = table.sum(axis=1)
    percent = float((((table**2).sum(axis=1) - raters) / (raters * (raters - 1))).mean())
    return (percent - chance) / (1.0 - chance)


def cohen_kappa(first: Sequence[float], second: Sequence[float]) -> Measure:
    """Cohen's (1960) kappa of two raters of the same items, with its large-sample 95 % interval."""
    if len(first) != len(second) or not len(first):
        return Measure(None, reason="Two raters must have judged the same items.")
    values, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    table = np.zeros((len(values), len(values)))
    np.add.at(table, (codes[: len(first)], codes[len(first) :]), 1.0 / len(first))
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    observed, chance = float(np.trace(table)), float(rows @ columns)
    if chance >= 1.0:
        return Measure(None, reason="Both raters gave the same single answer throughout.")
    kappa = (observed - chance) / (1.0 - chance)
    diagonal = np.diag(table) @ (1.0 - (rows + columns) * (1.0 - kappa)) ** 2
    off = table * (columns[:, np.newaxis] + rows[np.newaxis]) ** 2
    spread = diagonal + (1.0 - kappa) ** 2 * (off.sum() - np.trace(off))
    spread -= (kappa - chance * (1.0 - kappa)) ** 2
    reach = 1.959964 * float(np.sqrt(max(spread, 0.0) / len(first))) / (1.0 - chance)
    return Measure(kappa, kappa - reach, kappa + reach)


def kendall_w(ranks: Sequence[Sequence[float]]) -> Measure:
    """Kendall's W of m raters who each ranked the same n items: 1 is the same order, 0 is none in common.

    Ties are corrected for (Kendall and Gibbons 1990, ch. 6); rows of `ranks` are raters.
    """
    table = np.asarray(ranks, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 2:
        return Measure(None, reason="It takes two raters who ranked the same two items or more.")
    m, n = table.shape
    middle = np.stack([_mid_ranks(row) for row in table])
    spread = ((middle.sum(axis=0) - m * (n + 1) / 2) ** 2).sum()
    ties = sum(
        (np.unique(row, return_counts=True)[1] ** 3 - np.unique(row, return_counts=True)[1]).sum()
        for row in table
    )
    most = (m**2 * (n**3 - n) - m * ties) / 12.0
    if most <= 0.0:
        return Measure(None, reason="Every rater tied all items.")
    return Measure(float(spread / most))


def _mid_ranks(row: Floats) -> Floats:
    _, codes, counts = np.unique(row, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - 0.5 * (counts - 1))[codes])


def agreement_of_votes(votes: Votes, *, rounds: int = 200, seed: int = 0) -> Agreement:
    """Agreement of voters on who is better: every pair of contestants of a prompt is an item.

    The answer is 1 where the contestant with the lower position among the models is better, -1 where the
    other is, 0 for a tie; pairs among the unranked say nothing. Where a voter judged an item twice the
    last judgement counts. Needs voters and prompts.
    """
    if votes.voters is None or votes.prompts is None:
        raise BadVotes("Agreement needs the voter and the prompt of every vote.")
    units: dict[tuple[int, int, int], dict[Hashable, float]] = {}
    for row, i, j, answer in _answers(votes):
        voter, prompt = int(votes.voters[row]), int(votes.prompts[row])
        key = (prompt, i, j) if i < j else (prompt, j, i)
        units.setdefault(key, {})[voter] = answer if i < j else -answer
    return agreement(units.values(), rounds=rounds, seed=seed)


def _answers(votes: Votes) -> Iterable[tuple[int, int, int, float]]:
    """(row, i, j, answer) of every pair that a vote orders or ties."""
    for block in votes.blocks:
        rows = np.arange(len(block)) if block.rows is None else block.rows
        if isinstance(block, PairBlock):
            answer = np.where(block.outcome == FIRST, 1.0, np.where(block.outcome == SECOND, -1.0, 0.0))
            columns = (rows, block.first, block.second, answer)
            yield from zip(*(column.tolist() for column in columns), strict=True)
        else:
            yield from _answers_of_rankings(block, rows)


def _answers_of_rankings(block: OrderBlock, rows: Ids) -> Iterable[tuple[int, int, int, float]]:
    levels, unranked = block.levels(), len(block.sizes)
    for c, d in combinations(range(block.width), 2):
        if levels[c] == levels[d] == unranked:
            continue
        answer = 0.0 if levels[c] == levels[d] else 1.0
        for row, i, j in zip(rows.tolist(), block.items[c].tolist(), block.items[d].tolist(), strict=True):
            yield row, i, j, answer
