"""Who has beaten whom: strong components, the undefeated, the winless, and the sentences about them.

The maximum-likelihood strengths are finite exactly when every model has a chain of wins to every other
(Ford 1957; Hunter 2004, assumption 1): when the graph of wins is strongly connected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ranking.blocks import Block, PairBlock, chunks
from ranking.likelihood.pair_table import PairTable
from ranking.outcomes import FIRST, SECOND, TIE
from ranking.votes import Votes

# How many names a sentence lists before it says how many more there are.
NAMES_SHOWN = 5


@dataclass(frozen=True)
class Connectivity:
    """What the graph of wins says. Component labels are (n,) integers; a tie counts as a win each way."""

    beaten: NDArray[np.bool_] | None  # (n, n) i beat or tied j at least once; None when known to be connected
    weak: NDArray[np.intp]  # (n,) connected by votes at all
    strong: NDArray[np.intp]  # (n,) connected by wins both ways

    @property
    def has_finite_maximum(self) -> bool:
        """Whether maximum likelihood exists without a prior."""
        return bool(self.strong.max(initial=0) == 0)

    def one_sided(self) -> NDArray[np.bool_]:
        """(n,) models outside the largest strong component: their ratings rest on the prior."""
        if self.strong.size == 0:
            return np.zeros(0, dtype=bool)
        sizes = np.bincount(self.strong)
        return (
            np.asarray(self.strong != sizes.argmax())
            if sizes.max() > 1
            else np.ones(len(self.strong), dtype=bool)
        )

    def warnings(self, models: tuple[str, ...]) -> list[str]:
        """Sentences for a person: who has no votes, is undefeated, winless or not connected."""
        if self.beaten is None or len(models) < 2:
            return []
        won, lost = self.beaten.any(axis=1), self.beaten.any(axis=0)
        said: list[str] = []

        def say(which: Any, one: str, many: str) -> None:
            names = [models[i] for i in np.flatnonzero(which).tolist()]
            if names:
                said.append(f"{_listed(names)} {one if len(names) == 1 else many}")

        finite = "rating is finite only because of the prior, and its interval is wide."
        finite_many = "ratings are finite only because of the prior, and their intervals are wide."
        say(
            ~won & ~lost,
            "has no votes yet: its rating is the prior's.",
            "have no votes yet: their ratings are the prior's.",
        )
        say(won & ~lost, f"has never lost: its {finite}", f"have never lost: their {finite_many}")
        say(~won & lost, f"has never won: its {finite}", f"have never won: their {finite_many}")
        said += self._groups(models, won | lost)
        return said

    def _groups(self, models: tuple[str, ...], met: Any) -> list[str]:
        islands = [
            np.flatnonzero((self.weak == label) & met) for label in range(self.weak.max(initial=-1) + 1)
        ]
        islands = [island for island in islands if island.size]
        if len(islands) > 1:
            groups = "; ".join(
                _listed([models[i] for i in island.tolist()]) for island in islands[:NAMES_SHOWN]
            )
            return [f"No votes connect these groups, so ratings cannot be compared between them: {groups}."]
        inner = [np.flatnonzero(self.strong == label) for label in range(self.strong.max(initial=-1) + 1)]
        inner = [group for group in inner if group.size > 1]
        if len(inner) > 1:
            groups = "; ".join(_listed([models[i] for i in group.tolist()]) for group in inner[:NAMES_SHOWN])
            return [
                f"Between these groups one side has won every vote, so the distance is the prior's: {groups}."
            ]
        return []


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:NAMES_SHOWN])
    if len(names) > NAMES_SHOWN:
        shown.append(f"{len(names) - NAMES_SHOWN} more")
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]


def connectivity_of_table(table: PairTable) -> Connectivity:
    """The same from counted pairs."""
    n = table.layout.n
    beaten = np.zeros((n, n), dtype=bool)
    won, lost, tied = table.outcomes
    beaten[table.i, table.j] = (won > 0) | (tied > 0)
    beaten[table.j, table.i] = (lost > 0) | (tied > 0)
    return _connectivity(beaten)


def connectivity_of_votes(votes: Votes) -> Connectivity:
    """The same from votes. More votes never undo a connection, so it stops once everybody is connected."""
    n = len(votes.models)
    beaten = np.zeros((n, n), dtype=bool)
    kept = _kept(votes)
    for block in votes.blocks:
        if kept is None and isinstance(block, PairBlock) and block.tally is not None:
            beaten |= _beaten_by_tally(block.tally)
            continue
        size = 1 << 14
        for part in chunks(len(block), size):
            _mark(beaten, block, part, kept)
            if part.start == 0 and beaten.any():
                found = _connectivity(beaten)
                if found.has_finite_maximum:
                    return found
    return _connectivity(beaten)


def _beaten_by_tally(tally: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n, n) from counts by outcome, first and second."""
    tied = tally[TIE] + tally[TIE].T
    return np.asarray((tally[FIRST] + tally[SECOND].T + tied) > 0)


def _kept(votes: Votes) -> NDArray[np.bool_] | None:
    """(total,) votes that count for something; None when all do."""
    kept = np.ones(votes.total, dtype=bool)
    for numbers in (votes.counts, votes.weights):
        if numbers is not None:
            kept &= numbers > 0
    return None if kept.all() else kept


def _mark(beaten: NDArray[np.bool_], block: Block, part: slice, kept: NDArray[np.bool_] | None) -> None:
    use: slice | NDArray[np.intp] = slice(None)
    if kept is not None:
        use = np.flatnonzero(kept[part if block.rows is None else block.rows[part]])
    if isinstance(block, PairBlock):
        first, second, outcome = block.first[part][use], block.second[part][use], block.outcome[part][use]
        for code, up, down in ((FIRST, first, second), (SECOND, second, first)):
            chosen = (outcome == code) | (outcome == TIE)
            beaten[up[chosen], down[chosen]] = True
        return
    items, levels = block.items[:, part][:, use], block.levels()
    unranked = len(block.sizes)
    for c, above in enumerate(levels):
        for d, below in enumerate(levels):
            if c != d and above <= below and above != unranked:
                beaten[items[c], items[d]] = True


def _connectivity(beaten: NDArray[np.bool_]) -> Connectivity:
    if beaten.size and _reaches_all(beaten) and _reaches_all(beaten.T):
        label = np.zeros(len(beaten), dtype=np.intp)
        return Connectivity(None, label, label)
    graph = csr_array(beaten)
    _, strong = connected_components(graph, directed=True, connection="strong")
    _, weak = connected_components(graph, directed=False)
    return Connectivity(beaten, weak.astype(np.intp), strong.astype(np.intp))


def _reaches_all(beaten: NDArray[np.bool_]) -> bool:
    """Whether a chain of wins leads from the first model to every other."""
    reached = np.zeros(len(beaten), dtype=bool)
    reached[0] = True
    frontier = reached
    while frontier.any():
        frontier = beaten[frontier].any(axis=0) & ~reached
        reached |= frontier
    return bool(reached.all())
