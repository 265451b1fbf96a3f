"""Online ratings: one pass over the votes in the order they were given.

They are here for comparison and to reproduce boards made with them. None is the default, because the
result depends on the order of the votes, a constant step never settles, and none of them has a joint
covariance. Elo, Glicko-2, the Bayesian updates of Weng and Lin (2011), K-Sort Arena's (2024), TrueSkill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, log1p, pi, sqrt

import numpy as np

from ranking.blocks import Floats, PairBlock
from ranking.errors import BadVotes
from ranking.outcomes import FIRST, SECOND
from ranking.result import Fit
from ranking.trueskill import draw_moments, trueskill_update, win_moments
from ranking.votes import Votes

# One vote: the contestants and their level, 0 for the best; equal levels are tied. The weight scales a step.
Vote = tuple[Sequence[int], Sequence[int], float]

ELO_BASE = 1000.0
ELO_LOG = log(10.0) / 400.0
ELO_STEP = 4.0
# With a constant step k and slope s = 400 / log 10 a rating wanders for ever with variance k s / 2, whatever
# its opponents: noise k^2 p q per vote against a pull of 2 k p q / s.
ELO_WANDER = sqrt(ELO_STEP / ELO_LOG / 2.0)
GLICKO_SCALE = 173.7178
PRIOR_MEAN, PRIOR_SD = 25.0, 25.0 / 3.0
NOISE = 25.0 / 6.0
KEEP = 1e-4  # the least share of its variance that a rating keeps in one vote (Weng and Lin's kappa)


@dataclass
class Ratings:
    """The running state: a mean and a standard deviation per contestant, on the method's own scale."""

    mean: list[float]
    sd: list[float]


def elo_update(ratings: Ratings, vote: Vote, *, step: float = ELO_STEP) -> None:
    """Elo's update over every pair of the vote, all from the ratings before it; a tie is half a win.

    For pairs this is FastChat's online Elo (K = 4). It conserves the sum of ratings whatever the weight.
    """
    items, levels, weight = vote
    before = [ratings.mean[i] for i in items]
    for a, i in enumerate(items):
        for b in range(a + 1, len(items)):
            won = 1.0 if levels[a] < levels[b] else 0.0 if levels[a] > levels[b] else 0.5
            expected = 1.0 / (1.0 + exp(min((before[b] - before[a]) * ELO_LOG, 700.0)))
            change = step * weight * (won - expected)
            ratings.mean[i] += change
            ratings.mean[items[b]] -= change


def ksort_update(ratings: Ratings, vote: Vote) -> None:
    """K-Sort Arena's own update, eq. 9 and 10 (Li et al. 2024), all terms from the ratings before the vote.

    The paper has no ties; tied pairs say nothing here. Its bracket can turn negative for K >= 4, where the
    variance keeps the share KEEP instead.
    """
    items, levels, _ = vote
    mean = [ratings.mean[i] for i in items]
    variance = [ratings.sd[i] ** 2 for i in items]
    for a, i in enumerate(items):
        pull, bracket = 0.0, 1.0
        for b in range(len(items)):
            if levels[a] == levels[b]:
                continue
            c = sqrt(2.0 * NOISE**2 + variance[a] + variance[b])
            sign = 1.0 if levels[a] < levels[b] else -1.0
            v, w = win_moments(sign * (mean[a] - mean[b]) / c)
            pull += sign * v / c
            bracket -= variance[a] / c**2 * w
        ratings.mean[i] = mean[a] + variance[a] * pull
        ratings.sd[i] = sqrt(variance[a] * max(bracket, KEEP))


def thurstone_update(ratings: Ratings, vote: Vote, *, draw_margin: float = 0.1) -> None:
    """Weng and Lin's (2011) Algorithm 3, Thurstone-Mosteller over all pairs, with ties inside a margin.

    Their gamma, sd / c, keeps the variance of K-wise votes from shrinking K - 1 times too fast.
    """
    items, levels, _ = vote
    mean = [ratings.mean[i] for i in items]
    variance = [ratings.sd[i] ** 2 for i in items]
    for a, i in enumerate(items):
        pull, shrink = 0.0, 0.0
        for b in range(len(items)):
            if a == b:
                continue
            c = sqrt(2.0 * NOISE**2 + variance[a] + variance[b])
            x = (mean[a] - mean[b]) / c
            if levels[a] == levels[b]:
                v, w = draw_moments(x, draw_margin / c)
            else:
                sign = 1.0 if levels[a] < levels[b] else -1.0
                v, w = win_moments(sign * x - draw_margin / c)
                v *= sign
            pull += variance[a] / c * v
            shrink += sqrt(variance[a]) / c * variance[a] / c**2 * w
        ratings.mean[i] = mean[a] + pull
        ratings.sd[i] = sqrt(variance[a] * max(1.0 - shrink, KEEP))


