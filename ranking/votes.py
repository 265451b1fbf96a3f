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

from ranking.blocks import Block, Floats, PairBlock, checked_pairs, standardise
from ranking.columns import group_codes
from ranking.entry import (
    by_width,
    model_names,
    not_negative,
    pair_block,
    pair_ids,
    ranking_blocks,
    slot_values,
    standardised_columns,
)
from ranking.errors import BadVotes
from ranking.outcomes import FIRST, TIE, WINNER_WORDS, outcome_codes


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
            bool(block.outcome_counts()[TIE]) if isinstance(block, PairBlock) else max(block.sizes) > 1
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
            if isinstance(block, PairBlock) and block.tally is not None and self.counts is None:
                table = block.tally.sum(axis=0)
                votes += table.sum(axis=0) + table.sum(axis=1)
                continue
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
        names = model_names(models)
        total = len(groups)
        if len(ranks) != total:
            raise BadVotes(f"There are {total} groups but {len(ranks)} rankings.")
        features = tuple(covariates or ())
        blocks: list[Block] = []
        bad = 0
        for rows, ids, places in by_width(groups, ranks):
            values = slot_values(covariates, features, rows, ids.shape[1], total)
            made, left_out = ranking_blocks(ids, places, rows, values, len(names), all_bad)
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
        first, second, names = pair_ids(models_a, models_b, models)
        outcome = outcome_codes(winners, outcomes)
        total = len(first)
        if len(second) != total or len(outcome) != total:
            raise BadVotes(f"The columns differ in length: {total}, {len(second)} and {len(outcome)} votes.")
        checked = checked_pairs(PairBlock(first, second, outcome, None), len(names))
        features = tuple(covariates or ())
        block, bad = pair_block(checked, all_bad)
        scale = None
        if covariates:
            values, scale = standardised_columns(covariates, block.rows, total)
            block = replace(block, features=values)
        return cls(names, (block,), total, all_bad=bad, features=features, feature_scale=scale,
                   **_columns(total, counts, weights, voters, prompts))  # fmt: skip

    @classmethod
    def from_counts(cls, models: Sequence[str], wins: ArrayLike, ties: ArrayLike | None = None) -> Votes:
        """Votes from a table: wins[i, j] times i beat j; ties[i, j] (upper triangle read) times they tied."""
        names = model_names(models)
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
        "counts": None if counts is None else not_negative(counts, total, "count"),
        "weights": None if weights is None else not_negative(weights, total, "weight"),
        "voters": None if voters is None else group_codes(voters, total, "voters"),
        "prompts": None if prompts is None else group_codes(prompts, total, "prompts"),
    }
