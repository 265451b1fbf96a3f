"""Battles drawn before anybody asks for them: which responses a campaign's next items show."""

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from arena.models import Arena, Contestant
from arena.services.matchmaking import Draw, responses_to, what_is_known
from ranking.matchmaking import Posterior, choose

REDRAWS = 30
RANDOM = "random"

_random = secrets.SystemRandom()
Group = frozenset[int]


@dataclass(frozen=True)
class Pool:
    """The responses that battles on one prompt may show, by contestant."""

    prompt: int
    responses: Mapping[int, Sequence[int]]


def pools(*, prompts: Sequence[int], contestants: Collection[int], k: int) -> list[Pool]:
    """One pool per prompt, in their order; prompts with fewer than `k` answers are left out."""
    answered = responses_to(prompts, dict.fromkeys(contestants, 1.0))
    return [Pool(prompt, answered[prompt]) for prompt in prompts if len(answered[prompt]) >= k]


def draw_ahead(
    *,
    arena: Arena,
    pools: Sequence[Pool],
    k: int,
    times: int = 1,
    pending: Sequence[Collection[int]] = (),
    taken: Mapping[int, Collection[Group]] | None = None,
) -> list[Draw]:
    """One draw per pool by the arena's strategy, each expecting the answers of those before it.

    Each will be answered `times` times; `pending` are groups of contestants whose answers are
    still to come. A group that is `taken` for its prompt is not drawn for it again: the
    propensity is that of the draw before this was looked at. A prompt all of whose groups are
    taken gives none.
    """
    ids, posterior = what_is_known(arena, list(_contestants(arena)))
    place = {contestant: index for index, contestant in enumerate(ids)}
    weights = _weights(arena, place)
    posterior = posterior.expecting([[place[one] for one in group] for group in pending])
    used = {prompt: set(groups) for prompt, groups in (taken or {}).items()}
    rng = np.random.default_rng(secrets.randbits(128))
    draws = []
    for pool in pools:
        there = used.setdefault(pool.prompt, set())
        if len(there) >= comb(len(pool.responses), k):
            continue
        available = np.zeros(len(ids), dtype=bool)
        available[[place[contestant] for contestant in pool.responses]] = True
        draw = _draw(posterior, pool, k, rng, ids, arena.strategy, available, weights, there)
        there.add(frozenset(draw.contestants))
        posterior = posterior.expecting([[place[one] for one in draw.contestants]], times=times)
        draws.append(draw)
    return draws


def all_combinations(*, pools: Sequence[Pool], k: int) -> Iterator[Draw]:
    """Every set of `k` contestants of every pool once, in no foreseeable order within a prompt."""
    for pool in pools:
        groups = list(combinations(sorted(pool.responses), k))
        _random.shuffle(groups)
        for group in groups:
            yield _made(pool, group, "all", 1.0)


def _draw(
    posterior: Posterior,
    pool: Pool,
    k: int,
    rng: np.random.Generator,
    ids: Sequence[int],
    strategy: str,
    available: np.ndarray,
    weights: np.ndarray,
    there: Collection[Group],
) -> Draw:
    for _ in range(REDRAWS):
        choice = choose(posterior, k, rng, strategy=strategy, available=available, weights=weights)
        group = [ids[index] for index in choice.group]
        if frozenset(group) not in there:
            return _made(pool, group, choice.strategy, float(choice.propensity))
    # The strategy wants what is there already: any other group, each with the same chance.
    rest = [one for one in combinations(sorted(pool.responses), k) if frozenset(one) not in there]
    return _made(pool, _random.choice(rest), RANDOM, 1 / len(rest))


def _made(pool: Pool, group: Sequence[int], strategy: str, propensity: float) -> Draw:
    return Draw(
        prompt=pool.prompt,
        contestants=tuple(group),
        responses=tuple(_random.choice(pool.responses[contestant]) for contestant in group),
        strategy=strategy,
        propensity=propensity,
    )


def _contestants(arena: Arena) -> Iterator[int]:
    yield from Contestant.objects.filter(arena=arena).order_by("id").values_list("id", flat=True)


def _weights(arena: Arena, place: Mapping[int, int]) -> np.ndarray:
    """(n,) how often each is drawn. One at rest (0) that a campaign names is drawn like the others."""
    weights = np.ones(len(place))
    for contestant, weight in Contestant.objects.filter(arena=arena).values_list("id", "weight"):
        if contestant in place and weight > 0:
            weights[place[contestant]] = weight
    return weights
