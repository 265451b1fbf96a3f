"""Votes drawn from known truth, for tests that compare or recover."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranking import Votes

NAMES = [f"model {place}" for place in range(100)]


def random_rankings(
    rng: np.random.Generator, n: int, votes: int, k: int, *, truth: Any = None, grain: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """groups (votes, k) and ranks (votes, k) of Gumbel noise on `truth`; `grain` rounds scores into ties."""
    strength = np.zeros(n) if truth is None else np.asarray(truth)
    groups = np.argsort(rng.random((votes, n)), axis=1)[:, :k]
    score = strength[groups] + rng.gumbel(size=(votes, k))
    if grain is not None:
        score = np.round(score / grain)
    ranks = 1 + (score[:, np.newaxis, :] > score[:, :, np.newaxis]).sum(axis=2)
    return groups, ranks


def random_votes(rng: np.random.Generator, n: int, votes: int, k: int, **more: Any) -> Votes:
    truth, grain = more.pop("truth", None), more.pop("grain", None)
    groups, ranks = random_rankings(rng, n, votes, k, truth=truth, grain=grain)
    return Votes.from_rankings(NAMES[:n], groups, ranks, **more)
