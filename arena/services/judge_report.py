"""How far a judge can be trusted: agreement with people, favour for its kin, and which sets need a person.

The unit is a pair of responses that a person put in an order and the judge compared. All intervals come
from drawing whole battles anew, because pairs of one battle stand and fall together.

Self-preference is measured against people and not against a half: a judge's kin may be better
(Chen et al. 2025, "Beyond the surface: measuring self-preference in LLM judgments", the DBG score: the
judge's preference for its own less people's preference for them). Whether a person is worth asking
is learned from where people and the judge differed (Miranda et al. 2024, "Hybrid Preferences", arXiv
2410.19133, with features of the pair), and tried on battles that were not learned from.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.core.cache import cache
from numpy.typing import NDArray

from arena.models import Contestant, Judge, Response, Slot, Vote, Voter
from arena.services.diversity import resemblance, shingles
from arena.services.vote_log import newest_ids

Numbers = NDArray[np.float64]
DRAWS = 400
FOLDS = 5
LEAST_TO_LEARN = 60  # pairs with both opinions, and of each kind a tenth of it
LISTED = 20
RIDGE = 1.0
FEATURES = ("how sure the judge is", "it contradicts itself", "difference in length", "resemblance", "length")


@dataclass(frozen=True)
class Pair:
    """One comparison by the judge. `person` is 1, 0 or 0.5 as the first was preferred; None unasked."""

    battle: str
    judge: float
    consistent: bool
    person: float | None
    kin: int  # 1: only the first is of the judge's family, -1: only the second, 0 otherwise
    features: tuple[float, ...]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval over battles."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Report:
    """What a page shows of one judge; None where there is too little to say."""

    judged: int
    abstained: int
    with_people: int
    agreement: Estimate | None
    consistency: float | None
    favour: Estimate | None
    routing: Estimate | None  # area under the curve, on battles not learned from
    worth: list[dict[str, Any]]


def report_on(judge: Judge) -> Report:
    """The report, kept until a vote or a ruling comes."""
    last_vote, last_ruling = newest_ids(judge.arena)
    key = f"judge-report:{judge.pk}:{last_vote}:{last_ruling}"
    found: Report | None = cache.get(key)
    if found is None:
        found = _make(judge)
        cache.set(key, found, 3600)
    return found


def _make(judge: Judge) -> Report:
    votes = list(
        Vote.objects.counted().filter(voter=judge.voter_id).select_related("battle__prompt").order_by("-id")
    )
    pairs = _pairs(judge, votes)
    both = [pair for pair in pairs if pair.person is not None]
    ordered = [pair for pair in both if pair.person != 0.5]
    learned, weights = _learn(ordered)
    return Report(
        judged=sum(vote.ranks is not None for vote in votes),
        abstained=sum(vote.ranks is None for vote in votes),
        with_people=len({pair.battle for pair in both}),
        agreement=_estimate(ordered, _agreement),
        consistency=sum(pair.consistent for pair in pairs) / len(pairs) if pairs else None,
        favour=_estimate([pair for pair in both if pair.kin], _favour),
        routing=learned,
        worth=[] if weights is None else _worth(votes, pairs, weights),
    )


def _pairs(judge: Judge, votes: Sequence[Vote]) -> list[Pair]:
    facts = {str(vote.battle_id): vote.details.get("judge", {}) for vote in votes}
    persons = _persons([fact["of"] for fact in facts.values() if fact.get("of")])
    kin = set(Contestant.objects.filter(arena=judge.arena, name__in=judge.kin).values_list("pk", flat=True))
    shown: dict[str, list[tuple[int, int | None]]] = {}
    rows = Slot.objects.filter(battle__in=list(facts)).order_by("position")
    for place, contestant, response in rows.values_list("battle_id", "contestant_id", "response_id"):
        shown.setdefault(str(place), []).append((contestant, response))
    texts = dict(Response.objects.filter(slots__battle__in=list(facts)).order_by().values_list("pk", "text"))
    pairs = []
    for battle, fact in facts.items():
        ranks = persons.get(fact.get("of") or "")
        for one, other, preference, consistent in fact.get("pairs", []):
            (first, text), (second, text_2) = shown[battle][one], shown[battle][other]
            pairs.append(
                Pair(
                    battle=battle,
                    judge=preference,
                    consistent=consistent,
                    person=None if ranks is None else _preferred(ranks[one], ranks[other]),
                    kin=(first in kin) - (second in kin),
                    features=_features(
                        preference, consistent, texts.get(text or 0, ""), texts.get(text_2 or 0, "")
                    ),
                )
            )
    return pairs


def _persons(battles: Sequence[str]) -> dict[str, Sequence[int | None]]:
    votes = Vote.objects.counted().orders().filter(battle__in=list(battles))
    return {str(battle): ranks or [] for battle, ranks in votes.values_list("battle_id", "ranks")}


def _preferred(one: int | None, other: int | None) -> float | None:
    if one is None and other is None:
        return None  # both below what was ranked: nothing was said of the two
    first, second = one or math.inf, other or math.inf
    return 0.5 if first == second else float(first < second)


def _features(preference: float, consistent: bool, one: str, other: str) -> tuple[float, ...]:
    return (
        abs(preference - 0.5),
        float(not consistent),
        abs(math.log1p(len(one)) - math.log1p(len(other))),
        resemblance(shingles(one), shingles(other)),
        math.log1p(len(one) + len(other)),
    )


def _agreement(pairs: Sequence[Pair]) -> float:
    """The share of a person's orders that the judge gives too; an undecided one counts half."""
    total = 0.0
    for pair in pairs:
        total += 0.5 if pair.judge == 0.5 else float((pair.judge > 0.5) == (pair.person == 1.0))
    return total / len(pairs)


