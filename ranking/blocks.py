"""How votes lie in memory: pairs as columns, rankings of K > 2 grouped by their pattern of ties.

A pattern is what is left of a weak order once the names are taken away: the sizes of its tied groups,
best first, and how many contestants were left unranked. All rows of one block share it, so that a
likelihood is a fixed sequence of vector operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.errors import BadVotes
from ranking.outcomes import ALL_BAD, FIRST, SECOND, TIE

Ids = NDArray[np.integer]
Floats = NDArray[np.float64]

# Votes counted at once: their keys stay in the second-level cache, and a table is added up once a chunk.
COUNTING_CHUNK = 1 << 17
# Rankings sorted at once, and the most slots (K^K possible rows of ranks) that are looked up and not sorted.
RANKING_CHUNK, WIDEST_CODED = 1 << 14, 6
# Votes side by side in a sample.
RUN = 32


@dataclass(frozen=True)
class PairBlock:
    """Votes between two contestants. `outcome` is 0 (first won), 1 (second won) or 2 (tie)."""

    first: Ids  # (m,)
    second: Ids  # (m,)
    outcome: NDArray[np.int8]  # (m,)
    rows: Ids | None  # (m,) position of each vote among all votes; None: 0 .. m-1
    features: Floats | None = None  # (F, m) covariates of first minus covariates of second
    # (4, n, n) how many votes of each outcome every first and second have, where the check has counted them.
    tally: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.first)

    def outcome_counts(self) -> NDArray[np.int64]:
        """(3,) how many votes the first won, the second won, and were ties."""
        if self.tally is not None:
            return np.asarray(self.tally[:3].sum(axis=(1, 2)))
        return np.array([np.count_nonzero(self.outcome == code) for code in (FIRST, SECOND, TIE)])

    def chosen(self, kept: NDArray[np.bool_]) -> PairBlock:
        """The votes whose position among all votes is kept (total,)."""
        return self.picked(np.flatnonzero(kept if self.rows is None else kept[self.rows]))

    def picked(self, part: NDArray[np.intp]) -> PairBlock:
        """The votes at positions `part` of the block."""
        rows = part if self.rows is None else self.rows[part]
        features = None if self.features is None else self.features.take(part, axis=1)
        return PairBlock(self.first[part], self.second[part], self.outcome[part], rows, features)

    def thinned(self, every: int) -> PairBlock:
        """One vote of so many, copied together: a column read with gaps is read slowly every time."""
        return self if every == 1 else self.picked(sampled(len(self), every))


@dataclass(frozen=True)
class OrderBlock:
    """Votes over K contestants with one pattern: `sizes` of the tied groups best first, then the unranked."""

    items: Ids  # (K, m) best first; the unranked last, in no order
    sizes: tuple[int, ...]
    rows: Ids | None  # (m,)
    features: Floats | None = None  # (F, K, m) covariates of each slot, in the order of items

    @property
    def width(self) -> int:
        return int(self.items.shape[0])

    @property
    def unranked(self) -> int:
        return self.width - sum(self.sizes)

    def __len__(self) -> int:
        return int(self.items.shape[1])

    def chosen(self, kept: NDArray[np.bool_]) -> OrderBlock:
        """The votes whose position among all votes is kept (total,)."""
        return self.picked(np.flatnonzero(kept if self.rows is None else kept[self.rows]))

    def picked(self, part: NDArray[np.intp]) -> OrderBlock:
        """The votes at positions `part` of the block."""
        rows = part if self.rows is None else self.rows[part]
        features = None if self.features is None else self.features.take(part, axis=2)
        return OrderBlock(self.items.take(part, axis=1), self.sizes, rows, features)

    def thinned(self, every: int) -> OrderBlock:
        """Every so many-th vote, copied together."""
        return self if every == 1 else self.picked(np.arange(0, len(self), every))

    def levels(self) -> list[int]:
        """The level of each of the K columns: 0 for the best group; the unranked share the last level."""
        levels = [level for level, size in enumerate(self.sizes) for _ in range(size)]
        return levels + [len(self.sizes)] * self.unranked


Block = PairBlock | OrderBlock


def take_rows(block: Block, part: slice | NDArray[np.intp]) -> Ids | slice:
    """Where the votes `part` of a block stand among all votes."""
    if block.rows is not None:
        return block.rows[part]
    return part


def sampled(count: int, every: int) -> NDArray[np.intp]:
    """Places of about one in `every` of `count`, in runs spread evenly: a run is one reach into memory."""
    starts = np.arange(0, count, RUN * every)
    places = (starts[:, None] + np.arange(RUN)).ravel()
    return places[places < count]


def chunks(count: int, size: int) -> Iterator[slice]:
    """Slices that cover range(count), `size` at a time: small enough for the cache, few enough for Python."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def standardise(blocks: Iterable[Block], names: Sequence[str]) -> Floats:
    """Divide the features of all blocks in place by their typical difference (F,) and return it.

    Typical is the root mean square difference between two slots of one vote, over all votes and pairs of
    slots. Raises BadVotes when a covariate never differs within a vote.
    """
    squares, pairs = np.zeros(len(names)), 0
    for block in blocks:
        if block.features is None:
            continue
        if isinstance(block, PairBlock):
            squares += [row @ row for row in block.features]
            pairs += len(block)
        else:
            k = block.width
            squares += 0.5 * k * (k - 1) * 2.0 * block.features.var(axis=1, ddof=1).sum(axis=1)
            pairs += len(block) * k * (k - 1) // 2
    scale = np.sqrt(squares / max(pairs, 1))
    for name, size in zip(names, scale, strict=True):
        if pairs:
            typical(size, name)
    scale[scale == 0.0] = 1.0
    for block in blocks:
        if block.features is not None:
            block.features[...] *= 1.0 / scale.reshape(-1, *[1] * (block.features.ndim - 1))
    return np.asarray(scale)


