"""The gradient of one step: of whole micro-batches at a time, or of one response at a time.

Directly: each micro-batch is scored, its loss taken and sent back. Memory grows with the responses that are
alive together. From a cache: everything is scored without a graph first, the loss of the whole step is taken
of those numbers, and then each piece is scored again with a graph and given its part of the gradient (the
cache of Gao et al. 2021, arXiv 2101.06983, here per response). The peak is that of one response whatever K
is, at the price of one more forward pass; the gradient is the same. Objectives whose loss looks at the whole
step need it too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpu_workers.kwise.encoding import EncodedRanking

Outputs = dict[str, Tensor]  # what the model gives for rankings, each (batch, K) or (batch, K, T)
Score = Callable[[Sequence[EncodedRanking], int], Outputs]


@dataclass(frozen=True)
class Piece:
    """Rankings that are scored together, and where their outputs belong: row of the step, and slot or None
    for all.
    """

    rankings: tuple[EncodedRanking, ...]
    rows: tuple[int, ...]
    slot: int | None = None


def by_response(batch: Sequence[EncodedRanking]) -> list[Piece]:
    """One piece per response."""
    return [
        Piece((ranking.only(slot),), (row,), slot)
        for row, ranking in enumerate(batch)
        for slot in range(len(ranking.responses))
    ]


def by_part(batch: Sequence[EncodedRanking], parts: Sequence[Sequence[EncodedRanking]]) -> list[Piece]:
    """One piece per micro-batch."""
    rows = {id(ranking): row for row, ranking in enumerate(batch)}
    return [Piece(tuple(part), tuple(rows[id(ranking)] for ranking in part)) for part in parts]


class Cache:
    """The outputs of a step's pieces, as leaves that take the gradient of its loss."""

    def __init__(self, pieces: Sequence[Piece], score: Score, batch: int, k: int) -> None:
        self.pieces, self.score, self.k = pieces, score, k
        self.states: list[Tensor] = []
        found: list[Outputs] = []
        for piece in pieces:
            self.states.append(torch.get_rng_state())  # dropout must fall the same way twice
            with torch.no_grad():
                found.append(score(piece.rankings, self._width(piece)))
        self.outputs = self._laid_out(found, batch)
        for values in self.outputs.values():
            values.requires_grad_()

    def _width(self, piece: Piece) -> int:
        return self.k if piece.slot is None else 1

    def _laid_out(self, found: Sequence[Outputs], batch: int) -> Outputs:
        laid: Outputs = {}
        for name, example in found[0].items():
            shape = [batch, self.k]
            if example.dim() == 3:
                shape.append(max(outputs[name].shape[2] for outputs in found))
            laid[name] = example.new_zeros(shape)
        for piece, outputs in zip(self.pieces, found, strict=True):
            for name, values in outputs.items():
                laid[name][self._place(piece, values)] = values if piece.slot is None else values[0, 0]
        return laid

    def _place(self, piece: Piece, values: Tensor) -> tuple[Any, ...]:
        """Where the values of a piece lie among those of the step."""
        ends = tuple(slice(size) for size in values.shape[2:])
        if piece.slot is None:
            return (list(piece.rows), slice(None), *ends)
        return (piece.rows[0], piece.slot, *ends)

    def send_back(self) -> None:
        """Give every piece its part of the gradient, after the loss of the step was sent back to the
        outputs.
        """
        after = torch.get_rng_state()
        for piece, state in zip(self.pieces, self.states, strict=True):
            torch.set_rng_state(state)
            outputs = self.score(piece.rankings, self._width(piece))
            wanted, given = [], []
            for name, values in outputs.items():
                whole = self.outputs[name].grad
                if whole is None or not values.requires_grad:
                    continue
                slope = whole[self._place(piece, values)]
                wanted.append(values)
                given.append(slope.view_as(values))
            if wanted:
                torch.autograd.backward(wanted, given)
        torch.set_rng_state(after)
