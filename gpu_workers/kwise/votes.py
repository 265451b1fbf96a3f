"""Votes as tensors. Every vote is a weak order over the responses of one battle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

UNRANKED = 1_000  # the place of a response below all ranked ones, in no known order with its like
ABSENT = 1_000_000  # the place of a slot that this ranking does not have (rankings of unequal K in one batch)


@dataclass(frozen=True)
class VoteBatch:
    """The orders of a batch of rankings.

    places: (batch, K) integers: 1 is best, equal is tied, UNRANKED is below all ranked, ABSENT is no
    response. weights: (batch,) how much each vote counts. shares: (batch, K, K) or None: where several votes
    were cast on the same responses, the share of them that puts i above j, a tie half; -1 where none
    compared the two. rewards: (batch, K) or None: explicit rewards, of a reward model.
    """

    places: Tensor
    weights: Tensor
    shares: Tensor | None = None
    rewards: Tensor | None = None

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

    def preferences(self) -> Tensor:
        """(batch, K, K) float: how much [b, i, j] says that i is above j: the shares of several votes, or 1
        and 0 of a single one. The matrix that the pairwise objectives sum over.
        """
        wins = self.wins().float()
        if self.shares is None:
            return wins
        return torch.where(self.shares >= 0, self.shares, wins)

    def top(self) -> Tensor:
        """(batch, K) bool: the best response, or all that share the best place."""
        return self.places == self.places.min(dim=1, keepdim=True).values

    def standing(self) -> Tensor:
        """(batch, K) float from 1 (best) to 0 (worst), 0 where absent: the share of the others that a
        response is above, ties half; explicit rewards where there are any, brought to the same range.
        """
        if self.rewards is not None:
            return _to_unit(self.rewards, self.present)
        preferred = self.preferences()
        both = self.present[:, :, None] & self.present[:, None, :]
        level = (preferred == 0) & (preferred.transpose(1, 2) == 0) & both
        won = (preferred + 0.5 * level.float()).diagonal_scatter(
            torch.zeros_like(self.places, dtype=preferred.dtype), dim1=1, dim2=2
        )
        others = (self.present.sum(dim=1, keepdim=True) - 1).clamp(min=1)
        return (won * both).sum(dim=2) / others

    def only(self, wanted: Tensor) -> "VoteBatch":
        """The same votes with only the `wanted` pairs, (batch, K, K) bool, in their preferences."""
        kept = self.preferences() * (wanted | wanted.transpose(1, 2))
        return replace(self, shares=kept)

    def to(self, device: torch.device) -> "VoteBatch":
        return VoteBatch(
            places=self.places.to(device),
            weights=self.weights.to(device),
            shares=None if self.shares is None else self.shares.to(device),
            rewards=None if self.rewards is None else self.rewards.to(device),
        )


def _to_unit(values: Tensor, present: Tensor) -> Tensor:
    low = values.masked_fill(~present, torch.inf).amin(dim=1, keepdim=True)
    high = values.masked_fill(~present, -torch.inf).amax(dim=1, keepdim=True)
    return ((values - low) / (high - low).clamp(min=1e-9)).masked_fill(~present, 0.0)


def vote_batch(
    places: Sequence[Sequence[int | None]],
    weights: Sequence[float] | None = None,
    k: int | None = None,
    *,
    shares: Sequence[Sequence[Sequence[float]] | None] | None = None,
    rewards: Sequence[Sequence[float] | None] | None = None,
) -> VoteBatch:
    """The batch of orders given as ranks by slot: None is unranked; short rankings are filled up to `k`.

    `shares` and `rewards` are by ranking, None where a ranking has none; rewards count only where all have
    them.
    """
    width = k or max(len(row) for row in places)
    filled = torch.full((len(places), width), ABSENT, dtype=torch.long)
    for b, row in enumerate(places):
        filled[b, : len(row)] = torch.tensor([UNRANKED if place is None else place for place in row])
    given = [1.0] * len(places) if weights is None else list(weights)
    return VoteBatch(
        places=filled,
        weights=torch.tensor(given, dtype=torch.float32),
        shares=_filled_shares(shares or (), width),
        rewards=_filled_rewards(rewards or (), width),
    )


def _filled_shares(shares: Sequence[Sequence[Sequence[float]] | None], width: int) -> Tensor | None:
    if all(one is None for one in shares):
        return None
    filled = torch.full((len(shares), width, width), -1.0)
    for b, matrix in enumerate(shares):
        if matrix is not None:
            filled[b, : len(matrix), : len(matrix)] = torch.tensor(matrix)
    return filled


def _filled_rewards(rewards: Sequence[Sequence[float] | None], width: int) -> Tensor | None:
    if not rewards or any(one is None for one in rewards):
        return None
    return torch.tensor([[*(row or ()), *[0.0] * (width - len(row or ()))] for row in rewards])