def typical(size: float, name: str) -> float:
    """The typical difference of a covariate. Raises BadVotes where it never differs within a vote."""
    if size == 0.0:
        raise BadVotes(f"The covariate {name!r} never differs between the responses of a vote.")
    return size


def pair_cells(block: PairBlock, n: int) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Chunks of the votes with the cell of each in a table (4, n, n): outcome, first, second."""
    cells = 4 * n * n
    # Arithmetic on small integers is several times faster than on wide ones.
    kind = np.uint16 if cells <= 1 << 16 else np.intp
    size = min(len(block), max(COUNTING_CHUNK, cells))
    keys, addends = np.empty(size, dtype=kind), np.empty(size, dtype=kind)
    for part in chunks(len(block), max(size, 1)):
        key, addend = keys[: part.stop - part.start], addends[: part.stop - part.start]
        np.copyto(key, block.first[part], casting="unsafe")
        np.multiply(key, n, out=key)
        np.copyto(addend, block.second[part], casting="unsafe")
        np.add(key, addend, out=key)
        np.copyto(addend, block.outcome[part], casting="unsafe")
        np.multiply(addend, n * n, out=addend)
        np.add(key, addend, out=key)
        yield part, key


def checked_pairs(block: PairBlock, n: int) -> PairBlock:
    """The block with its tally, after a check of its ids. Counting finds the faults in the same pass.

    Raises BadVotes where an id is outside the n models or a contestant meets itself.
    """
    cells = 4 * n * n
    if cells > max(len(block), 1 << 16):  # a table larger than the votes is not worth its while
        for part in chunks(len(block), COUNTING_CHUNK):
            _check_ids(block, part, n)
            _check_opponents(block, part)
        return block
    tally = np.zeros(cells, dtype=np.int64)
    for part, key in pair_cells(block, n):
        _check_ids(block, part, n)
        tally += np.bincount(key, minlength=cells)
    table = tally.reshape(4, n, n)
    if table.diagonal(axis1=1, axis2=2).any():
        _check_opponents(block, slice(None))
    return replace(block, tally=table)


def _check_ids(block: PairBlock, part: slice, n: int) -> None:
    for column in (block.first[part], block.second[part]):
        # Read as unsigned, a negative id is a huge one: one pass finds both faults.
        if column.view(f"u{column.dtype.itemsize}").max(initial=0) >= n:
            row = int(np.flatnonzero((column < 0) | (column >= n))[0])
            raise BadVotes(
                f"names model {column[row]}, but the ids go from 0 to {n - 1}.", vote=part.start + row
            )


def _check_opponents(block: PairBlock, part: slice) -> None:
    same = np.flatnonzero(block.first[part] == block.second[part])
    if same.size:
        raise BadVotes("compares a model with itself.", vote=(part.start or 0) + int(same[0]))


def pairs_of_rankings(groups: Ids, ranks: Floats) -> tuple[NDArray[np.int8], Ids, Ids]:
    """Outcome codes, first and second of groups (m, 2) with ranks (m, 2), NaN for unranked."""
    better, worse = ranks[:, 0], ranks[:, 1]
    outcome = np.full(len(groups), TIE, dtype=np.int8)
    outcome[(better < worse) | (np.isnan(worse) & ~np.isnan(better))] = FIRST
    outcome[(worse < better) | (np.isnan(better) & ~np.isnan(worse))] = SECOND
    outcome[np.isnan(better) & np.isnan(worse)] = ALL_BAD
    return outcome, groups[:, 0], groups[:, 1]


def blocks_of_rankings(
    groups: Ids, ranks: NDArray[Any], rows: Ids | None, features: Floats | None
) -> list[OrderBlock]:
    """Split groups (m, K) with ranks (m, K), NaN for unranked, into one block per pattern.

    `features` is (F, m, K) in the order of the slots. A vote that ranks nobody must be gone already.
    """
    m, width = groups.shape
    if m == 0:
        return []
    if features is None and ranks.dtype.kind in "iu" and width <= WIDEST_CODED and ranks.max() <= width:
        return _blocks_by_code(groups, ranks, rows)
    order = np.argsort(ranks, axis=1, kind="stable")  # NaN last
    flat = order + width * np.arange(m)[:, np.newaxis]
    ordered = ranks.ravel()[flat]
    items = np.ascontiguousarray(groups.ravel()[flat].T)
    code = np.zeros(m, dtype=np.int64)
    for column in range(1, width):  # bit: this column starts a new group
        code |= (ordered[:, column] != ordered[:, column - 1]).astype(np.int64) << column
    code *= width + 1
    code += width if ranks.dtype.kind != "f" else np.count_nonzero(~np.isnan(ranks), axis=1)
    found = np.unique(code)
    blocks = []
    for value in found:
        part = np.flatnonzero(code == value) if len(found) > 1 else None
        starts, ranked = divmod(int(value), width + 1)
        sizes = _sizes(starts, ranked)
        block_features = None
        if features is not None:
            of_part = features if part is None else features[:, part, :]
            block_order = order if part is None else order[part]
            taken = np.take_along_axis(of_part, block_order[np.newaxis], axis=2)
            block_features = np.ascontiguousarray(taken.transpose(0, 2, 1))
        block_items = items if part is None else np.ascontiguousarray(items[:, part])
        block_rows = rows if part is None else (part if rows is None else rows[part])
        blocks.append(OrderBlock(block_items, sizes, block_rows, block_features))
    return blocks


def _blocks_by_code(groups: Ids, ranks: NDArray[Any], rows: Ids | None) -> list[OrderBlock]:
    """The same for whole ranks from 1 to K in every slot: few enough orders to look each of them up."""
    m, width = groups.shape
    codes = np.zeros(m, dtype=np.uint16)
    for part in chunks(m, RANKING_CHUNK):
        code = np.zeros(part.stop - part.start, dtype=np.int64)
        for slot in range(width):  # the ranks, less one, as the digits of a number
            code *= width
            code += ranks[part, slot]
            code -= 1
        codes[part] = code
    found = np.flatnonzero(np.bincount(codes, minlength=width**width))
    digits = found[:, np.newaxis] // width ** np.arange(width - 1, -1, -1) % width
    order = np.argsort(digits, axis=1, kind="stable")
    ordered = np.take_along_axis(digits, order, axis=1)
    # A pattern is known by where a new group starts: bit c for column c.
    starts = ((ordered[:, 1:] != ordered[:, :-1]) << np.arange(1, width)).sum(axis=1)
    slot_of = np.zeros((width, width**width), dtype=np.intp)
    slot_of[:, found] = order.T
    items = np.empty((width, m), dtype=groups.dtype)
    for part in chunks(m, RANKING_CHUNK):
        code, flat = codes[part].astype(np.intp), groups[part].ravel()
        first = np.arange(0, len(flat), width)
        for place in range(width):
            items[place, part] = flat.take(slot_of[place].take(code) + first)
    patterns = np.unique(starts)
    if len(patterns) == 1:
        return [OrderBlock(items, _sizes(int(patterns[0]), width), rows)]
    pattern_of = np.zeros(width**width, dtype=np.uint8)
    pattern_of[found] = np.searchsorted(patterns, starts)
    pattern = pattern_of.take(codes)
    blocks = []
    for place, value in enumerate(patterns.tolist()):
        part_rows = np.flatnonzero(pattern == place)
        chosen = items.take(part_rows, axis=1)
        blocks.append(
            OrderBlock(chosen, _sizes(value, width), part_rows if rows is None else rows[part_rows])
        )
    return blocks


def _sizes(starts: int, ranked: int) -> tuple[int, ...]:
    edges = [0] + [column for column in range(1, ranked) if starts >> column & 1] + [ranked]
    return tuple(after - before for before, after in pairwise(edges))
