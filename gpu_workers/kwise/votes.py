"""Votes as tensors. Every vote is a weak order over the responses of one battle."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

UNRANKED = 1_000  # the place of a response below all ranked ones, in no known order with its like
ABSENT = 1_000_000  # the place of a slot that this ranking does not have (rankings of unequal K in one batch)


@dataclass(frozen=True)
class VoteBatch:
    """The orders of a batch of rankings.

    places: (batch, K) integers: 1 is best, equal is tied, UNRANKED is below all ranked, ABSENT is no
    response. weights: (batch,) how much each vote counts.
    """

    places: Tensor
    weights: Tensor

    @property
    def present(self) -> Tensor:
        """(batch, K) bool."""
        return self.places != ABSENT

    def wins(self) -> Tensor:
        """(batch, K, K) bool: [b, i, j] where the voter put i above j."""
        above = self.places[:, :, None] < self.places[:, None, :]
        return above & self.present[:, None, :]

    def ties(self) -> Tensor:
        """(batch, K, K) bool, upper triangle: [b, i, j], i < j, where the voter put i and j level."""
        ranked = self.places < UNRANKED
        level = (self.places[:, :, None] == self.places[:, None, :]) & ranked[:, :, None]
        return torch.triu(level, diagonal=1)

    def top(self) -> Tensor:
        """(batch, K) bool: the best response, or all that share the best place."""
        return self.places == self.places.min(dim=1, keepdim=True).values

    def to(self, device: torch.device) -> "VoteBatch":
        return VoteBatch(places=self.places.to(device), weights=self.weights.to(device))


def vote_batch(
    places: Sequence[Sequence[int | None]], weights: Sequence[float] | None = None, k: int | None = None
) -> VoteBatch:
    """The batch of orders given as ranks by slot: None is unranked; short rankings are filled up to `k`."""
    width = k or max(len(row) for row in places)
    filled = torch.full((len(places), width), ABSENT, dtype=torch.long)
    for b, row in enumerate(places):
        filled[b, : len(row)] = torch.tensor([UNRANKED if place is None else place for place in row])
    given = [1.0] * len(places) if weights is None else list(weights)
    return VoteBatch(places=filled, weights=torch.tensor(given, dtype=torch.float32))
