"""How each contestant of a vote did beside what the strengths expect: what tests of voters are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from ranking.errors import BadVotes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Groups = Sequence[Sequence[int]]
Chunks = Sequence[tuple[Ints, Ints, Floats]]
Ranks = Sequence[Sequence[int | None]]

# Votes taken at a time: what is held grows with it.
CHUNK = 20_000


@dataclass(frozen=True)
class Scores:
    """How each contestant of each vote did beside what the strengths expect.  A row is a place of a vote."""

    voter: Ints
    contestant: Ints
    surplus: Floats  # observed less expected share of the others beaten, or of being best
    variance: Floats
    slope: Floats  # of the expectation, per unit of the contestant's strength


def scores(groups: Groups, ranks: Ranks, voters: ArrayLike, strengths: ArrayLike) -> Scores:
    """Observed and expected results.

    A full ranking counts the others beaten, ties half; one with unranked places (null) says who was best
    and no more.  Expectation and variance are Plackett-Luce's: contestant m beats i with probability
    p_i = 1/(1 + exp(s_i - s_m)), and both i and j with exp(s_m)/(exp(s_m) + exp(s_i) + exp(s_j)).
    """
    theta = np.asarray(strengths, dtype=np.float64)
    return scores_of_chunks(list(vote_chunks(groups, ranks)), np.asarray(voters, dtype=np.intp), theta)


def scores_of_chunks(chunks: Chunks, codes: Ints, theta: Floats) -> Scores:
    """`scores` of votes already sorted by K."""
    parts = [_scores_of(theta, items, places, codes[rows]) for rows, items, places in chunks]
    if not parts:
        nothing = np.zeros(0)
        return Scores(np.zeros(0, np.intp), np.zeros(0, np.intp), nothing, nothing, nothing)
    return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def vote_chunks(groups: Groups, ranks: Ranks) -> Iterator[tuple[Ints, Ints, Floats]]:
    """(rows, items (v, K), places (v, K) with nan for unranked) of the votes of each K."""
    if len(groups) != len(ranks):
        raise BadVotes(f"There are {len(groups)} groups but {len(ranks)} rankings.")
    widths = np.fromiter((len(group) for group in groups), dtype=np.intp, count=len(groups))
    for width in np.unique(widths):
        rows = np.flatnonzero(widths == width)
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            items = np.array([groups[row] for row in part], dtype=np.intp)
            places = np.array(
                [[np.nan if rank is None else rank for rank in ranks[row]] for row in part], dtype=np.float64
            )
            yield part, items, places


def _scores_of(theta: Floats, items: Ints, places: Floats, voter: Ints) -> tuple[NDArray[Any], ...]:
    whole = ~np.isnan(places).any(axis=1)
    columns = []
    for kept, result in ((whole, _beaten), (~whole, _best)):
        if kept.any():
            surplus, variance, slope = result(theta[items[kept]], places[kept])
            width = items.shape[1]
            columns.append(
                (
                    np.repeat(voter[kept], width),
                    items[kept].ravel(),
                    surplus.ravel(),
                    variance.ravel(),
                    slope.ravel(),
                )
            )
    return tuple(np.concatenate(column) for column in zip(*columns, strict=True))


def _beaten(theta: Floats, places: Floats) -> tuple[Floats, Floats, Floats]:
    """Of full rankings (v, K): surplus, variance and slope of the share of the others beaten."""
    v, width = theta.shape
    won = (places[:, :, None] < places[:, None, :]) + 0.5 * (places[:, :, None] == places[:, None, :])
    beats = 1.0 / (1.0 + np.exp(theta[:, None, :] - theta[:, :, None]))  # (v, m, i)
    other = 1.0 - np.eye(width)
    observed, expected = (won * other).sum(axis=2), (beats * other).sum(axis=2)
    strength = np.exp(theta - theta.max(axis=1, keepdims=True))
    variance = np.zeros((v, width))
    for i in range(width):
        for j in range(width):
            usable = (np.arange(width) != i) & (np.arange(width) != j)
            if i == j:
                joint = beats[:, :, i]
            else:
                joint = strength / (strength + strength[:, [i]] + strength[:, [j]])
            variance += usable * (joint - beats[:, :, i] * beats[:, :, j])
    slope = (beats * (1.0 - beats) * other).sum(axis=2)
    scale = width - 1
    return (observed - expected) / scale, np.maximum(variance, 1e-12) / scale**2, slope / scale


def _best(theta: Floats, places: Floats) -> tuple[Floats, Floats, Floats]:
    """Of votes that name the best only (v, K): surplus, variance and slope of being the best."""
    chance = np.exp(theta - logsumexp(theta, axis=1, keepdims=True))
    first = places == np.nanmin(places, axis=1, keepdims=True)
    share = first / first.sum(axis=1, keepdims=True)
    spread = chance * (1.0 - chance)
    return share - chance, spread, spread
