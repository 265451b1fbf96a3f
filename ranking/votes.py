"""Votes, as the engine takes them: weak orders over K >= 2 contestants, checked once, copied only at need.

Counts say how many votes a row stands for; weights say how much each of them matters. They are apart
because ten votes carry ten times the information of one, and one vote with weight ten does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranking.blocks import (
    Block,
    Floats,
    Ids,
    PairBlock,
    blocks_of_rankings,
    check_pairs,
    pairs_of_rankings,
    standardise,
)
from ranking.columns import codes_of, group_codes
from ranking.errors import BadVotes
from ranking.outcomes import ALL_BAD, FIRST, TIE, WINNER_WORDS, outcome_codes


@dataclass(frozen=True)
class Votes:
    """Checked votes over `models`. Build with from_rankings, from_pairs or from_counts.

    `all_bad` counts the votes that say every response was bad: they order nobody, so they are left out
    unless the caller asked for all_bad="tie".
    """

    models: tuple[str, ...]
    blocks: tuple[Block, ...]
    total: int  # rows given, those left out included
    counts: Floats | None  # (total,) how many votes a row stands for
    weights: Floats | None  # (total,)
    voters: NDArray[np.intp] | None  # (total,) codes from 0
    prompts: NDArray[np.intp] | None  # (total,) codes from 0
    all_bad: int = 0
    features: tuple[str, ...] = ()  # names of the covariates
    # (F,) the typical difference of each covariate within a vote, by which the blocks' values are divided.
    feature_scale: Floats | None = None

    def with_counts(self, counts: Floats) -> Votes:
        """The same votes, each row standing for counts (total,) times what it stood for."""
        return replace(self, counts=counts if self.counts is None else self.counts * counts)

    def taken(self, kept: NDArray[np.bool_]) -> Votes:
        """Only the votes with kept (total,); the rest of the columns stay, so that positions stay too."""
        blocks = tuple(block.chosen(kept) for block in self.blocks)
        return replace(self, blocks=blocks, all_bad=0)

    @property
    def has_ties(self) -> bool:
        """Whether any vote says that two contestants are equally good."""
        return any(
            bool((block.outcome == TIE).any()) if isinstance(block, PairBlock) else max(block.sizes) > 1
            for block in self.blocks
        )

    @property
    def is_pairwise(self) -> bool:
        """Whether every vote is between two contestants."""
        return all(isinstance(block, PairBlock) for block in self.blocks)

    def votes_per_model(self) -> NDArray[np.int64]:
        """(n,) how many votes each model took part in, counts included, weights not."""
        n = len(self.models)
        votes = np.zeros(n)
        for block in self.blocks:
            columns = (block.first, block.second) if isinstance(block, PairBlock) else tuple(block.items)
            repeats = None
            if self.counts is not None:
                repeats = self.counts if block.rows is None else self.counts[block.rows]
            for column in columns:
                votes += np.bincount(column, weights=repeats, minlength=n)
        return np.rint(votes).astype(np.int64)

    @classmethod
    def from_rankings(
        cls,
        models: Sequence[str],
        groups: Sequence[Sequence[int]] | NDArray[np.integer],
        ranks: Sequence[Sequence[int | None]] | NDArray[Any],
        *,
        counts: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        voters: Iterable[Any] | None = None,
        prompts: Iterable[Any] | None = None,
        covariates: Mapping[str, Sequence[Sequence[float]] | NDArray[Any]] | None = None,
        all_bad: str = "omit",
    ) -> Votes:
        """Votes that rank `groups[v]` (ids into `models`, K of them, K may differ) by `ranks[v]`.

        Rank 1 is best, equal ranks are ties, None (or NaN) is unranked: below all ranked ones and not
        ordered among themselves. A vote that ranks nobody says that all are bad. Covariates are one
        number per slot: for each name a sequence shaped like `groups`. Raises BadVotes.
        """
        names = _model_names(models)
        total = len(groups)
        if len(ranks) != total:
            raise BadVotes(f"There are {total} groups but {len(ranks)} rankings.")
        features = tuple(covariates or ())
        blocks: list[Block] = []
        bad = 0
        for rows, ids, places in _by_width(groups, ranks):
            values = _slot_values(covariates, features, rows, ids.shape[1], total)
            made, left_out = _ranking_blocks(ids, places, rows, values, len(names), all_bad)
            blocks += made
            bad += left_out
        scale = standardise(blocks, features) if features else None
        return cls(names, tuple(blocks), total, all_bad=bad, features=features, feature_scale=scale,
                   **_columns(total, counts, weights, voters, prompts))  # fmt: skip

    @classmethod
    def from_pairs(
        cls,
        models_a: Iterable[Any],
        models_b: Iterable[Any],
        winners: Iterable[Any],
        *,
        models: Sequence[str] | None = None,
        counts: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        voters: Iterable[Any] | None = None,
        prompts: Iterable[Any] | None = None,
        covariates: Mapping[str, ArrayLike] | None = None,
        all_bad: str = "omit",
        outcomes: Mapping[str, int] = WINNER_WORDS,
    ) -> Votes:
        """Votes between two models each: names, or integer ids into `models`.

        `winners` holds the words of `outcomes` or their codes (0 model_a, 1 model_b, 2 tie, 3 both_bad).
        Integer arrays are used where they lie. Covariates are numbers of a minus b, one per vote.
        Raises BadVotes.
        """
        first, second, names = _pair_ids(models_a, models_b, models)
        outcome = outcome_codes(winners, outcomes)
        total = len(first)
        if len(second) != total or len(outcome) != total:
            raise BadVotes(f"The columns differ in length: {total}, {len(second)} and {len(outcome)} votes.")
        check_pairs(first, second, len(names))
        features = tuple(covariates or ())
        values = None
        if covariates:
            values = np.stack([_finite(covariates[name], total, name) for name in features])
        block, bad = _pair_block(first, second, outcome, None, values, all_bad)
        scale = standardise((block,), features) if features else None
        return cls(names, (block,), total, all_bad=bad, features=features, feature_scale=scale,
                   **_columns(total, counts, weights, voters, prompts))  # fmt: skip

    @classmethod
    def from_counts(cls, models: Sequence[str], wins: ArrayLike, ties: ArrayLike | None = None) -> Votes:
        """Votes from a table: wins[i, j] times i beat j; ties[i, j] (upper triangle read) times they tied."""
        names = _model_names(models)
        won = np.asarray(wins, dtype=np.float64)
        tied = np.triu(np.zeros_like(won) if ties is None else np.asarray(ties, dtype=np.float64), 1)
        if won.shape != (len(names), len(names)) or tied.shape != won.shape:
            raise BadVotes(f"The table of counts must be {len(names)} by {len(names)}.")
        if (won < 0).any() or (tied < 0).any() or not np.isfinite(won + tied).all():
            raise BadVotes("The table of counts holds a negative or missing number.")
        if np.diag(won).any():
            raise BadVotes("The table of counts compares a model with itself.")
        (i, j), (k, el) = np.nonzero(won), np.nonzero(tied)
        outcome = np.repeat(np.array([FIRST, TIE], dtype=np.int8), [len(i), len(k)])
        block = PairBlock(np.concatenate([i, k]), np.concatenate([j, el]), outcome, None)
        counts = np.concatenate([won[i, j], tied[k, el]])
        return cls(names, (block,), len(counts), counts, None, None, None)


def _columns(
    total: int,
    counts: ArrayLike | None,
    weights: ArrayLike | None,
    voters: Iterable[Any] | None,
    prompts: Iterable[Any] | None,
) -> dict[str, Any]:
    return {
        "counts": None if counts is None else _not_negative(counts, total, "count"),
        "weights": None if weights is None else _not_negative(weights, total, "weight"),
        "voters": None if voters is None else group_codes(voters, total, "voters"),
        "prompts": None if prompts is None else group_codes(prompts, total, "prompts"),
    }


def _model_names(models: Sequence[str]) -> tuple[str, ...]:
    names = tuple(models)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadVotes(f"The model {twice!r} is listed twice.")
    return names


def _finite(values: ArrayLike, total: int, what: str) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (total,):
        raise BadVotes(f"There are {total} votes but {len(numbers)} values of {what}.")
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise BadVotes(f"has no number as its {what}.", vote=row)
    return numbers


def _not_negative(values: ArrayLike, total: int, what: str) -> Floats:
    numbers = _finite(values, total, what)
    if (numbers < 0).any():
        row = int(np.flatnonzero(numbers < 0)[0])
        raise BadVotes(f"has the negative {what} {numbers[row]:g}.", vote=row)
    return numbers


def _pair_ids(
    models_a: Iterable[Any], models_b: Iterable[Any], models: Sequence[str] | None
) -> tuple[Ids, Ids, tuple[str, ...]]:
    integers = [
        isinstance(column, np.ndarray) and column.dtype.kind in "iu" for column in (models_a, models_b)
    ]
    if all(integers):
        first, second = np.asarray(models_a), np.asarray(models_b)
        n = 1 + max((int(column.max()) for column in (first, second) if column.size), default=-1)
        return first, second, _model_names([str(i) for i in range(n)] if models is None else models)
    first, names_a = codes_of(models_a)
    second, names_b = codes_of(models_b)
    for column in (first, second):
        if (column < 0).any():
            raise BadVotes("has no model name.", vote=int(np.flatnonzero(column < 0)[0]))
    if models is not None and all(isinstance(name, int) for name in names_a + names_b):
        return (
            np.array(names_a, dtype=np.intp)[first],
            np.array(names_b, dtype=np.intp)[second],
            _model_names(models),
        )
    names = _model_names(list(dict.fromkeys([*names_a, *names_b])) if models is None else models)
    position = {name: place for place, name in enumerate(names)}
    for column, found in ((first, names_a), (second, names_b)):
        for code, name in enumerate(found):
            if name not in position:
                row = int(np.flatnonzero(column == code)[0])
                raise BadVotes(f"names the model {name!r}, which is not in the list of models.", vote=row)
    to_a = np.array([position[name] for name in names_a], dtype=np.intp)
    to_b = np.array([position[name] for name in names_b], dtype=np.intp)
    return to_a[first], to_b[second], tuple(str(name) for name in names)


def _pair_block(
    first: Ids,
    second: Ids,
    outcome: NDArray[np.int8],
    rows: Ids | None,
    features: Floats | None,
    all_bad: str,
) -> tuple[PairBlock, int]:
    bad = outcome == ALL_BAD
    left_out = int(np.count_nonzero(bad))
    if left_out and _as_tie(all_bad):
        outcome = np.where(bad, np.int8(TIE), outcome)
    elif left_out:
        kept = np.flatnonzero(~bad)
        first, second, outcome = first[kept], second[kept], outcome[kept]
        rows = kept if rows is None else rows[kept]
        features = None if features is None else features[:, kept]
    return PairBlock(first, second, outcome, rows, features), left_out


def _as_tie(all_bad: str) -> bool:
    if all_bad not in ("omit", "tie"):
        raise BadVotes(f'all_bad is {all_bad!r}; it can be "omit" or "tie".')
    return all_bad == "tie"


def _by_width(
    groups: Sequence[Sequence[int]] | NDArray[np.integer],
    ranks: Sequence[Sequence[int | None]] | NDArray[Any],
) -> list[tuple[Ids | None, Ids, Floats]]:
    """Rows of equal K together: (rows or None for all, ids (m, K), ranks (m, K) with NaN for None)."""
    if isinstance(groups, np.ndarray) and groups.ndim == 2 and isinstance(ranks, np.ndarray):
        if groups.shape != ranks.shape:
            raise BadVotes(f"The groups are {groups.shape} but the ranks are {ranks.shape}.")
        return [(None, groups, ranks)] if len(groups) else []
    widths: dict[int, list[int]] = {}
    for row, (group, places) in enumerate(zip(groups, ranks, strict=True)):
        if len(group) != len(places):
            raise BadVotes(f"has {len(group)} models but {len(places)} ranks.", vote=row)
        widths.setdefault(len(group), []).append(row)
    split: list[tuple[Ids | None, Ids, Floats]] = []
    for width, found in sorted(widths.items()):
        if width < 2:
            raise BadVotes("compares fewer than two models.", vote=found[0])
        rows = None if len(widths) == 1 else np.array(found, dtype=np.intp)
        ids = np.array([groups[row] for row in found], dtype=np.intp)
        split.append((rows, ids, np.array([ranks[row] for row in found], dtype=np.float64)))
    return split


def _ranking_blocks(
    ids: Ids, ranks: NDArray[Any], rows: Ids | None, features: Floats | None, n: int, all_bad: str
) -> tuple[list[Block], int]:
    _check_rankings(ids, ranks, rows, n)
    if ids.shape[1] == 2:
        outcome, first, second = pairs_of_rankings(ids, ranks)
        differences = None if features is None else features[:, :, 0] - features[:, :, 1]
        block, bad = _pair_block(first, second, outcome, rows, differences, all_bad)
        return [block], bad
    if ranks.dtype.kind != "f":
        return list(blocks_of_rankings(ids, ranks, rows, features)), 0
    nobody = np.isnan(ranks).all(axis=1)
    left_out = int(np.count_nonzero(nobody))
    if left_out and _as_tie(all_bad):
        ranks = np.where(nobody[:, np.newaxis], 1.0, ranks)
    elif left_out:
        kept = np.flatnonzero(~nobody)
        ids, ranks = ids[kept], ranks[kept]
        rows = kept if rows is None else rows[kept]
        features = None if features is None else features[:, kept]
    return list(blocks_of_rankings(ids, ranks, rows, features)), left_out


def _check_rankings(ids: Ids, ranks: NDArray[Any], rows: Ids | None, n: int) -> None:
    def refuse(wrong: Any, fault: str) -> None:
        if wrong.any():
            local = int(np.flatnonzero(wrong)[0])
            raise BadVotes(fault, vote=local if rows is None else int(rows[local]))

    if ids.size and ids.view(f"u{ids.dtype.itemsize}").max() >= n:  # a negative id is huge when unsigned
        refuse(((ids < 0) | (ids >= n)).any(axis=1), f"names a model outside the ids 0 to {n - 1}.")
    width = ids.shape[1]
    twice = np.zeros(len(ids), dtype=bool)
    for i in range(width):
        for j in range(i + 1, width):
            twice |= ids[:, i] == ids[:, j]
    refuse(twice, "ranks the same model twice.")
    if ranks.dtype.kind == "f":
        refuse(
            ((np.floor(ranks) != ranks) & ~np.isnan(ranks)).any(axis=1),
            "has a rank that is not a whole number.",
        )
    if ranks.size and np.fmin.reduce(ranks, axis=None, initial=1) < 1:
        refuse((ranks < 1).any(axis=1), "has a rank below 1; 1 is the best.")


def _slot_values(
    covariates: Mapping[str, Any] | None, features: tuple[str, ...], rows: Ids | None, width: int, total: int
) -> Floats | None:
    """(F, m, K) covariates of the votes `rows`, one number per slot."""
    if not covariates:
        return None
    values = []
    for name in features:
        column = covariates[name]
        if len(column) != total:
            raise BadVotes(f"There are {total} votes but {len(column)} values of {name}.")
        taken = column if rows is None else [column[row] for row in rows]
        for place, cell in enumerate(taken):
            if np.size(cell) != width:
                vote = place if rows is None else int(rows[place])
                raise BadVotes(f"has {np.size(cell)} values of {name} for {width} models.", vote=vote)
        values.append(np.asarray(taken, dtype=np.float64))
    stacked = np.stack(values)
    if not np.isfinite(stacked).all():
        local = int(np.flatnonzero(~np.isfinite(stacked).all(axis=(0, 2)))[0])
        raise BadVotes(
            "has a covariate that is not a number.", vote=local if rows is None else int(rows[local])
        )
    return stacked
