"""Attacks on a simulated arena: what is caught, what is not, and what the leaderboard is worth afterwards.

Twenty contestants 60 Elo apart (sd), 800 honest voters with tastes of 60 Elo (sd) and a 5 % lapse rate,
20,000 honest votes on random pairs. The target is the tenth. What the tests cannot catch is a test too.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest

from ranking import Votes, fit
from ranking.integrity import Integrity, assess, cohort_test
from ranking.simulate import ELO, World, kendall_tau, tastes
from ranking.surplus import scores

N, HONEST, VOTES, SEEN_RATE = 20, 800, 20_000, 0.95
LEVEL = 0.05


@dataclass(frozen=True)
class Honest:
    """The honest part of an arena: who voted how, and the board it makes."""

    world: World
    groups: np.ndarray
    ranks: np.ndarray
    voters: np.ndarray
    skipped: np.ndarray
    board: np.ndarray
    target: int


def fitted(groups, ranks):
    names = [str(number) for number in range(N)]
    return fit(Votes.from_rankings(names, groups.tolist(), ranks.tolist()), model="bradley-terry").strengths


def pairs(rng, count):
    first = rng.integers(N, size=count)
    return np.stack([first, (first + rng.integers(1, N, size=count)) % N], axis=1)


@lru_cache
def honest(seed: int) -> Honest:
    rng = np.random.default_rng(seed)
    skills = rng.normal(size=N) * 60 / ELO
    world = tastes(World(skills - skills.mean()), HONEST, 60 / ELO, rng)
    industry = rng.lognormal(size=HONEST)
    voters = rng.choice(HONEST, p=industry / industry.sum(), size=VOTES)
    groups = pairs(rng, VOTES)
    ranks = world.votes(groups, rng, voters)
    skipped = rng.binomial(np.bincount(voters, minlength=HONEST), 0.1)
    board = fitted(groups, ranks)
    return Honest(world, groups, ranks, voters, skipped, board, int(np.argsort(-board)[9]))


@dataclass(frozen=True)
class Attack:
    groups: np.ndarray
    ranks: np.ndarray
    voters: np.ndarray
    skipped: np.ndarray


def attack(arena: Honest, kind: str, votes: int, each: int, seed: int) -> Attack:
    """`votes` rigged votes by accounts that cast `each`; 95 % of the target's battles are recognised."""
    rng = np.random.default_rng([seed, votes, each])
    accounts = np.repeat(np.arange(votes // each), each)
    groups, skipped = pairs(rng, votes), np.zeros(votes // each, dtype=int)
    if kind == "target-only":
        # Everything without the target is skipped: one battle in ten has it.
        groups[:, 0] = arena.target
        groups[:, 1] = (arena.target + rng.integers(1, N, size=votes)) % N
        groups = rng.permuted(groups, axis=1)
        skipped = rng.negative_binomial(each, 2 / N, size=votes // each)
    ranks = World(arena.world.skills).votes(groups, rng)
    if kind in ("target-only", "omnipresent", "camouflaged"):
        knows = rng.random(votes) < SEEN_RATE
        for slot in (0, 1):
            ranks[knows & (groups[:, slot] == arena.target)] = [1, 2] if slot == 0 else [2, 1]
    if kind == "omnipresent":
        # Elsewhere it pulls down whoever stands above the target.
        above = arena.board[groups] > arena.board[arena.target]
        other = ~(groups == arena.target).any(axis=1)
        ranks[other & above[:, 0] & ~above[:, 1]] = [2, 1]
        ranks[other & ~above[:, 0] & above[:, 1]] = [1, 2]
    if kind == "always-left":
        ranks[:] = [1, 2]
    return Attack(groups, ranks, accounts, skipped)


def judged(arena: Honest, rigged: Attack | None) -> tuple[Integrity, np.ndarray, np.ndarray, np.ndarray]:
    """The evidence against everybody, and all votes: groups, ranks, voters."""
    parts = [(arena.groups, arena.ranks, arena.voters)]
    skipped = arena.skipped
    if rigged is not None:
        parts.append((rigged.groups, rigged.ranks, rigged.voters + HONEST))
        skipped = np.concatenate([skipped, rigged.skipped])
    groups, ranks, voters = (np.concatenate(column) for column in zip(*parts, strict=True))
    cast = np.bincount(voters, minlength=len(skipped))
    found = assess(
        groups.tolist(),
        ranks.tolist(),
        voters,
        fitted(groups, ranks),
        voter_count=len(skipped),
        served=cast + skipped,
        skipped=skipped,
    )
    return found, groups, ranks, voters


def caught(found: Integrity) -> tuple[float, float]:
    """(honest voters with ten votes or more that are suspected, attackers that are), as shares."""
    suspects = np.isin(np.arange(len(found.votes)), found.suspects(LEVEL))
    known = found.votes[:HONEST] >= 10
    rigged = suspects[HONEST:]
    return float(suspects[:HONEST][known].mean()), float(rigged.mean()) if len(rigged) else 0.0


def place(board, target):
    return int((board > board[target]).sum())


@pytest.mark.parametrize(
    ("kind", "votes", "each", "least"),
    [
        ("target-only", 400, 25, 0.95),
        ("target-only", 800, 10, 0.95),
        ("omnipresent", 800, 100, 0.95),
        ("always-left", 400, 25, 0.95),
    ],
)
def test_loud_attackers_are_caught_and_the_leaderboard_recovers(kind, votes, each, least):
    shifts, shares = [], []
    for seed in range(3):
        arena = honest(seed)
        found, groups, ranks, voters = judged(arena, attack(arena, kind, votes, each, seed))
        wrongly, rightly = caught(found)
        kept = ~np.isin(voters, found.suspects(LEVEL))
        cleaned = fitted(groups[kept], ranks[kept])
        shifts.append(place(arena.board, arena.target) - place(cleaned, arena.target))
        shares.append(rightly)
        assert wrongly <= 0.01

    assert np.mean(shares) >= least, shares
    assert np.abs(shifts).max() <= 1, shifts


def test_without_a_defence_the_same_attack_moves_the_target_by_several_places():
    """Or the test above would prove nothing."""
    arena = honest(0)
    _found, groups, ranks, _voters = judged(arena, attack(arena, "target-only", 400, 25, 0))

    assert place(arena.board, arena.target) - place(fitted(groups, ranks), arena.target) >= 3


def test_where_all_are_honest_nobody_is_suspected_and_no_rank_moves_by_more_than_one():
    for seed in range(3):
        arena = honest(seed)
        found, groups, ranks, voters = judged(arena, None)
        wrongly, _ = caught(found)
        kept = ~np.isin(voters, found.suspects(LEVEL))

        assert wrongly <= 0.01
        assert kendall_tau(arena.board, fitted(groups[kept], ranks[kept])) >= 0.99


def test_looking_again_and_again_suspects_no_more():
    """Of honest voters at most LEVEL are ever suspected, at whichever of the looks."""
    arena = honest(0)
    ever: set[int] = set()
    for end in range(VOTES // 20, VOTES + 1, VOTES // 20):
        groups, ranks, voters = arena.groups[:end], arena.ranks[:end], arena.voters[:end]
        found = assess(groups.tolist(), ranks.tolist(), voters, arena.board, voter_count=HONEST)
        ever |= set(found.suspects(LEVEL).tolist())

    assert len(ever) / HONEST <= 0.01


def cohort(seed: int, kind: str, votes: int):
    """Forty honest newcomers and the attackers came by one invitation; the board is fitted without them."""
    arena = honest(seed)
    rng = np.random.default_rng([7, seed])
    newcomers = tastes(World(arena.world.skills), 40, 60 / ELO, rng)
    voters = np.repeat(np.arange(40), 25)
    groups = pairs(rng, len(voters))
    ranks = newcomers.votes(groups, rng, voters)
    if kind:
        rigged = attack(arena, kind, votes, 25, seed)
        groups, ranks = np.vstack([groups, rigged.groups]), np.vstack([ranks, rigged.ranks])
        voters = np.concatenate([voters, rigged.voters + 40])
    found = scores(groups.tolist(), ranks.tolist(), voters, arena.board)
    return arena, cohort_test(found, np.unique(voters), N)


@pytest.mark.parametrize(
    ("kind", "votes", "least"),
    [("camouflaged", 800, 0.75), ("camouflaged", 1600, 0.99), ("omnipresent", 800, 0.75)],
)
def test_quiet_attackers_are_caught_as_a_cohort(kind, votes, least):
    found = [cohort(seed, kind, votes) for seed in range(8)]

    assert np.mean([test.is_suspect(LEVEL) for _, test in found]) >= least
    if kind == "camouflaged":
        assert all(test.contestant == arena.target for arena, test in found if test.is_suspect(LEVEL))


def test_an_honest_cohort_is_not_suspected():
    assert [seed for seed in range(6) if cohort(seed, "", 0)[1].is_suspect(LEVEL)] == []


def test_what_is_not_caught_is_known():
    """Camouflaged accounts of 25 votes show nothing one by one, and 2 % of the votes move a place or so."""
    arena = honest(0)
    found, groups, ranks, _voters = judged(arena, attack(arena, "camouflaged", 400, 25, 0))

    assert caught(found)[1] <= 0.1
    assert abs(place(arena.board, arena.target) - place(fitted(groups, ranks), arena.target)) <= 2
