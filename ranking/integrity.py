"""Whose votes do not look like an honest person's? Evidence against each voter, and against a cohort.

Every figure is an e-value (Vovk and Wang 2021; Grünwald, de Heide and Koolen 2024): its expectation is at
most 1 for an honest voter, however many votes there are and however often somebody looks, so by Ville's
inequality an honest voter ever reaches 1/a with probability at most a.  E-values of dependent tests are
combined by their mean.  All are kept as natural logarithms.

Four habits are looked for, each blind to what another sees:

- favour: a contestant does far better (or worse) with this voter than with the others, in the battles the
  voter judged.  Catches "target-only" rigging, to which the likelihood test is blind.
- likelihood: the votes are improbable given everybody's strengths (the test of Chatbot Arena, Chiang et al.
  2024, and of Huang et al. 2025).  Catches coin-flippers and votes against the board.
- position: the best is in the same slot too often; slots are shuffled, so an honest share is 1/K.
- skips: most battles are left without a judgement, as by somebody who waits for one contestant.

People differ in taste, so the null of the first two is not one strength for all: a voter's own deviation is
drawn from N(0, t^2), with t^2 estimated robustly from all voters (an empirical null, Efron 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, logsumexp

from ranking.surplus import Chunks, Floats, Groups, Ints, Ranks, Scores, scores_of_chunks, vote_chunks

TESTS = ("favour", "likelihood", "position", "skips")
# The deviation that the alternative expects: of a voter who pushes one contestant, and of a cohort, as
# standard deviations on the natural-log scale.
PUSH, COHORT_PUSH = 1.5, 0.5
# How much less the alternative lets strengths count: 1 is a coin-flipper, 2 one who votes against the board.
CONTRARY = 1.5
# Tilts of the log-odds of a slot; shares of skips that are still honest, and those of the alternative.
TILTS = (-2.0, -1.0, 1.0, 2.0)
HONEST_SKIPS, MANY_SKIPS = 0.4, (0.6, 0.75, 0.9)
# Voters with fewer votes say too little about how much tastes differ.
ENOUGH = 10
CHI2_MEDIAN = 0.4549364231195727  # of one degree of freedom


@dataclass(frozen=True)
class Integrity:
    """Evidence by voter code; logarithms of e-values.  `total` is the log of their mean."""

    votes: Ints  # (voters,) orders cast
    evidence: dict[str, Floats]  # by test: (voters,)
    total: Floats  # (voters,)
    favourite: Ints  # (voters,) the contestant that deviates most
    favour_z: Floats  # (voters,) its deviation in standard errors, above 0: favoured
    likelihood_z: Floats  # (voters,) below 0: less probable than others' votes
    slot: Ints  # (voters,) the slot that was best too often or too rarely
    taste: float  # t, natural-log scale

    def suspects(self, level: float = 0.05) -> Ints:
        """Codes of voters whose e-value reaches 1/level: of honest ones at most that share, ever."""
        return np.flatnonzero(self.total >= -np.log(level))


def assess(
    groups: Groups,
    ranks: Ranks,
    voters: ArrayLike,
    strengths: ArrayLike,
    *,
    voter_count: int,
    served: ArrayLike | None = None,
    skipped: ArrayLike | None = None,
) -> Integrity:
    """Evidence against every voter (codes 0 … voter_count - 1), given everybody's strengths.

    Groups are in slot order.  `served` and `skipped` count, by voter, the battles shown and those left
    without an order (skips and walking away); without them that test says nothing.
    """
    codes = np.asarray(voters, dtype=np.intp)
    theta = np.asarray(strengths, dtype=np.float64)
    chunks = list(vote_chunks(groups, ranks))
    favour, favourite, favour_z, taste = _favour(
        scores_of_chunks(chunks, codes, theta), voter_count, len(theta)
    )
    likelihood, likelihood_z = _likelihood(chunks, codes, theta, voter_count)
    position, slot = _position(chunks, codes, voter_count)
    skips = np.zeros(voter_count)
    if served is not None and skipped is not None:
        skips = skip_evidence(np.asarray(served, np.float64), np.asarray(skipped, np.float64))
    evidence = dict(zip(TESTS, (favour, likelihood, position, skips), strict=True))
    total = logsumexp(np.stack(list(evidence.values())), axis=0) - np.log(len(TESTS))
    votes = np.bincount(codes, minlength=voter_count)
    return Integrity(votes, evidence, total, favourite, favour_z, likelihood_z, slot, taste)


def _favour(found: Scores, voter_count: int, n: int) -> tuple[Floats, Ints, Floats, float]:
    """log e-value (voters,), the contestant that deviates most, its z, and the spread of tastes."""
    cell = found.voter * n + found.contestant
    surplus, variance, slope = (
        np.asarray(np.bincount(cell, values, voter_count * n), dtype=np.float64).reshape(voter_count, n)
        for values in (found.surplus, found.variance, found.slope)
    )
    judged = np.bincount(cell, minlength=voter_count * n).reshape(voter_count, n)
    enough = judged >= max(2, ENOUGH // 4)
    spread = _spread(surplus[enough], variance[enough], slope[enough])
    null = variance + spread * slope**2
    evidence = _normal_mixture(surplus, null, (PUSH * slope) ** 2)
    z = surplus / np.sqrt(np.maximum(null, 1e-12))
    favourite = np.abs(z).argmax(axis=1)
    # The mean over contestants of e-values is one: no correction for having looked at all of them.
    return (
        logsumexp(evidence, axis=1) - np.log(n),
        favourite,
        z[np.arange(voter_count), favourite],
        float(np.sqrt(spread)),
    )


def _likelihood(chunks: Chunks, codes: Ints, theta: Floats, voter_count: int) -> tuple[Floats, Floats]:
    """log e-value (voters,) against improbable votes, and the z beside it.

    A ranking is a sequence of choices of the best of those left.  Given who is left, the log-probability
    of a choice has a known mean and variance, so the sums are a martingale.  Choices among tied ones are
    left out.
    """
    excess, variance, choices = (np.zeros(voter_count) for _ in range(3))
    for rows, items, places in chunks:
        order = np.argsort(np.where(np.isnan(places), np.inf, places), axis=1, kind="stable")
        best_first = np.take_along_axis(theta[items], order, axis=1)
        level = np.take_along_axis(places, order, axis=1)
        for stage in range(items.shape[1] - 1):
            left = best_first[:, stage:]
            log_p = left - logsumexp(left, axis=1, keepdims=True)
            p = np.exp(log_p)
            mean = (p * log_p).sum(axis=1)
            # Tied with the next one (nan is equal to nothing), or not ranked at all: no single choice.
            single = ~np.isnan(level[:, stage]) & (level[:, stage] != level[:, stage + 1])
            who = codes[rows][single]
            excess += np.bincount(who, (log_p[:, 0] - mean)[single], voter_count)
            spread = (p * (log_p - mean[:, None]) ** 2).sum(axis=1)
            variance += np.bincount(who, spread[single], voter_count)
            choices += np.bincount(who, minlength=voter_count)
    enough = choices >= ENOUGH
    if not enough.any():
        return np.zeros(voter_count), np.zeros(voter_count)
    shift = float(np.median(excess[enough] / choices[enough]))
    centred = excess - shift * choices
    tau2 = _spread(centred[enough], variance[enough], choices[enough])
    null = variance + tau2 * choices**2
    # To first order the log-probability falls by its variance where strengths count one unit less.
    evidence = _normal_mixture(-centred, null, (CONTRARY * variance) ** 2, one_sided=True)
    return evidence, centred / np.sqrt(np.maximum(null, 1e-12))


def _position(chunks: Chunks, codes: Ints, voter_count: int) -> tuple[Floats, Ints]:
    """log e-value (voters,) against a slot that is best too often or too rarely, and which one.

    Exact for any mixture of K: where q = 1/K is honest, tilting its log-odds by d gives the likelihood ratio
    exp(d [slot is best]) / (1 - q + q exp(d)).
    """
    widest = max((items.shape[1] for _rows, items, _places in chunks), default=2)
    logs = np.zeros((voter_count, widest, len(TILTS)))
    for rows, _items, places in chunks:
        q = 1.0 / places.shape[1]
        first = places == np.nanmin(places, axis=1, keepdims=True)
        single = first.sum(axis=1) == 1
        who, slot = codes[rows][single], first[single].argmax(axis=1)
        for place in range(places.shape[1]):
            hits = np.bincount(who[slot == place], minlength=voter_count)
            tried = np.bincount(who, minlength=voter_count)
            for number, tilt in enumerate(TILTS):
                logs[:, place, number] += hits * tilt - tried * np.log1p(q * np.expm1(tilt))
    by_slot = logsumexp(logs, axis=2)
    return logsumexp(by_slot, axis=1) - np.log(widest * len(TILTS)), by_slot.argmax(axis=1)


def skip_evidence(served: Floats, skipped: Floats) -> Floats:
    """log e-value (voters,) against leaving more than HONEST_SKIPS of the battles without a judgement."""
    taken = served - skipped
    ratios = [
        skipped * np.log(many / HONEST_SKIPS) + taken * np.log((1.0 - many) / (1.0 - HONEST_SKIPS))
        for many in MANY_SKIPS
    ]
    return np.asarray(logsumexp(np.stack(ratios), axis=0) - np.log(len(MANY_SKIPS)))


@dataclass(frozen=True)
class CohortTest:
    """Whether a group of voters, pooled, pushes a contestant.  `log_e` is over all contestants."""

    voters: int
    log_e: float
    contestant: int
    z: float  # cluster-robust: a voter is one observation

    def is_suspect(self, level: float = 0.05) -> bool:
        return self.log_e >= -float(np.log(level))


def cohort_test(found: Scores, members: ArrayLike, n: int) -> CohortTest:
    """Test the voters `members` as one; `found` must come from strengths fitted without them.

    Accounts that are each too quiet to be seen add up.  The variance is that between their sums, so what one
    voter does twice counts once; the e-value is the normal mixture of Waudby-Smith et al. (2024), valid for
    many voters at any time.
    """
    kept = np.isin(found.voter, np.asarray(members))
    voters, code = np.unique(found.voter[kept], return_inverse=True)
    if len(voters) < 3:
        return CohortTest(len(voters), 0.0, 0, 0.0)
    cell = code * n + found.contestant[kept]
    surplus, slope = (
        np.bincount(cell, values[kept], len(voters) * n).reshape(len(voters), n)
        for values in (found.surplus, found.slope)
    )
    total = surplus.sum(axis=0)
    # The larger of the variance between voters and the model's: few voters may agree by chance.
    model = np.bincount(found.contestant[kept], found.variance[kept], n)
    variance = np.maximum((surplus**2).sum(axis=0) - total**2 / len(voters), model)
    evidence = _normal_mixture(total, variance, (COHORT_PUSH * slope.sum(axis=0)) ** 2)
    z = total / np.sqrt(np.maximum(variance, 1e-12))
    most = int(np.abs(z).argmax())
    return CohortTest(len(voters), float(logsumexp(evidence) - np.log(n)), most, float(z[most]))


def _normal_mixture(total: Floats, null: Floats, extra: Floats, *, one_sided: bool = False) -> Floats:
    """log of N(total; 0, null + extra) over N(total; 0, null): the mixture's e-value (Robbins 1970).

    One-sided, the alternative's deviation is half-normal: positive only.
    """
    null = np.maximum(null, 1e-12)
    wide = null + extra
    evidence = 0.5 * np.log(null / wide) + 0.5 * total**2 * (1.0 / null - 1.0 / wide)
    if one_sided:
        evidence += np.log(2.0) + log_ndtr(total * np.sqrt(extra / (null * wide)))
    return np.asarray(evidence)


def _spread(total: Floats, variance: Floats, slope: Floats) -> float:
    """t^2 for which the median of total^2 / (variance + t^2 slope^2) is chi-squared's, by bisection.

    The median: up to almost half of the cells may be rigged before the honest ones are misjudged.
    """
    if not len(total):
        return 0.0

    def middle(t2: float) -> float:
        return float(np.median(total**2 / np.maximum(variance + t2 * slope**2, 1e-12)))

    if middle(0.0) <= CHI2_MEDIAN:
        return 0.0
    low, high = 0.0, 1.0
    while middle(high) > CHI2_MEDIAN and high < 1e6:
        low, high = high, 4.0 * high
    for _ in range(40):
        centre = 0.5 * (low + high)
        low, high = (centre, high) if middle(centre) > CHI2_MEDIAN else (low, centre)
    return 0.5 * (low + high)
