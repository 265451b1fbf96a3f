"""Which prompt and which responses the next battle shows.

The prompt is drawn at random, those the voter has met least first; the contestants are
drawn by the arena's strategy among those with a response to it that the voter has never
been shown. What the votes say so far is kept in the process and brought up to date.
"""

import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import numpy as np
from django.utils import timezone
from django.utils.translation import gettext as _

from arena.errors import AllSeen, NotEnoughResponses
from arena.models import Arena, Battle, Contestant, Prompt, Response, Slot, Voter
from arena.services import vote_log
from arena.services.diversity import apart
from arena.services.rewrites import own_rewrites
from ranking.matchmaking import Posterior, choose

Item = TypeVar("Item")

FIRST_BATCH, LARGEST_BATCH = 16, 1024
IN_FLIGHT_FOR = timedelta(minutes=10)
MOST_IN_FLIGHT = 200
# Votes are worked in one at a time; when these many have come, all are fitted anew.
REFIT_AFTER, REFIT_SHARE = 50, 0.05

# A voter must not be able to foretell a draw: slots are shuffled by the system's random
# numbers, and prompts and contestants are drawn by a generator that they seed each time.
_random = secrets.SystemRandom()


@dataclass(frozen=True)
class Draw:
    """A battle to be: one response per contestant, in the order they are shown.

    `prompt` is None where each response answers a prompt of its own.
    """

    prompt: int | None
    contestants: tuple[int, ...]
    responses: tuple[int, ...]
    strategy: str
    propensity: float


@dataclass(frozen=True)
class Group:
    """The contestants of a battle in the order of its slots, and how they were drawn."""

    contestants: tuple[int, ...]
    strategy: str
    propensity: float


@dataclass
class _Knowledge:
    """What one arena's votes say, as far as this process has read them."""

    contestants: list[int] = field(default_factory=list)
    posterior: Posterior = field(default_factory=lambda: Posterior.prior(0))
    read: int = 0
    fitted: int = 0
    last_vote: int = 0
    out: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


_known: dict[int, _Knowledge] = {}
_known_lock = threading.Lock()


def draw_battle(*, arena: Arena, voter: Voter, k: int, among: Collection[int] = ()) -> Draw:
    """Draw the voter's next battle of `k` responses; with `among` of these contestants alone.

    Raises NotEnoughResponses (AllSeen where the voter's own votes are the reason) with the numbers.
    """
    contestants = list(Contestant.objects.filter(arena=arena).order_by("id"))
    drawable = {
        one.pk: one.weight
        for one in contestants
        if one.retired_at is None and one.weight > 0 and (not among or one.pk in among)
    }
    if len(drawable) < k:
        raise NotEnoughResponses(
            _(
                "A battle of %(k)s needs %(k)s contestants, and this arena has %(count)s. "
                "Ask for fewer responses, or add contestants."
            )
            % {"k": k, "count": len(drawable)}
        )
    rng = np.random.default_rng(secrets.randbits(128))
    prompt, pool = _find_prompt(arena=arena, voter=voter, k=k, drawable=drawable, rng=rng)
    group = draw_group(arena=arena, voter=voter, k=k, among=pool, rng=rng, contestants=contestants)
    chosen = apart({contestant: pool[contestant] for contestant in group.contestants}, _random.choice)
    return Draw(
        prompt=prompt,
        contestants=group.contestants,
        responses=tuple(chosen[contestant] for contestant in group.contestants),
        strategy=group.strategy,
        propensity=group.propensity,
    )


def draw_group(
    *,
    arena: Arena,
    voter: Voter,
    k: int,
    among: Collection[int],
    rng: np.random.Generator | None = None,
    contestants: Sequence[Contestant] | None = None,
) -> Group:
    """Draw `k` of the contestants `among` by the arena's strategy, shuffled into slots."""
    if contestants is None:
        contestants = list(Contestant.objects.filter(arena=arena).order_by("id"))
    ids, posterior = what_is_known(arena, [one.pk for one in contestants])
    place = {contestant: index for index, contestant in enumerate(ids)}
    available, weights = np.zeros(len(ids), dtype=bool), np.ones(len(ids))
    for one in contestants:
        available[place[one.pk]] = one.pk in among
        weights[place[one.pk]] = one.weight
    choice = choose(
        posterior.expecting(_in_flight(arena, voter, place)),
        k,
        rng or np.random.default_rng(secrets.randbits(128)),
        strategy=arena.strategy,
        available=available,
        weights=weights,
    )
    chosen = shuffled(ids[index] for index in choice.group)
    return Group(tuple(chosen), choice.strategy, float(choice.propensity))


def shuffled(items: Iterable[Item]) -> list[Item]:
    """In an order that nobody can foretell."""
    mixed = list(items)
    _random.shuffle(mixed)
    return mixed


def what_is_known(arena: Arena, contestants: Sequence[int]) -> tuple[list[int], Posterior]:
    """The contestants' ids in the posterior's order, and the posterior after the newest vote."""
    with _known_lock:
        knowledge = _known.setdefault(arena.pk, _Knowledge())
    votes = vote_log.read_votes(arena)
    out = vote_log.ruled_out(arena)
    with knowledge.lock:
        _learn(knowledge, contestants, votes, out)
        return list(knowledge.contestants), knowledge.posterior


