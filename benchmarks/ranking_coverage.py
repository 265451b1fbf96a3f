"""Coverage from known truth, for benchmarks/ranking.py: how often intervals hold what they claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranking import Fit, Votes, fit
from ranking.matchmaking.lockstep import Lockstep

N = 15
NAMES = [f"model {place:02d}" for place in range(N)]
TRUTH = np.linspace(0.9, -0.9, N)
TASTE = 0.9
VOTERS, PROMPTS, EACH = 40, 40, 60
# Voters of a published board, and how many it takes to cluster by them (arena/services/leaderboards.py).
CROWD, VOTERS_TO_CLUSTER = 30, 20


def independent(rounds: int) -> tuple[float, float]:
    """(share of ratings covered, share of boards whose rank ranges all hold) with independent votes."""
    rng = np.random.default_rng(4)
    inside, whole = 0.0, 0
    places = 1 + np.argsort(np.argsort(-TRUTH))
    for _ in range(rounds):
        groups = np.argsort(rng.random((600, N)), axis=1)[:, :3]
        found = fit(_ranked(groups, TRUTH[groups] + rng.gumbel(size=groups.shape)))
        inside += _covered(found, TRUTH) / rounds
        rows = {row.model: row for row in found.table(draws=300)}
        ranges = [(rows[name].rank_lower, rows[name].rank_upper) for name in found.models]
        whole += all(low <= place <= high for (low, high), place in zip(ranges, places, strict=True))
    return inside, whole / rounds


def clustered(rounds: int) -> tuple[float, float]:
    """(clustered both ways, as if independent) under tastes of voters and of prompts per contestant."""
    rng = np.random.default_rng(5)
    # What the crowd's strengths are: a great many votes, each of a voter and a prompt of its own.
    groups = np.argsort(rng.random((300_000, N)), axis=1)[:, :2]
    noise = rng.gumbel(size=groups.shape) + np.sqrt(2.0) * TASTE * rng.normal(size=groups.shape)
    truth = fit(_ranked(groups, TRUTH[groups] + noise)).strengths
    both, naive = 0.0, 0.0
    for _ in range(rounds):
        votes = _tasteful(rng)
        both += _covered(fit(votes, cluster="both"), truth) / rounds
        naive += _covered(fit(votes), truth) / rounds
    return both, naive


def board_rule(votes: Votes, voters: int) -> Fit:
    """The fit that an arena publishes: see "Which interval" in docs/methods.md."""
    if voters >= VOTERS_TO_CLUSTER:
        return fit(votes, prior="estimated", cluster="voter")
    return fit(votes, prior="estimated", covariance="model")


@dataclass(frozen=True)
class Study:
    """Boards of N contestants, strengths N(0, sd^2), voted on in battles of k."""

    adaptive: bool  # battles drawn by our matchmaker, or at random
    votes: int
    k: int
    taste: float = 0.0  # standard deviation of each voter's taste for each contestant
    sd: float = 0.8


def published(study: Study, boards: int) -> tuple[float, float]:
    """Coverage of (the rule that boards are published by, maximum likelihood with a sandwich)."""
    rng = np.random.default_rng([7, study.votes, study.k])
    truths = study.sd * rng.normal(size=(boards, N))
    truths -= truths.mean(axis=1, keepdims=True)
    taste = study.taste * rng.normal(size=(boards, CROWD, N))
    orders, voters = _played(study, truths, taste, rng)
    by_rule, plain = 0.0, 0.0
    for truth, order, voter in zip(truths, orders, voters, strict=True):
        crowd = _crowd(truth, study.taste, rng)
        ranks = np.tile(np.arange(1, study.k + 1), (len(order), 1))
        votes = Votes.from_rankings(NAMES, order, ranks, voters=voter)
        by_rule += _covered(board_rule(votes, CROWD if study.taste else 1), crowd) / boards
        plain += _covered(fit(votes), crowd) / boards
    return by_rule, plain


def _played(
    study: Study, truths: np.ndarray, taste: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Orders (boards, votes, k), best first, and voters (boards, votes)."""
    boards = len(truths)
    at = np.arange(boards)[:, None]
    studies = Lockstep(boards, N, study.k)
    orders, voters = [], []
    next_refit = 50
    for cast in range(1, study.votes + 1):
        if study.adaptive:
            groups = studies.draw(rng)
        else:
            groups = np.argsort(rng.random((boards, N)), axis=1)[:, : study.k]
        voter = rng.integers(CROWD, size=boards)
        score = truths[at, groups] + taste[at, voter[:, None], groups] + rng.gumbel(size=groups.shape)
        orders.append(np.take_along_axis(groups, np.argsort(-score, axis=1), axis=1))
        voters.append(voter)
        if study.adaptive:
            studies.learn(orders[-1])
            if cast >= next_refit:
                studies.refit()
                next_refit = int(1.1 * next_refit)
    return np.stack(orders, axis=1), np.stack(voters, axis=1)


def _crowd(truth: np.ndarray, taste: float, rng: np.random.Generator) -> np.ndarray:
    """What a great many votes, each of a voter of its own, would say: tastes are noise to it."""
    if not taste:
        return truth
    groups = np.argsort(rng.random((40_000, N)), axis=1)[:, :4]
    score = truth[groups] + taste * rng.normal(size=groups.shape) + rng.gumbel(size=groups.shape)
    return fit(_ranked(groups, score)).strengths


def _tasteful(rng: np.random.Generator) -> Votes:
    voters = np.repeat(np.arange(VOTERS), EACH)
    prompts = rng.integers(0, PROMPTS, len(voters))
    groups = np.argsort(rng.random((len(voters), N)), axis=1)[:, :2]
    score = TRUTH[groups] + rng.gumbel(size=groups.shape)
    score += TASTE * rng.normal(size=(VOTERS, N))[voters[:, None], groups]
    score += TASTE * rng.normal(size=(PROMPTS, N))[prompts[:, None], groups]
    return _ranked(groups, score, voters=voters, prompts=prompts)


def _covered(found: Fit, truth: np.ndarray) -> float:
    reach = found.critical() * found.standard_errors
    return float((np.abs(found.strengths - truth) < reach).mean())


def _ranked(groups: np.ndarray, score: np.ndarray, **columns: Any) -> Votes:
    ranks = 1 + (score[:, None, :] > score[:, :, None]).sum(axis=2)
    return Votes.from_rankings(NAMES, groups, ranks, **columns)
