"""Agreement over many votes: Krippendorff's alpha with an interval, each rater against the rest, shares.

The same coefficients as in ranking/agreement.py, but from columns, so that a hundred thousand votes take a
second, and with the prompt as the unit that is resampled: the pairs of one ranking are not independent.
An item is a pair of contestants on one prompt; the answer says which is better, or that they are tied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranking.agreement import Measure
from ranking.surplus import Groups, Ints, Ranks, vote_chunks

Floats = NDArray[np.float64]
NORMAL_95 = 1.959963984540054
ANSWERS = 3  # the first is better, tied, the second is better
FEW = 5


@dataclass(frozen=True)
class Share:
    """`hits` of `total`, with Wilson's interval; the share is None of nothing."""

    hits: int
    total: int
    value: float | None
    lower: float = 0.0
    upper: float = 1.0


@dataclass(frozen=True)
class PanelAgreement:
    """How far people who judged the same agree, over all and each against the rest."""

    items: int  # pairs of contestants on a prompt that two or more people judged
    judgements: int
    percent: float | None
    alpha: Measure
    raters: dict[int, Measure]  # alpha of each rater's judgements against the others' on the same items


def wilson(hits: int, total: int, z: float = NORMAL_95) -> Share:
    """A share and its score interval (Wilson 1927), which is right for few and for extreme ones too."""
    if total <= 0:
        return Share(0, 0, None)
    p = hits / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    reach = z / (1 + z * z / total) * float(np.sqrt(p * (1 - p) / total + z * z / (4 * total * total)))
    return Share(hits, total, p, max(0.0, centre - reach), min(1.0, centre + reach))


def panel_agreement(
    groups: Groups,
    ranks: Ranks,
    prompts: ArrayLike,
    voters: ArrayLike,
    *,
    rounds: int = 400,
    seed: int = 0,
) -> PanelAgreement:
    """Nominal alpha of the answers "which of the two is better, or neither", over prompts and voters.

    Groups hold contestants (or responses), never slots.  Where somebody judged a pair twice, the last
    judgement counts.
    """
    item, prompt, voter, answer = _judgements(groups, ranks, np.asarray(prompts), np.asarray(voters))
    item, prompt, voter, answer = _of_several(item, prompt, voter, answer)
    if not len(item):
        reason = "No pair of responses was judged by two people."
        return PanelAgreement(0, 0, None, Measure(None, reason=reason), {})
    codes, item = np.unique(item, return_inverse=True)
    counts = np.zeros((len(codes), ANSWERS))  # (items, answers)
    np.add.at(counts, (item, answer), 1.0)
    alpha, percent, expected = _alpha(counts, prompt, item, rounds, seed)
    raters = _against_the_rest(counts, item, prompt, voter, answer, expected)
    return PanelAgreement(len(codes), len(item), percent, alpha, raters)


def _judgements(groups: Groups, ranks: Ranks, prompts: Ints, voters: Ints) -> tuple[Ints, ...]:
    """(item, prompt, voter, answer) of every pair that a vote orders or ties, in the order of the votes."""
    n = 1 + max((max(group) for group in groups), default=0)
    columns: list[tuple[Ints, ...]] = []
    for rows, items, places in vote_chunks(groups, ranks):
        places = np.where(np.isnan(places), np.inf, places)
        for c in range(items.shape[1]):
            for d in range(c + 1, items.shape[1]):
                said = np.isfinite(places[:, c]) | np.isfinite(places[:, d])
                swap = items[:, c] > items[:, d]
                low, high = np.minimum(items[:, c], items[:, d]), np.maximum(items[:, c], items[:, d])
                # Two that are unranked (both infinite) give nan, and `said` leaves them out.
                side = np.where(places[:, c] == places[:, d], 0, np.where(places[:, c] < places[:, d], -1, 1))
                side = np.where(swap, -side, side)
                where = prompts[rows]
                key = (where.astype(np.int64) * n + low) * n + high
                columns.append((rows[said], key[said], where[said], voters[rows][said], side[said] + 1))
    if not columns:
        return (np.zeros(0, np.intp),) * 4
    row, *rest = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(row, kind="stable")
    return tuple(column[order] for column in rest)


def _of_several(item: Ints, prompt: Ints, voter: Ints, answer: Ints) -> tuple[Ints, ...]:
    """The last judgement of each person on each item, of items that two or more people judged."""
    if not len(item):
        return item, prompt, voter, answer
    _, person = np.unique(voter, return_inverse=True)
    _, unit = np.unique(item, return_inverse=True)
    pair = unit * (person.max() + 1) + person
    # np.unique gives the first place of each: of the reversed column, that is the last.
    _, last = np.unique(pair[::-1], return_index=True)
    kept = len(pair) - 1 - last
    several = np.bincount(unit[kept])[unit[kept]] >= 2
    kept = kept[several]
    return item[kept], prompt[kept], voter[kept], answer[kept]