def _favour(pairs: Sequence[Pair]) -> float:
    """How much more the judge prefers its kin than people do."""
    gaps = [pair.kin * (pair.judge - (pair.person or 0.0)) for pair in pairs]
    return sum(gaps) / len(gaps)


def _estimate(pairs: Sequence[Pair], measure: Callable[[Sequence[Pair]], float]) -> Estimate | None:
    """The measure with an interval from drawing battles anew; None below ten battles."""
    by_battle: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_battle.setdefault(pair.battle, []).append(pair)
    groups = list(by_battle.values())
    if len(groups) < 10:
        return None
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        chosen = [pair for place in rng.integers(len(groups), size=len(groups)) for pair in groups[place]]
        value = measure(chosen)
        if not math.isnan(value):
            drawn.append(value)
    lower, upper = np.quantile(drawn, [0.025, 0.975]) if drawn else (math.nan, math.nan)
    return Estimate(measure(pairs), float(lower), float(upper))


# Which sets a person should see


@dataclass(frozen=True)
class _Weights:
    mean: Numbers
    spread: Numbers
    slopes: Numbers  # the last is the constant

    def chance(self, features: Numbers) -> Numbers:
        """That a person and the judge differ, for each row (rows, features)."""
        scaled = (features - self.mean) / self.spread
        chance: Numbers = 1.0 / (1.0 + np.exp(-(scaled @ self.slopes[:-1] + self.slopes[-1])))
        return chance


def _learn(pairs: Sequence[Pair]) -> tuple[Estimate | None, _Weights | None]:
    """Weights from all pairs, and how well weights from other battles told those of each fold."""
    differs = np.array([(pair.judge > 0.5) != (pair.person == 1.0) for pair in pairs], dtype=float)
    if len(pairs) < LEAST_TO_LEARN or min(differs.sum(), (1 - differs).sum()) < LEAST_TO_LEARN / 10:
        return None, None
    features = np.array([pair.features for pair in pairs])
    battles = sorted({pair.battle for pair in pairs})
    fold = {
        battle: place % FOLDS for place, battle in enumerate(np.random.default_rng(0).permutation(battles))
    }
    folds = np.array([fold[pair.battle] for pair in pairs])
    told = np.empty(len(pairs))
    for each in range(FOLDS):
        held_out = folds == each
        told[held_out] = _fit(features[~held_out], differs[~held_out]).chance(features[held_out])
    place = {id(pair): number for number, pair in enumerate(pairs)}

    def area(chosen: Sequence[Pair]) -> float:
        numbers = np.array([place[id(pair)] for pair in chosen])
        return _area(told[numbers], differs[numbers])

    return _estimate(pairs, area), _fit(features, differs)


