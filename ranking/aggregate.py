"""Many votes that say the same become one row with a count: exact, and all later work is smaller."""

from __future__ import annotations

import numpy as np

from ranking.blocks import PairBlock
from ranking.likelihood.pair_table import count_pairs
from ranking.outcomes import FIRST, SECOND, TIE
from ranking.votes import Votes


def aggregated(votes: Votes) -> Votes:
    """The same votes with equal pairs counted once, where nothing but the pair and its outcome matters.

    Rankings, weighted votes and votes with covariates come back as they are. Voters and prompts are lost.
    """
    if not votes.is_pairwise or votes.weights is not None or votes.features:
        return votes
    table = count_pairs(votes, davidson=False)
    i, j = np.tile(table.i, 3), np.tile(table.j, 3)
    outcome = np.repeat(np.array([FIRST, SECOND, TIE], dtype=np.int8), len(table.i))
    counts = table.outcomes.ravel()
    said = counts > 0
    block = PairBlock(i[said], j[said], outcome[said], None)
    return Votes(votes.models, (block,), int(said.sum()), counts[said], None, None, None, votes.all_bad)
