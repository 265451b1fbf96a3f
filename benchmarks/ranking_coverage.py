"""Coverage from known truth, for benchmarks/ranking.py: how often intervals hold what they claim."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranking import Fit, Votes, fit
from ranking.matchmaking import Posterior, choose

N = 15
NAMES = [f"model {place:02d}" for place in range(N)]
TRUTH = np.linspace(0.9, -0.9, N)
TASTE = 0.9
VOTERS, PROMPTS, EACH = 40, 40, 60


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


def adaptive(rounds: int) -> tuple[float, float]:
    """(estimated prior, maximum likelihood) after 250 votes of four on battles drawn by our matchmaker."""
    rng = np.random.default_rng(6)
    estimated, plain = 0.0, 0.0
    for _ in range(rounds):
        truth = 0.8 * rng.normal(size=N)
        truth -= truth.mean()
        votes = _drawn(rng, truth)
        estimated += _covered(fit(votes, prior="estimated", covariance="model"), truth) / rounds
        plain += _covered(fit(votes), truth) / rounds
    return estimated, plain


def _drawn(rng: np.random.Generator, truth: np.ndarray) -> Votes:
    posterior = Posterior.prior(N)
    groups, ranks = [], []
    for _ in range(250):
        group = list(choose(posterior, 4, rng).group)
        score = truth[group] + rng.gumbel(size=4)
        places = [int(1 + (score > own).sum()) for own in score]
        posterior = posterior.updated(group, places)
        groups.append(group)
        ranks.append(places)
    return Votes.from_rankings(NAMES, np.array(groups), np.array(ranks))


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