def plackett_luce_update(ratings: Ratings, vote: Vote) -> None:
    """Weng and Lin's (2011) Algorithm 4, Plackett-Luce; tied contestants share their choices."""
    items, levels, _ = vote
    mean = [ratings.mean[i] for i in items]
    variance = [ratings.sd[i] ** 2 for i in items]
    c = sqrt(sum(variance) + len(items) * NOISE**2)
    top = max(mean)
    worth = [exp((value - top) / c) for value in mean]
    for a, i in enumerate(items):
        pull, shrink = 0.0, 0.0
        for b in range(len(items)):
            if levels[b] > levels[a]:
                continue
            total = sum(value for value, level in zip(worth, levels, strict=True) if level >= levels[b])
            share = worth[a] / total
            tied = sum(level == levels[b] for level in levels)
            pull += ((1.0 if a == b else 0.0) - share) / tied
            shrink += share * (1.0 - share) / tied
        sd = sqrt(variance[a])
        ratings.mean[i] = mean[a] + variance[a] / c * pull
        ratings.sd[i] = sd * sqrt(max(1.0 - sd / c * variance[a] / c**2 * shrink, KEEP))


def trueskill_vote(ratings: Ratings, vote: Vote) -> None:
    """TrueSkill with its defaults (draw probability .1, dynamics 25/300), as K-Sort Arena deploys it."""
    items, levels, _ = vote
    mean, sd = trueskill_update([ratings.mean[i] for i in items], [ratings.sd[i] for i in items], levels)
    for place, i in enumerate(items):
        ratings.mean[i], ratings.sd[i] = mean[place], sd[place]


def glicko_rate(votes: Sequence[Vote], n: int, *, period: int = 100, tau: float = 0.5) -> Ratings:
    """Glicko-2 (Glickman 2013) with rating periods of `period` votes, K-wise votes as their pairs.

    On its own scale: mean 0, deviation in units of 173.7178 Elo points, volatility from .06.
    """
    mean, deviation, volatility = [0.0] * n, [350.0 / GLICKO_SCALE] * n, [0.06] * n
    for first in range(0, len(votes), period):
        games: dict[int, list[tuple[float, float, float]]] = {}
        for items, levels, _ in votes[first : first + period]:
            for a, i in enumerate(items):
                for b, j in enumerate(items):
                    if a != b:
                        won = 1.0 if levels[a] < levels[b] else 0.0 if levels[a] > levels[b] else 0.5
                        games.setdefault(i, []).append((mean[j], deviation[j], won))
        fresh = {i: _glicko_period(mean[i], deviation[i], volatility[i], games[i], tau) for i in games}
        for i in range(n):
            if i in fresh:
                mean[i], deviation[i], volatility[i] = fresh[i]
            else:  # an absent contestant is less sure than it was
                deviation[i] = min(sqrt(deviation[i] ** 2 + volatility[i] ** 2), 350.0 / GLICKO_SCALE)
    return Ratings(mean, deviation)


def _glicko_period(
    mean: float, deviation: float, volatility: float, games: Sequence[tuple[float, float, float]], tau: float
) -> tuple[float, float, float]:
    """Steps 3 to 8 of Glickman's description for one contestant."""
    information, lead = 0.0, 0.0
    for rival, spread, won in games:
        g = 1.0 / sqrt(1.0 + 3.0 * spread**2 / pi**2)
        expected = 1.0 / (1.0 + exp(-g * (mean - rival)))
        information += g * g * expected * (1.0 - expected)
        lead += g * (won - expected)
    v = 1.0 / information
    volatility = _glicko_volatility(deviation, volatility, v, v * lead, tau)
    precision = 1.0 / (deviation**2 + volatility**2) + 1.0 / v
    return mean + lead / precision, sqrt(1.0 / precision), volatility


def _glicko_volatility(deviation: float, volatility: float, v: float, delta: float, tau: float) -> float:
    """Step 5: the root of Glickman's f by the Illinois method."""
    a = log(volatility**2)

    def f(x: float) -> float:
        spread = deviation**2 + v + exp(x)
        return exp(x) * (delta**2 - spread) / (2.0 * spread**2) - (x - a) / tau**2

    low = a
    if delta**2 > deviation**2 + v:
        high = log(delta**2 - deviation**2 - v)
    else:
        k = 1
        while f(a - k * tau) < 0:
            k += 1
        high = a - k * tau
    f_low, f_high = f(low), f(high)
    for _ in range(100):
        if abs(high - low) < 1e-9:
            break
        middle = low + (low - high) * f_low / (f_high - f_low)
        f_middle = f(middle)
        if f_middle * f_high <= 0:
            low, f_low = high, f_high
        else:
            f_low /= 2.0
        high, f_high = middle, f_middle
    return exp(low / 2.0)


