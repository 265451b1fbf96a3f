"""The order of review: items that people disagree on first, then flagged votes."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from uuid import UUID

from annotation.services import vote_facts
from annotation.services.quality_numbers import fast_below
from annotation.services.vote_facts import NO_TIME
from arena.models import Arena, Vote, Voter
from arena.services import vote_log
from arena.services.vote_log import LoggedVote

LOW_CONFIDENCE = 1
Key = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class Queued:
    """One item in the queue. `disagreement`: the share of pairs of answers that differ; None of one vote."""

    key: Key
    first_vote: int
    votes: int
    disagreement: float | None
    fast: int
    unsure: int
    adjudicated: bool
    battle: UUID | None = None
    prompt: str = ""


_queues: dict[tuple[int, str | None], tuple[tuple[int, int], list[Queued]]] = {}
_lock = threading.Lock()


def queue_of(
    arena: Arena, *, channel: str | None = None, show: str = "open", start: int = 0, count: int = 50
) -> tuple[list[Queued], int]:
    """The items from `start` on, those with most disagreement first, and how many there are.

    `channel` narrows to the votes of one campaign. `show` is "open" (several votes or a flag, not
    adjudicated), "done" (adjudicated) or "all".
    """
    mark = vote_log.newest_ids(arena)
    with _lock:
        known = _queues.get((arena.pk, channel))
    if known is None or known[0] != mark:
        known = (mark, _queue(arena, channel))
        with _lock:
            _queues[arena.pk, channel] = known
    chosen = [one for one in known[1] if show == "all" or one.adjudicated == (show == "done")]
    if show == "open":
        chosen = [one for one in chosen if one.votes > 1 or one.fast or one.unsure]
    return _named(chosen[start : start + count]), len(chosen)


def forget() -> None:
    """Drop what this process has computed. For tests."""
    _queues.clear()


def _queue(arena: Arena, channel: str | None) -> list[Queued]:
    facts = vote_facts.read_facts(arena, channel=channel)
    limit = fast_below(facts.ms)
    unsure = set(
        Vote.objects.filter(arena=arena, details__confidence__lte=LOW_CONFIDENCE).values_list("pk", flat=True)
    )
    groups: dict[Key, list[tuple[LoggedVote, bool]]] = {}
    for vote, ms in zip(facts.votes, facts.ms.tolist(), strict=True):
        if vote.prompt is not None and vote.kind != Vote.Kind.SKIP:
            key = (vote.prompt, tuple(sorted(vote.group)))
            groups.setdefault(key, []).append((vote, ms != NO_TIME and ms < limit))
    done = _adjudicated_keys(arena)
    queue = [
        Queued(
            key=key,
            first_vote=votes[0][0].id,
            votes=len(votes),
            disagreement=_disagreement([vote for vote, _fast in votes]),
            fast=sum(fast for _vote, fast in votes),
            unsure=sum(vote.id in unsure for vote, _fast in votes),
            adjudicated=key in done,
        )
        for key, votes in groups.items()
    ]
    queue.sort(key=lambda one: (-(one.disagreement or 0.0), -(one.fast + one.unsure), -one.votes, one.key))
    return queue


def _adjudicated_keys(arena: Arena) -> set[Key]:
    out = vote_log.ruled_out(arena)
    return {
        (vote.prompt, tuple(sorted(vote.group)))
        for vote in vote_log.read_votes(arena)
        if vote.source == Voter.Kind.ADJUDICATED and vote.id not in out and vote.prompt is not None
    }


def _disagreement(votes: Sequence[LoggedVote]) -> float | None:
    """The share of pairs of answers, over pairs of responses, that differ. "All bad" is an answer too."""
    if len(votes) < 2:
        return None
    group = sorted(votes[0].group)
    differ = pairs = 0
    for first, second in combinations(group, 2):
        counts: dict[str, int] = {}
        for vote in votes:
            said = _said(vote, first, second)
            counts[said] = counts.get(said, 0) + 1
        total = len(votes)
        pairs += total * (total - 1)
        differ += total * total - sum(count * count for count in counts.values())
    return differ / pairs if pairs else None


def _said(vote: LoggedVote, first: int, second: int) -> str:
    if vote.ranks is None:
        return vote.kind
    a, b = (vote.ranks[vote.group.index(one)] for one in (first, second))
    a, b = (99 if rank is None else rank for rank in (a, b))
    return "tie" if a == b else "first" if a < b else "second"


def _named(queue: Sequence[Queued]) -> list[Queued]:
    """The shown part of the queue with its battles and the beginnings of its prompts."""
    found = {
        vote.pk: vote
        for vote in Vote.objects.filter(pk__in=[one.first_vote for one in queue]).select_related(
            "battle__prompt"
        )
    }
    named = []
    for one in queue:
        battle = found[one.first_vote].battle
        messages = battle.prompt.messages if battle.prompt else []
        said = str(messages[-1]["content"]) if messages else ""
        named.append(Queued(**{**one.__dict__, "battle": battle.pk, "prompt": said[:200]}))
    return named
