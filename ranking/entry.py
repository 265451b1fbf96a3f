"""How votes come in: names to ids, ranks to blocks, and the sentence for what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranking.blocks import (
    RANKING_CHUNK,
    Block,
    Floats,
    Ids,
    PairBlock,
    blocks_of_rankings,
    chunks,
    pairs_of_rankings,
    typical,
)
from ranking.columns import codes_of
from ranking.errors import BadVotes
from ranking.outcomes import ALL_BAD, TIE


def model_names(models: Sequence[str]) -> tuple[str, ...]:
    names = tuple(models)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadVotes(f"The model {twice!r} is listed twice.")
    return names


def finite(values: ArrayLike, total: int, what: str) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (total,):
        raise BadVotes(f"There are {total} votes but {len(numbers)} values of {what}.")
    with np.errstate(over="ignore", invalid="ignore"):
        sound = np.isfinite(numbers.sum())  # a sum is finite only where all its terms are: one quick pass
    if not sound and not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise BadVotes(f"has no number as its {what}.", vote=row)
    return numbers


def standardised_columns(
    covariates: Mapping[str, ArrayLike], rows: Ids | None, total: int
) -> tuple[Floats, Floats]:
    """Columns of a minus b as (F, m), divided by their root mean square (F,), which comes second.

    The same as `blocks.standardise` of a stack of them, with half the passes over the memory. `rows` are
    those kept, None for all. Raises BadVotes.
    """
    m = total if rows is None else len(rows)
    values, scale = np.empty((len(covariates), m)), np.ones(len(covariates))
    for place, (name, given) in enumerate(covariates.items()):
        column = finite(given, total, name)
        if rows is not None:
            column = column[rows]
        size = float(np.sqrt(column @ column / max(m, 1)))
        if m:
            scale[place] = typical(size, name)
        np.multiply(column, 1.0 / scale[place], out=values[place])
    return values, scale


def not_negative(values: ArrayLike, total: int, what: str) -> Floats:
    numbers = finite(values, total, what)
    if (numbers < 0).any():
        row = int(np.flatnonzero(numbers < 0)[0])
        raise BadVotes(f"has the negative {what} {numbers[row]:g}.", vote=row)
    return numbers


def pair_ids(
    models_a: Iterable[Any], models_b: Iterable[Any], models: Sequence[str] | None
) -> tuple[Ids, Ids, tuple[str, ...]]:
    integers = [
        isinstance(column, np.ndarray) and column.dtype.kind in "iu" for column in (models_a, models_b)
    ]
    if all(integers):
        first, second = np.asarray(models_a), np.asarray(models_b)
        if models is None:
            n = 1 + max((int(column.max()) for column in (first, second) if column.size), default=-1)
            models = [str(i) for i in range(n)]
        return first, second, model_names(models)
    first, names_a = codes_of(models_a)
    second, names_b = codes_of(models_b)
    for column in (first, second):
        if (column < 0).any():
            raise BadVotes("has no model name.", vote=int(np.flatnonzero(column < 0)[0]))
    if models is not None and all(isinstance(name, int) for name in names_a + names_b):
        return (
            np.array(names_a, dtype=np.intp)[first],
            np.array(names_b, dtype=np.intp)[second],
            model_names(models),
        )
    names = model_names(list(dict.fromkeys([*names_a, *names_b])) if models is None else models)
    position = {name: place for place, name in enumerate(names)}
    for column, found in ((first, names_a), (second, names_b)):
        for code, name in enumerate(found):
            if name not in position:
                row = int(np.flatnonzero(column == code)[0])
                raise BadVotes(f"names the model {name!r}, which is not in the list of models.", vote=row)
    ids = [_renumbered(*column, position) for column in ((first, names_a), (second, names_b))]
    return ids[0], ids[1], tuple(str(name) for name in names)


def _renumbered(codes: NDArray[np.intp], found: list[Any], position: Mapping[Any, int]) -> NDArray[np.intp]:
    places = np.array([position[name] for name in found], dtype=np.intp)
    if (places == np.arange(len(places))).all():
        return codes
    return places.take(codes)


def pair_block(block: PairBlock, all_bad: str) -> tuple[PairBlock, int]:
    """The block with its all-bad votes left out or made ties, and how many there were."""
    bad: NDArray[np.bool_] | None = None
    if block.tally is None:
        bad = block.outcome == ALL_BAD
        left_out = int(np.count_nonzero(bad))
    else:
        left_out = int(block.tally[ALL_BAD].sum())
    if not left_out:
        return block, 0
    bad = block.outcome == ALL_BAD if bad is None else bad
    tally = None if block.tally is None else block.tally.copy()
    if tally is not None and as_tie(all_bad):
        tally[TIE] += tally[ALL_BAD]
    if tally is not None:
        tally[ALL_BAD] = 0
    if as_tie(all_bad):
        return replace(block, outcome=np.where(bad, np.int8(TIE), block.outcome), tally=tally), left_out
    return replace(block.picked(np.flatnonzero(~bad)), tally=tally), left_out


def as_tie(all_bad: str) -> bool:
    if all_bad not in ("omit", "tie"):
        raise BadVotes(f'all_bad is {all_bad!r}; it can be "omit" or "tie".')
    return all_bad == "tie"


def by_width(
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


def ranking_blocks(
    ids: Ids, ranks: NDArray[Any], rows: Ids | None, features: Floats | None, n: int, all_bad: str
) -> tuple[list[Block], int]:
    check_rankings(ids, ranks, rows, n)
    if ids.shape[1] == 2:
        outcome, first, second = pairs_of_rankings(ids, ranks)
        differences = None if features is None else features[:, :, 0] - features[:, :, 1]
        block, bad = pair_block(PairBlock(first, second, outcome, rows, differences), all_bad)
        return [block], bad
    if ranks.dtype.kind != "f":
        return list(blocks_of_rankings(ids, ranks, rows, features)), 0
    nobody = np.isnan(ranks).all(axis=1)
    left_out = int(np.count_nonzero(nobody))
    if left_out and as_tie(all_bad):
        ranks = np.where(nobody[:, np.newaxis], 1.0, ranks)
    elif left_out:
        kept = np.flatnonzero(~nobody)
        ids, ranks = ids[kept], ranks[kept]
        rows = kept if rows is None else rows[kept]
        features = None if features is None else features[:, kept]
    return list(blocks_of_rankings(ids, ranks, rows, features)), left_out


def check_rankings(ids: Ids, ranks: NDArray[Any], rows: Ids | None, n: int) -> None:
    def refuse(wrong: Any, fault: str) -> None:
        if wrong.any():
            local = int(np.flatnonzero(wrong)[0])
            raise BadVotes(fault, vote=local if rows is None else int(rows[local]))

    for part in chunks(len(ids), RANKING_CHUNK):
        slots = np.ascontiguousarray(ids[part].T)
        if slots.view(f"u{ids.dtype.itemsize}").max(initial=0) >= n:  # a negative id is huge when unsigned
            refuse(((ids < 0) | (ids >= n)).any(axis=1), f"names a model outside the ids 0 to {n - 1}.")
        if _repeats(slots).any():
            refuse(_repeats(ids.T), "ranks the same model twice.")
    if ranks.dtype.kind == "f":
        refuse(
            ((np.floor(ranks) != ranks) & ~np.isnan(ranks)).any(axis=1),
            "has a rank that is not a whole number.",
        )
    if ranks.size and np.fmin.reduce(ranks, axis=None, initial=1) < 1:
        refuse((ranks < 1).any(axis=1), "has a rank below 1; 1 is the best.")


def _repeats(slots: Ids) -> NDArray[np.bool_]:
    """(m,) whether a vote with ids (K, m) holds one of them twice."""
    twice = np.zeros(slots.shape[1], dtype=bool)
    for i, column in enumerate(slots):
        for other in slots[i + 1 :]:
            twice |= column == other
    return twice


def slot_values(
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
