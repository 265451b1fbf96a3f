"""Several judgements of the same responses as one: vote shares, and criteria weighed against each other.

A vote that was cast by several people on the same responses goes through the model once; what they
disagree about becomes a soft label. Criteria asked beside the overall ranking come in the same way.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gpu_workers.kwise.data import Ranking
from gpu_workers.kwise.errors import TrainingError

Ranks = Sequence[int | None]
OVERALL = "overall"  # the vote's own ranking, among criteria


def shares_of(judgements: Sequence[tuple[Ranks, float]]) -> tuple[tuple[float, ...], ...]:
    """(K, K): the weighted share of the judgements that put i above j, a tie half; -1 where none compared
    them.
    """
    k = len(judgements[0][0])
    shares = [[-1.0] * k for _ in range(k)]
    for i in range(k):
        for j in range(k):
            told = [(_said(ranks[i], ranks[j]), weight) for ranks, weight in judgements if i != j]
            known = [(said, weight) for said, weight in told if said is not None]
            total = sum(weight for _, weight in known)
            if total > 0:
                shares[i][j] = sum(said * weight for said, weight in known) / total
    return tuple(tuple(row) for row in shares)


def _said(one: int | None, other: int | None) -> float | None:
    """1 where the first is above the second, 0 below, .5 level; None where both are unranked."""
    if one is None and other is None:
        return None
    if one is None or other is None:
        return float(other is None)
    return 0.5 if one == other else float(one < other)


def consensus(shares: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Competition ranks by the mean share against the others (Borda): for objectives that read an order."""
    means = []
    for i, row in enumerate(shares):
        known = [share for j, share in enumerate(row) if i != j and share >= 0]
        means.append(round(sum(known) / len(known), 9) if known else 0.5)
    return tuple(1 + sum(other > mean for other in means) for mean in means)


def merge_votes(rankings: Sequence[Ranking]) -> list[Ranking]:
    """One ranking for all votes on the same responses to the same prompt, in the order of the first.

    Slots are matched by text. The weights add up, so that a vote counts what it did.
    """
    groups: dict[tuple[object, ...], list[Ranking]] = defaultdict(list)
    for ranking in rankings:
        prompt = tuple(message["content"] for message in ranking.messages)
        groups[(ranking.prompt_id, prompt, ranking.system, *sorted(ranking.texts))].append(ranking)
    return [_merged(group) if len(group) > 1 else group[0] for group in groups.values()]


def _merged(group: Sequence[Ranking]) -> Ranking:
    first = group[0]
    judgements = []
    for ranking in group:
        left = list(range(len(ranking.texts)))
        ranks = []
        for text in first.texts:
            slot = next(slot for slot in left if ranking.texts[slot] == text)
            left.remove(slot)
            ranks.append(ranking.ranks[slot])
        judgements.append((tuple(ranks), ranking.weight))
    shares = shares_of(judgements)
    weight = sum(ranking.weight for ranking in group)
    return replace(first, ranks=consensus(shares), shares=shares, weight=weight)


def weigh_criteria(rankings: Sequence[Ranking], criteria: Mapping[str, float]) -> list[Ranking]:
    """The rankings with their criteria weighed: {"overall": 1, "style": 0.5}. Raises TrainingError for a
    criterion that no vote has.
    """
    asked = {name for ranking in rankings for name in ranking.criteria} | {OVERALL}
    unknown = sorted(set(criteria) - asked)
    if unknown:
        raise TrainingError(
            f'No vote of the data set was asked about "{unknown[0]}". Known are: {", ".join(sorted(asked))}.'
        )
    weighed = []
    for ranking in rankings:
        told = {OVERALL: ranking.ranks, **ranking.criteria}
        judgements = [
            (told[name], weight) for name, weight in criteria.items() if name in told and weight > 0
        ]
        if judgements:
            shares = shares_of(judgements)
            weighed.append(replace(ranking, shares=shares, ranks=consensus(shares)))
    return weighed
