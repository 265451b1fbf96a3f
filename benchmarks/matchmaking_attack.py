"""An attacker in the matchmaking benchmark: how far accounts that always favour one contestant move it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.matchmaking_peers import Floats, Ints, best_first
from ranking import Votes, fit
from ranking.matchmaking.lockstep import Lockstep
from ranking.raters import fit_with_raters
from ranking.simulate import ELO, World, gauss

N, K = 20, 4
SD = 60.0 / ELO
HONEST_VOTERS, HONEST_VOTES = 200, 9_800
ATTACKERS, ATTACK_VOTES = 8, 200  # 2 % of all votes
TARGET_RANK = 10


@dataclass(frozen=True)
class Gain:
    """Places the target gains over the board of the honest votes, one number per study."""

    plain: list[int]
    with_raters: list[int]


def attacked(studies: int, *, reload: bool) -> Gain:
    """2 % of the votes put the contestant on rank 10 first whenever they see it, and are honest otherwise.

    Battles are drawn by our matchmaker. With `reload` an attacker asks for battles until it shows the target.
    """
    rng = np.random.default_rng([N, int(reload)])
    worlds = [gauss(N, rng, sd=SD) for _ in range(studies)]
    target = np.array([int(np.argsort(-world.skills)[TARGET_RANK - 1]) for world in worlds])
    orders, voters = _played(worlds, target, reload, rng)
    names = [f"model {place:02d}" for place in range(N)]
    ranks = np.tile(np.arange(1, K + 1), (len(voters), 1))
    plain, with_raters = [], []
    for order, wanted in zip(np.moveaxis(orders, 1, 0), target.tolist(), strict=True):
        honest = voters < HONEST_VOTERS
        all_votes = Votes.from_rankings(names, order, ranks, voters=voters)
        honest_votes = Votes.from_rankings(names, order[honest], ranks[honest])
        true_place = _place(fit(honest_votes).strengths, wanted)
        plain.append(true_place - _place(fit(all_votes).strengths, wanted))
        with_raters.append(true_place - _place(fit_with_raters(all_votes).fit.strengths, wanted))
    return Gain(plain, with_raters)


def _played(worlds: list[World], target: Ints, reload: bool, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Orders (votes, studies, K), best first, and who cast each (votes,)."""
    boards = Lockstep(len(worlds), N, K)
    total = HONEST_VOTES + ATTACK_VOTES
    voters = rng.integers(HONEST_VOTERS, size=total)
    attack = rng.permutation(total)[:ATTACK_VOTES]
    voters[attack] = HONEST_VOTERS + np.arange(ATTACK_VOTES) % ATTACKERS
    orders = np.empty((total, len(worlds), K), dtype=np.int64)
    next_refit = 50
    for at in range(total):
        groups = boards.draw(rng)
        attacks = voters[at] >= HONEST_VOTERS
        if attacks and reload:
            there = (groups == target[:, None]).any(axis=1)
            groups[~there, 0] = target[~there]
        order = best_first(worlds, groups, rng)
        if attacks:
            # The target first, the others as they came: a stable sort by "is not the target".
            order = np.take_along_axis(order, np.argsort(order != target[:, None], axis=1, kind="stable"), 1)
        boards.learn(order)
        orders[at] = order
        if at + 1 >= next_refit:
            boards.refit()
            next_refit = int(1.1 * next_refit)
    return orders, voters


def _place(strengths: Floats, target: int) -> int:
    return 1 + int((strengths > strengths[target]).sum())
