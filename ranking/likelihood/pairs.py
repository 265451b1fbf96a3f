"""Pairs vote by vote: for covariates, clusters, influence and whatever the table of counts cannot tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ranking.blocks import Ids, PairBlock, chunks, take_rows
from ranking.likelihood.direct import HALF_WINS
from ranking.likelihood.pair_table import davidson_probabilities
from ranking.likelihood.terms import CHUNK, Floats, Layout, RowTerms
from ranking.outcomes import FIRST, SECOND, TIE


@dataclass(frozen=True)
class PairRows:
    """Bradley-Terry (no tie strength in the layout) or Davidson, with covariates, over one block of pairs."""

    block: PairBlock
    layout: Layout

    def thinned(self, every: int) -> PairRows:
        """Every so many-th vote."""
        return PairRows(self.block.thinned(every), self.layout)

    def walk(self, phi: Floats) -> Iterator[RowTerms]:
        """The terms of each vote at phi, a chunk at a time."""
        layout = self.layout
        effects = layout.effects(phi)
        for part in chunks(len(self.block), CHUNK):
            items = np.stack([self.block.first[part], self.block.second[part]]).astype(np.intp, copy=False)
            difference = phi[items[0]] - phi[items[1]]
            features = None if self.block.features is None else self.block.features[:, part]
            if features is not None:
                difference += effects @ features
            outcome = self.block.outcome[part]
            if 2 in layout.tie_sizes:
                pair = _davidson(difference, outcome, phi[layout.n + layout.tie_sizes.index(2)])
            else:
                pair = _bradley_terry(difference, outcome)
            yield self._spread(take_rows(self.block, part), items, pair, features)

    def _spread(self, rows: Ids | slice, items: Ids, pair: _Pair, features: Floats | None) -> RowTerms:
        """The terms of all parameters from those of the difference and of the tie strength."""
        ties, size, r = len(self.layout.tie_sizes), self.layout.extras, len(pair.score)
        extra_score, lead = np.zeros((size, r)), np.zeros((size, r))
        corner = np.zeros((size, size, r))
        if pair.tie_score is not None:
            tie = self.layout.tie_sizes.index(2)
            extra_score[tie], lead[tie], corner[tie, tie] = (
                pair.tie_score,
                pair.tie_cross,
                pair.tie_information,
            )
        if features is not None:
            extra_score[ties:] = pair.score * features
            lead[ties:] = pair.information * features
            corner[ties:, ties:] = lead[ties:, np.newaxis] * features[np.newaxis]
            # The tie strength meets a covariate through the difference.
            corner[:ties, ties:] = lead[:ties, np.newaxis] * features[np.newaxis]
            corner[ties:, :ties] = corner[:ties, ties:].transpose(1, 0, 2)
        score = np.stack([pair.score, -pair.score])
        coupling = {(0, 1): -pair.information}
        return RowTerms(
            rows, items, pair.log_likelihood, score, coupling, extra_score, np.stack([lead, -lead]), corner
        )


@dataclass(frozen=True)
class _Pair:
    """Terms of r pairs in the difference of strengths and, for Davidson, the log tie strength."""

    log_likelihood: Floats
    score: Floats
    information: Floats
    tie_score: Floats | None = None
    tie_cross: Floats | None = None
    tie_information: Floats | None = None


def _bradley_terry(difference: Floats, outcome: NDArray[np.int8]) -> _Pair:
    p = expit(difference)
    y = HALF_WINS[outcome]
    return _Pair(y * difference - np.logaddexp(0.0, difference), y - p, p * (1.0 - p))


def _davidson(difference: Floats, outcome: NDArray[np.int8], tau: float) -> _Pair:
    p_i, p_j, p_tie, log_total = davidson_probabilities(difference, tau)
    tied = outcome == TIE
    sign = 0.5 * ((outcome == FIRST).astype(np.float64) - (outcome == SECOND))
    lead = 0.5 * (p_i - p_j)
    return _Pair(
        sign * difference + tau * tied - log_total,
        sign - lead,
        0.25 * (p_i + p_j) - lead**2,
        tied - p_tie,
        -lead * p_tie,
        p_tie * (1.0 - p_tie),
    )