Update = Callable[[Ratings, Vote], None]

# Per unit of the method's scale, how much on the natural-log scale of odds; for the probit methods the
# slope of Phi(d / (sqrt 2 beta)) at zero beside that of the logistic function.
_PROBIT = 4.0 / (sqrt(2.0 * pi) * sqrt(2.0) * NOISE)
_UPDATES: dict[str, tuple[Update, float, float, float]] = {
    "elo": (elo_update, ELO_BASE, 0.0, ELO_LOG),
    "ksort": (ksort_update, PRIOR_MEAN, PRIOR_SD, _PROBIT),
    "ksort-trueskill": (trueskill_vote, PRIOR_MEAN, PRIOR_SD, _PROBIT),
    "trueskill": (trueskill_vote, PRIOR_MEAN, PRIOR_SD, _PROBIT),
    "thurstone": (thurstone_update, PRIOR_MEAN, PRIOR_SD, _PROBIT),
    "openskill": (plackett_luce_update, PRIOR_MEAN, PRIOR_SD, 1.0 / (sqrt(2.0) * NOISE)),
}
ONLINE_MODELS = (*_UPDATES, "glicko")


def rate(votes: Votes, method: str) -> Ratings:
    """One pass of `method` over the votes in their order, from its usual prior, on its own scale."""
    if method not in ONLINE_MODELS:
        raise BadVotes(f"There is no online method {method!r}; it can be {', '.join(ONLINE_MODELS)}.")
    n = len(votes.models)
    stream = list(in_order(votes))
    if method == "glicko":
        return glicko_rate(stream, n)
    update, mean, sd, _ = _UPDATES[method]
    ratings = Ratings([mean] * n, [sd] * n)
    for vote in stream:
        update(ratings, vote)
    return ratings


def in_order(votes: Votes) -> Iterator[Vote]:
    """Votes as (contestants, levels, weight) in the order they were given, each as often as its count."""
    found: list[tuple[int, list[int], list[int]]] = []
    for block in votes.blocks:
        rows = range(len(block)) if block.rows is None else block.rows.tolist()
        if isinstance(block, PairBlock):
            levels = {FIRST: [0, 1], SECOND: [1, 0]}
            columns = (rows, block.first.tolist(), block.second.tolist(), block.outcome.tolist())
            found += [(row, [i, j], levels.get(o, [0, 0])) for row, i, j, o in zip(*columns, strict=True)]
        else:
            found += [
                (row, items, block.levels()) for row, items in zip(rows, block.items.T.tolist(), strict=True)
            ]
    found.sort(key=lambda vote: vote[0])
    for row, items, levels_of_vote in found:
        times = 1 if votes.counts is None else int(votes.counts[row])
        weight = 1.0 if votes.weights is None else float(votes.weights[row])
        for _ in range(times):
            yield items, levels_of_vote, weight


def fit_online(votes: Votes, method: str, *, level: float) -> Fit:
    """An online rating in the clothes of a Fit: strengths on the natural-log scale, no joint covariance."""
    ratings = rate(votes, method)
    per_unit = 1.0 if method == "glicko" else _UPDATES[method][3]
    mean, sd = np.array(ratings.mean), np.array(ratings.sd)
    strengths = per_unit * (mean - mean.mean()) if len(mean) else mean
    covariance: Floats = np.diag((per_unit * sd) ** 2)
    log_likelihood = 0.0
    for items, levels, weight in in_order(votes):
        log_likelihood += weight * _log_probability(strengths, items, levels)
    if method == "elo":
        sd = np.full(len(mean), ELO_WANDER)
    warnings = ["An online rating depends on the order of the votes and never settles; the default does not."]
    if method == "elo":
        warnings.append("Elo has no standard errors: its intervals show how far its step lets it wander.")
    return Fit(
        models=votes.models,
        strengths=strengths,
        covariance=covariance,
        votes=votes.votes_per_model(),
        method=method,
        prior="none" if method == "elo" else "the method's own",
        covariance_kind="the step's wander" if method == "elo" else "the method's own, no correlations",
        log_likelihood=log_likelihood,
        converged=False,
        iterations=1,
        warnings=tuple(warnings),
        level=level,
    )


def _log_probability(strengths: Floats, items: Sequence[int], levels: Sequence[int]) -> float:
    """Of a vote's pairs under Bradley-Terry, ties as half wins: comparable between the online methods."""
    total = 0.0
    for a, i in enumerate(items):
        for b in range(a + 1, len(items)):
            gap = float(strengths[i] - strengths[items[b]])
            wins = [gap] if levels[a] < levels[b] else [-gap] if levels[a] > levels[b] else [gap, -gap]
            total += sum(-log1p(exp(-x)) if x > -700.0 else x for x in wins) / len(wins)
    return total
