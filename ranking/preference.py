"""When preference runs in circles: cycles, a model that allows them, and the mixture that cannot be beaten.

Bradley-Terry puts everybody on one line. The general preference model adds a low-rank skew-symmetric part:
logit P(i over j) = theta_i - theta_j + sum_r (u_ri v_rj - v_ri u_rj). It should be believed only where it
predicts votes it has not seen better than the line does, which `compare_preference` tests.
Rankings enter as their pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize
from scipy.special import expit, ndtri

from ranking.blocks import PairBlock
from ranking.errors import BadVotes
from ranking.likelihood.terms import Floats
from ranking.outcomes import FIRST, SECOND
from ranking.votes import Votes


@dataclass(frozen=True)
class Cycle:
    """first beats second, second beats third, third beats first; `z` is that of the weakest of the three."""

    models: tuple[str, str, str]
    z: float


def win_table(votes: Votes) -> Floats:
    """(n, n) how often the row was preferred to the column in a vote that showed both; a tie is half."""
    n = len(votes.models)
    wins = np.zeros((n, n))
    repeats = np.ones(votes.total)
    for numbers in (votes.counts, votes.weights):
        repeats = repeats if numbers is None else repeats * numbers
    for block in votes.blocks:
        weight = repeats[slice(None) if block.rows is None else block.rows]
        if isinstance(block, PairBlock):
            share = np.where(block.outcome == FIRST, 1.0, np.where(block.outcome == SECOND, 0.0, 0.5))
            np.add.at(wins, (block.first, block.second), weight * share)
            np.add.at(wins, (block.second, block.first), weight * (1.0 - share))
            continue
        levels, unranked = block.levels(), len(block.sizes)
        for c, d in combinations(range(block.width), 2):
            if levels[c] == levels[d] == unranked:
                continue
            part = 0.5 if levels[c] == levels[d] else 1.0
            np.add.at(wins, (block.items[c], block.items[d]), weight * part)
            np.add.at(wins, (block.items[d], block.items[c]), weight * (1.0 - part))
    return wins


def cycles(votes: Votes, *, level: float = 0.95) -> list[Cycle]:
    """Circles of three whose every step is beyond chance, the clearest first.

    Each step is tested one-sided with Wilson's score statistic at a level that allows for all the pairs
    looked at (Bonferroni), so that on data without circles one appears with probability at most 1 - level.
    """
    wins = win_table(votes)
    total = wins + wins.T
    met = total > 0
    z = np.divide(wins - 0.5 * total, 0.5 * np.sqrt(total), out=np.zeros_like(wins), where=met)
    limit = float(ndtri(1.0 - (1.0 - level) / max(int(met.sum()), 1)))
    beats = z > limit
    found = []
    for i, j in zip(*np.nonzero(beats), strict=True):
        for k in np.flatnonzero(beats[j] & beats[:, i]):
            if i < j and i < k:  # each circle once, from its first model on
                names = (votes.models[i], votes.models[j], votes.models[k])
                found.append(Cycle(names, float(min(z[i, j], z[j, k], z[k, i]))))
    return sorted(found, key=lambda cycle: -cycle.z)


@dataclass(frozen=True)
class Preference:
    """A fitted general preference. `left`, `right` are (rank, n); rank 0 is Bradley-Terry with a ridge."""

    models: tuple[str, ...]
    strengths: Floats  # (n,), mean zero
    left: Floats
    right: Floats

    @property
    def logits(self) -> Floats:
        """(n, n) skew-symmetric log odds that the row is preferred."""
        line = self.strengths[:, np.newaxis] - self.strengths
        return np.asarray(line + self.left.T @ self.right - self.right.T @ self.left)

    def unbeatable(self) -> Floats:
        """(n,) the minimax (Nash, von Neumann) mixture: nobody is preferred to a draw from it on average."""
        return minimax(expit(self.logits))


def minimax(preferred: Floats) -> Floats:
    """(n,) probabilities whose worst rival wins least, given preferred[i, j] = P(i over j)."""
    n = len(preferred)
    payoff = preferred - preferred.T
    # Maximise v subject to payoff' x >= v; the game is symmetric, so v is zero at best.
    constraint = np.hstack([-payoff.T, np.ones((n, 1))])
    found = linprog(
        np.append(np.zeros(n), -1.0), A_ub=constraint, b_ub=np.zeros(n),
        A_eq=np.append(np.ones(n), 0.0)[np.newaxis], b_eq=[1.0], bounds=[(0, 1)] * n + [(None, None)],
    )  # fmt: skip
    if not found.success:
        raise BadVotes(f"The minimax mixture was not found: {found.message}")
    return np.asarray(np.clip(found.x[:n], 0.0, 1.0) / found.x[:n].sum())


def fit_preference(votes: Votes, *, rank: int = 1, ridge: float = 1.0, seed: int = 0) -> Preference:
    """The general preference of this rank, by L-BFGS with a ridge on its cyclic part. Local optimum."""
    return _fit_table(votes.models, win_table(votes), rank, ridge, np.random.default_rng(seed))


def _fit_table(
    models: tuple[str, ...], wins: Floats, rank: int, ridge: float, rng: np.random.Generator
) -> Preference:
    n = len(models)
    i, j = np.nonzero(np.triu(wins + wins.T, 1))
    won, total = wins[i, j], wins[i, j] + wins[j, i]

    def loss(flat: Floats) -> tuple[float, Floats]:
        theta, left, right = _parts(flat, n, rank)
        gap = theta[i] - theta[j] + (left[:, i] * right[:, j] - right[:, i] * left[:, j]).sum(axis=0)
        value = float(total @ np.logaddexp(0.0, gap) - won @ gap)
        # A faint ridge on the line keeps the undefeated finite; the cyclic part carries the real one.
        value += 0.5 * ridge * float((left**2).sum() + (right**2).sum()) + 0.005 * float(theta @ theta)
        pull = total * expit(gap) - won
        slope = np.concatenate(
            [
                (np.bincount(i, pull, n) - np.bincount(j, pull, n) + 0.01 * theta)[np.newaxis],
                ridge * left + _scatter(i, pull * right[:, j], n) - _scatter(j, pull * right[:, i], n),
                ridge * right + _scatter(j, pull * left[:, i], n) - _scatter(i, pull * left[:, j], n),
            ]
        )
        return value, slope.ravel()

    start = np.concatenate([np.zeros(n), 0.3 * rng.standard_normal(2 * rank * n)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    theta, left, right = _parts(found.x, n, rank)
    return Preference(models, theta - theta.mean(), left, right)


def _parts(flat: Floats, n: int, rank: int) -> tuple[Floats, Floats, Floats]:
    rows = flat.reshape(1 + 2 * rank, n)
    return rows[0], rows[1 : 1 + rank], rows[1 + rank :]


def _scatter(index: NDArray[np.intp], values: Floats, n: int) -> Floats:
    """(rank, n) sums of values (rank, p) by index (p,)."""
    return np.array([np.bincount(index, row, n) for row in values]).reshape(len(values), n)


@dataclass(frozen=True)
class Comparison:
    """Held-out log-likelihood per vote of the cyclic model less that of the line, and how sure that is."""

    gain: float
    se: float
    rank: int

    @property
    def better(self) -> bool:
        """Whether the cyclic model predicts unseen votes better, beyond two standard errors."""
        return self.gain > 2.0 * self.se


def compare_preference(
    votes: Votes, *, rank: int = 1, ridge: float = 1.0, folds: int = 5, seed: int = 0
) -> Comparison:
    """Cross-validate the general preference against Bradley-Terry on votes that neither has seen."""
    rng = np.random.default_rng(seed)
    if votes.total < 2 * folds:
        raise BadVotes(f"It takes at least {2 * folds} votes to hold some out; there are {votes.total}.")
    fold = rng.permutation(votes.total) % folds
    gains: list[float] = []
    for held in range(folds):
        seen = win_table(votes.taken(fold != held))
        cyclic = _fit_table(votes.models, seen, rank, ridge, rng)
        line = _fit_table(votes.models, seen, 0, ridge, rng)
        unseen = win_table(votes.taken(fold == held))
        difference = -np.logaddexp(0.0, -cyclic.logits) + np.logaddexp(0.0, -line.logits)
        gains.append(float((unseen * difference).sum() / max(unseen.sum(), 1e-12)))
    return Comparison(float(np.mean(gains)), float(np.std(gains, ddof=1) / np.sqrt(folds)), rank)