def _fit(features: Numbers, differs: Numbers) -> _Weights:
    """Logistic regression with a ridge on the slopes, by Newton's steps."""
    mean, spread = features.mean(0), features.std(0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    rows = np.column_stack([(features - mean) / spread, np.ones(len(features))])
    ridge = RIDGE * np.eye(rows.shape[1])
    ridge[-1, -1] = 1e-6
    slopes = np.zeros(rows.shape[1])
    for _ in range(50):
        chance = 1.0 / (1.0 + np.exp(-rows @ slopes))
        hessian = rows.T @ (rows * (chance * (1 - chance))[:, None]) + ridge
        step = np.linalg.solve(hessian, rows.T @ (differs - chance) - ridge @ slopes)
        slopes = slopes + step
        if np.abs(step).max() < 1e-8:
            break
    return _Weights(mean, spread, slopes)


def _area(told: Numbers, differs: Numbers) -> float:
    """Probability that a pair on which they differ is given a greater chance than one on which they agree."""
    ones, zeros = told[differs == 1], told[differs == 0]
    if not len(ones) or not len(zeros):
        return math.nan
    order = np.sort(zeros)
    below = np.searchsorted(order, ones, "left")
    not_above = np.searchsorted(order, ones, "right")
    return float((below + not_above).sum() / (2 * len(ones) * len(zeros)))


def _worth(votes: Sequence[Vote], pairs: Sequence[Pair], weights: _Weights) -> list[dict[str, Any]]:
    """Sets that no person has judged, those first on which judge and person would differ most."""
    unasked: dict[str, list[tuple[float, ...]]] = {}
    for pair in pairs:
        if pair.person is None:
            unasked.setdefault(pair.battle, []).append(pair.features)
    by_battle = {str(vote.battle_id): vote for vote in votes}
    asked = _asked_since([by_battle[battle] for battle in unasked])
    found: list[dict[str, Any]] = [
        {
            "battle": battle,
            "prompt": vote.battle.prompt.text if vote.battle.prompt else "",
            "chance": float(weights.chance(np.array(rows)).mean()),
        }
        for battle, rows in unasked.items()
        if not (vote := by_battle[battle]).details["judge"].get("of") and battle not in asked
    ]
    return sorted(found, key=lambda one: -float(one["chance"]))[:LISTED]


def _asked_since(votes: Sequence[Vote]) -> set[str]:
    """The battles of these votes whose responses a person has put in an order by now."""
    if not votes:
        return set()
    shown = _shown([vote.battle_id for vote in votes])
    responses = {one for several in shown.values() for one in several}
    people = Vote.objects.counted().orders().filter(arena=votes[0].arena_id, voter__kind=Voter.Kind.PERSON)
    theirs = people.filter(battle__slots__response__in=responses).values_list("battle_id", flat=True)
    judged = set(_shown(list(theirs)).values())
    return {battle for battle, several in shown.items() if several in judged}


def _shown(battles: Sequence[Any]) -> dict[str, frozenset[int]]:
    """The responses of each battle."""
    found: dict[str, set[int]] = {}
    rows = Slot.objects.filter(battle__in=battles).exclude(response=None)
    for battle, response in rows.values_list("battle_id", "response_id"):
        found.setdefault(str(battle), set()).add(response)
    return {battle: frozenset(several) for battle, several in found.items()}