def _alpha(counts: Floats, prompt: Ints, item: Ints, rounds: int, seed: int) -> tuple[Measure, float, float]:
    """Alpha with a bootstrap interval over prompts, the share of agreeing pairs, and chance disagreement."""
    raters = counts.sum(axis=1)
    # (items, answers, answers): how often two answers meet in an item, each item weighing its raters.
    met = counts[:, :, None] * counts[:, None, :]
    met[:, range(ANSWERS), range(ANSWERS)] -= counts
    met /= (raters - 1.0)[:, None, None]
    first = np.zeros(len(counts), dtype=np.intp)
    first[item] = np.arange(len(item))
    places, where = np.unique(prompt[first], return_inverse=True)
    by_prompt = np.zeros((len(places), ANSWERS, ANSWERS))
    np.add.at(by_prompt, where, met)
    whole = by_prompt.sum(axis=0)
    percent = float(np.trace(whole) / whole.sum())
    value, expected = _alpha_of(whole[None])
    if not np.isfinite(value[0]):
        reason = "Everybody gave the same answer everywhere, so chance agreement is not defined."
        return Measure(None, reason=reason), percent, 0.0
    if len(places) < FEW:
        few = Measure(float(value[0]), reason=f"An interval needs {FEW} prompts that several people judged.")
        return few, percent, float(expected[0])
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(places), np.full(len(places), 1 / len(places)), rounds)
    tables = (draws @ by_prompt.reshape(len(places), -1)).reshape(rounds, ANSWERS, ANSWERS)
    resampled = _alpha_of(tables)[0]
    lower, upper = np.nanquantile(resampled, [0.025, 0.975])
    return Measure(float(value[0]), float(lower), float(upper)), percent, float(expected[0])


def _alpha_of(tables: Floats) -> tuple[Floats, Floats]:
    """(alpha, chance disagreement) of coincidence tables (rounds, answers, answers); nan where undefined."""
    marginal = tables.sum(axis=2)
    total = marginal.sum(axis=1)
    observed = 1.0 - np.trace(tables, axis1=1, axis2=2) / total
    expected = 1.0 - (marginal * (marginal - 1.0)).sum(axis=1) / (total * (total - 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 1e-12, 1.0 - observed / expected, np.nan), expected


def _against_the_rest(
    counts: Floats, item: Ints, prompt: Ints, voter: Ints, answer: Ints, expected: float
) -> dict[int, Measure]:
    """1 - (a rater's disagreement with the others on the same items) / chance, clustered by prompt."""
    if expected <= 0.0:
        return {}
    others = counts[item].sum(axis=1) - 1.0
    apart = 1.0 - (counts[item, answer] - 1.0) / others
    people, code = np.unique(voter, return_inverse=True)
    tried = np.bincount(code)
    mean = np.bincount(code, apart) / tried
    # The spread of the sums by prompt: what one prompt says six times counts once.
    places, place = np.unique(prompt, return_inverse=True)
    _, cell = np.unique(code * len(places) + place, return_inverse=True)
    residual = np.bincount(cell, apart - mean[code])
    owner = np.zeros(len(residual), dtype=np.intp)
    owner[cell] = code
    prompts = np.bincount(owner, minlength=len(people))
    error = np.sqrt(np.bincount(owner, residual**2, len(people))) / tried
    error *= np.sqrt(prompts / np.maximum(prompts - 1, 1))
    found = {}
    for row, person in enumerate(people.tolist()):
        value = 1.0 - float(mean[row]) / expected
        if prompts[row] < FEW:
            found[person] = Measure(value, reason=f"An interval needs {FEW} prompts judged by others too.")
        else:
            reach = NORMAL_95 * float(error[row]) / expected
            found[person] = Measure(value, value - reach, min(1.0, value + reach))
    return found


def median_and_spread(values: Sequence[float]) -> tuple[float, float, float] | None:
    """(median, lower, upper): the order statistics that hold the median with 95 %, whatever the values."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if not n:
        return None
    reach = NORMAL_95 * np.sqrt(n) / 2.0
    low, high = int(max(0, np.floor(n / 2 - reach))), int(min(n - 1, np.ceil(n / 2 + reach)))
    return float(np.median(ordered)), float(ordered[low]), float(ordered[high])