def forget() -> None:
    """Drop what this process has learned. For tests and after a database was restored."""
    with _known_lock:
        _known.clear()


def _learn(
    knowledge: _Knowledge, contestants: Sequence[int], votes: Sequence[vote_log.LoggedVote], out: set[int]
) -> None:
    new = [one for one in contestants if one not in knowledge.contestants]
    knowledge.contestants.extend(new)
    place = {contestant: index for index, contestant in enumerate(knowledge.contestants)}
    fresh = votes[knowledge.read :]
    continues = knowledge.read == 0 or (
        len(votes) >= knowledge.read and votes[knowledge.read - 1].id == knowledge.last_vote
    )
    due = len(votes) - knowledge.fitted > max(REFIT_AFTER, REFIT_SHARE * len(votes))
    if out != knowledge.out or not continues or due:
        counted = [vote for vote in votes if _teaches(vote, out)]
        start = knowledge.posterior.extended(len(new))
        knowledge.posterior = Posterior.refit(
            len(place),
            [[place[one] for one in vote.group] for vote in counted],
            [vote.ranks or () for vote in counted],
            start=start,
        )
        knowledge.fitted = len(votes)
    else:
        posterior = knowledge.posterior.extended(len(new)) if new else knowledge.posterior
        for vote in fresh:
            if vote.ranks is not None and _teaches(vote, out):
                posterior = posterior.updated([place[one] for one in vote.group], vote.ranks)
        knowledge.posterior = posterior
    knowledge.read, knowledge.out = len(votes), out
    knowledge.last_vote = votes[-1].id if votes else 0


def _teaches(vote: vote_log.LoggedVote, out: set[int]) -> bool:
    return vote.ranks is not None and vote.id not in out and vote.is_of(vote_log.COUNTED_SOURCES)


def _find_prompt(
    *, arena: Arena, voter: Voter, k: int, drawable: dict[int, float], rng: np.random.Generator
) -> tuple[int, dict[int, list[int]]]:
    """A prompt with `k` contestants whose responses the voter has not seen, and those responses."""
    met = Counter(Battle.objects.filter(arena=arena, voter=voter).values_list("prompt_id", flat=True))
    prompts = list(Prompt.objects.drawable().filter(arena=arena).order_by().values_list("id", flat=True))
    prompts = [prompts[place] for place in rng.permutation(len(prompts))]
    prompts.sort(key=met.__getitem__)
    most = most_unseen = 0
    for batch in in_batches(prompts):
        answered = responses_to(batch, drawable)
        shown = set(
            Slot.objects.filter(battle__voter=voter, battle__prompt_id__in=batch).values_list(
                "response_id", flat=True
            )
        ) | own_rewrites(arena=arena, voter=voter, prompts=batch)
        for prompt in batch:
            pool = {
                contestant: unseen
                for contestant, responses in answered[prompt].items()
                if (unseen := [response for response in responses if response not in shown])
            }
            if len(pool) >= k:
                return prompt, pool
            most, most_unseen = max(most, len(answered[prompt])), max(most_unseen, len(pool))
    if most >= k:
        raise AllSeen(
            _("You have judged everything there is here. Thank you. New responses will bring new battles.")
        )
    raise NotEnoughResponses(
        _(
            "A battle needs %(k)s responses to one prompt; the most that any prompt has so far is "
            "%(most)s. If they are being generated, try again in a minute."
        )
        % {"k": k, "most": most}
    )


def responses_to(prompts: Sequence[int], drawable: dict[int, float]) -> dict[int, dict[int, list[int]]]:
    """Response ids by prompt and contestant."""
    answered: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    rows = Response.objects.filter(prompt_id__in=prompts, contestant_id__in=list(drawable)).order_by()
    for prompt, contestant, response in rows.values_list("prompt_id", "contestant_id", "id"):
        answered[prompt][contestant].append(response)
    return answered


def in_batches(prompts: list[int]) -> Iterator[list[int]]:
    """Growing pieces: the first nearly always has a battle, and few are needed to see them all."""
    start, size = 0, FIRST_BATCH
    while start < len(prompts):
        yield prompts[start : start + size]
        start, size = start + size, min(4 * size, LARGEST_BATCH)


def _in_flight(arena: Arena, voter: Voter, place: dict[int, int]) -> list[list[int]]:
    """Groups that others are judging now: their answers are coming, so they are not asked again."""
    since = timezone.now() - IN_FLIGHT_FOR
    battles = Battle.objects.open().filter(arena=arena, created_at__gt=since).exclude(voter=voter)
    newest = battles.order_by("-created_at").values("id")[:MOST_IN_FLIGHT]
    groups: dict[object, list[int]] = defaultdict(list)
    for battle, contestant in Slot.objects.filter(battle__in=newest).values_list(
        "battle_id", "contestant_id"
    ):
        groups[battle].append(place[contestant])
    return list(groups.values())
