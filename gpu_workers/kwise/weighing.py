"""How much each vote counts: by who cast it, how sure and how strong it was, and how it came to be drawn."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import fmean, median

from gpu_workers.kwise.data import Ranking

MOST_RARE = 10.0  # an inverse propensity counts at most so many times the middle one
PRIOR = 4.0  # agreements and disagreements that a voter is taken to have had before
FULL_CONFIDENCE, FULL_STRENGTH = 4, 3  # the highest answers that the voting page offers


def weigh(rankings: Sequence[Ranking], ways: Sequence[str]) -> list[Ranking]:
    """The rankings with weights multiplied by each of the named ways, mean one over the rankings."""
    weights = [ranking.weight for ranking in rankings]
    for way in ways:
        factors = WAYS[way](rankings)
        mean = fmean(factors) if factors else 1.0
        weights = [weight * factor / mean for weight, factor in zip(weights, factors, strict=True)]
    return [replace(ranking, weight=weight) for ranking, weight in zip(rankings, weights, strict=True)]


def reliability(rankings: Sequence[Ranking]) -> list[float]:
    """By the voter's agreement with all others on the same pairs of responses: max(.05, 2 a - 1).

    a is the share of the pairs on which the voter said what most others did, drawn towards .75 by a few
    imagined ones. Nobody else judged the same: .5, a middling voter. A row's own `reliability`, a share from
    0 to 1 that the quality control gave, goes before.
    """
    said = _said_by_pair(rankings)
    agreed: dict[str, list[float]] = defaultdict(list)
    for opinions in said.values():
        for voter, sign in opinions:
            others = sum(other for who, other in opinions if who != voter)
            if others:
                agreed[voter].append(float(sign * others > 0))
    share = {voter: (sum(hits) + 0.75 * PRIOR) / (len(hits) + PRIOR) for voter, hits in agreed.items()}
    return [
        max(0.05, 2 * (ranking.reliability or share.get(ranking.voter, 0.75)) - 1) for ranking in rankings
    ]


def _said_by_pair(rankings: Sequence[Ranking]) -> dict[tuple[str, str, str], list[tuple[str, int]]]:
    """Who put the first of two texts above (1) or below (-1) the second, by prompt and texts."""
    said: dict[tuple[str, str, str], list[tuple[str, int]]] = defaultdict(list)
    for ranking in rankings:
        places = [10**6 if rank is None else rank for rank in ranking.ranks]
        for i, j in combinations(range(len(places)), 2):
            if places[i] == places[j]:
                continue
            sign = 1 if places[i] < places[j] else -1
            one, other = ranking.texts[i], ranking.texts[j]
            if one > other:
                one, other, sign = other, one, -sign
            said[(ranking.prompt_id, one, other)].append((ranking.voter, sign))
    return said


def confidence(rankings: Sequence[Ranking]) -> list[float]:
    """By how sure the voter was, 1 to 4; a vote without an answer counts as the mean of those with one."""
    return _answers([ranking.confidence for ranking in rankings], FULL_CONFIDENCE)


def strength(rankings: Sequence[Ranking]) -> list[float]:
    """By how much better the voter found the best, 0 to 3, from .25 up."""
    given = [None if ranking.strength is None else ranking.strength + 1 for ranking in rankings]
    return _answers(given, FULL_STRENGTH + 1)


def _answers(given: Sequence[float | None], full: float) -> list[float]:
    known = [answer / full for answer in given if answer is not None]
    middle = fmean(known) if known else 1.0
    return [middle if answer is None else answer / full for answer in given]


def propensity(rankings: Sequence[Ranking]) -> list[float]:
    """By one over the chance with which the battle was drawn, so that rarely drawn ones are not lost.

    Unknown chances count as the middle one; no vote counts more than ten times the middle.
    """
    known = [1 / ranking.propensity for ranking in rankings if ranking.propensity]
    middle = median(known) if known else 1.0
    return [min(1 / r.propensity if r.propensity else middle, MOST_RARE * middle) for r in rankings]


WAYS: dict[str, Callable[[Sequence[Ranking]], list[float]]] = {
    "reliability": reliability,
    "confidence": confidence,
    "strength": strength,
    "propensity": propensity,
}
