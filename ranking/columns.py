"""Columns of names become integer codes, with whatever the caller holds: lists, NumPy, pandas or Arrow.

pandas and pyarrow are recognised by their methods; pyarrow is imported only for long columns of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.errors import BadVotes

# Columns of text at least this long are looked up among the values of so many slices of them, so long.
MANY_ROWS, SAMPLES, SAMPLE = 1 << 17, 8, 1 << 11


def codes_of(column: Iterable[Any]) -> tuple[NDArray[np.intp], list[Any]]:
    """(codes (m,), distinct values in order of first appearance); a missing value (None, NaN) has code -1."""
    if hasattr(column, "dictionary_encode"):
        return _codes_of_arrow(column)
    if is_arrow_text(column):  # what lies behind it is encoded faster than pandas does
        return _codes_of_arrow(column.array.__arrow_array__())  # type: ignore[attr-defined]
    if hasattr(column, "factorize"):  # pandas Series, Index, Categorical
        codes, values = column.factorize()
        return np.asarray(codes, dtype=np.intp), list(values)
    if isinstance(column, np.ndarray):
        if column.dtype.kind in "iu" and column.size:
            return _codes_of_integers(column)
        column = column.tolist()
    items = column if isinstance(column, list | tuple) else list(column)
    index: dict[Any, int] = {}
    distinct: list[Any] = []
    for value in dict.fromkeys(items):
        index[value] = -1 if is_missing(value) else len(distinct)
        if index[value] >= 0:
            distinct.append(value)
    codes = np.fromiter(map(index.__getitem__, items), dtype=np.intp, count=len(items))
    return codes, distinct


def group_codes(column: Iterable[Any], count: int, what: str) -> NDArray[np.intp]:
    """Codes (m,) from 0 without gaps for voters or prompts; each missing value is a group of its own.

    Raises BadVotes when the column is not as long as the votes.
    """
    codes, values = codes_of(column)
    if len(codes) != count:
        raise BadVotes(f"There are {count} votes but {len(codes)} {what}.")
    missing = np.flatnonzero(codes < 0)
    if missing.size:
        codes = codes.copy()
        codes[missing] = len(values) + np.arange(missing.size)
    return codes


def _codes_of_integers(column: NDArray[np.integer[Any]]) -> tuple[NDArray[np.intp], list[Any]]:
    low, high = int(column.min()), int(column.max())
    if low < 0 or high > 4 * column.size + 1024:  # sparse ids: sorting beats a table of that length
        distinct, codes = np.unique(column, return_inverse=True)
        return codes.astype(np.intp, copy=False), distinct.tolist()
    present = np.zeros(high + 1, dtype=bool)
    present[column] = True
    position = np.cumsum(present) - 1
    return position[column], np.flatnonzero(present).tolist()


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, or an empty text."""
    return value is None or value == "" or value != value  # NaN differs from itself


def is_arrow_text(column: Any) -> bool:
    """Whether this is a column of pandas whose text lies in Arrow's memory, as it does by default."""
    return getattr(getattr(column, "dtype", None), "storage", None) == "pyarrow" and hasattr(column, "array")


def _codes_of_arrow(column: Any) -> tuple[NDArray[np.intp], list[Any]]:
    if hasattr(column, "chunks") and column.num_chunks == 1:
        column = column.chunk(0)
    if len(column) >= MANY_ROWS and str(column.type) in ("string", "large_string"):
        found = _codes_of_sampled(column)
        if found is not None:
            return found
    encoded = column.dictionary_encode()
    if hasattr(encoded, "unify_dictionaries"):  # a chunked array may carry one dictionary per chunk
        encoded = encoded.unify_dictionaries().combine_chunks()
        if hasattr(encoded, "chunks"):
            encoded = encoded.chunk(0)
    return _filled(encoded.indices), encoded.dictionary.to_pylist()


def _codes_of_sampled(column: Any) -> tuple[NDArray[np.intp], list[Any]] | None:
    """The same by looking each cell up among the values of a sample, faster than growing a dictionary.

    None when the sample has missed a value.
    """
    import pyarrow as pa
    from pyarrow import compute

    starts = np.linspace(0, len(column) - SAMPLE, SAMPLES).astype(int).tolist()
    seen = pa.chunked_array([compute.drop_null(column.slice(start, SAMPLE).unique()) for start in starts])
    values = seen.unique()
    indices = compute.index_in(column, value_set=values)
    if indices.null_count != column.null_count:
        return None
    codes = _filled(indices)
    order = _order_of_appearance(codes, len(values))
    if (order == np.arange(len(order))).all():
        return codes, values.to_pylist()
    position = np.empty(len(values) + 1, dtype=np.intp)
    position[order], position[-1] = np.arange(len(values)), -1
    return position.take(codes, mode="wrap"), values.take(order).to_pylist()


def _order_of_appearance(codes: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """(count,) the codes, each of which appears, by the row of their first appearance."""
    first = np.full(count + 1, len(codes))  # the last is for missing values, code -1
    for start in range(0, len(codes), SAMPLE):
        part = codes[start : start + SAMPLE]
        new = first[part] == len(codes)
        if new.any():  # written backwards, so that the first row is the one that stays
            rows = start + np.flatnonzero(new)[::-1]
            first[codes[rows]] = rows
        if first[:-1].max(initial=-1) < len(codes):
            break
    return np.argsort(first[:-1])


def _filled(indices: Any) -> NDArray[np.intp]:
    if indices.null_count:
        indices = indices.fill_null(-1)
    return np.asarray(indices.to_numpy(zero_copy_only=False), dtype=np.intp)
