"""The ways to choose who meets: each turns a posterior into a `SequentialDraw`.

`random` and `uniform` need no ratings.  `lmarena` is Chatbot Arena's sampling by the
reduction of the confidence interval (Chiang et al., ICML 2024, section 5) and `ksort` is
K-Sort Arena's upper confidence bound (Li et al., CVPR 2025, eq. 11), so that a board can be
run as theirs is.  `information` is the default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ranking.matchmaking.draw import SequentialDraw
from ranking.matchmaking.information import TINY, Aim, Growth, pair_weights, pair_worth, stake_matrix
from ranking.matchmaking.posterior import Posterior
from ranking.matchmaking.weak_order import Floats, Ints

# Gumbel noise on the log worth is scaled by this: groups worth 10 % less are drawn
# exp(-0.1 / TEMPERATURE) times as often.
TEMPERATURE = 0.1
SHORT_LIST = 12
# With more candidates than this only those with the most at stake are weighed.
MOST_WEIGHED = 160

# K-Sort's scores are on TrueSkill's scale: a difference of d there is won with probability
# Phi(d / (sqrt(2) 25/6)), close to the logistic of d / 3.46.
KSORT_SCALE = 3.46
KSORT_ALPHA = 1.0
KSORT_ETA = 3.0


@dataclass(frozen=True)
class Situation:
    """What a strategy may look at, for the c contestants that can be drawn now."""

    posterior: Posterior
    ids: Ints  # (c,) into the posterior
    weights: Floats  # (c,) > 0, how often each should be drawn beside the others
    allowed: Floats  # (c, c): 0 where two may meet, -inf where not and on the diagonal
    aim: Aim
    stake: Floats | None  # (n, n) B = S L S computed earlier, or None


def random(at: Situation) -> SequentialDraw:
    """Every group alike, or each contestant in proportion to its weight."""
    logs = np.log(at.weights)
    return SequentialDraw(logs, lambda members, open_to: logs + open_to, at.allowed)


def uniform(at: Situation) -> SequentialDraw:
    """Those shown least come first, ties at random; weights divide the number shown."""
    load = at.posterior.shown[at.ids] / at.weights

    def least(members: Ints, open_to: Floats) -> Floats:
        return _largest(open_to - load)

    return SequentialDraw(_largest(-load), least, at.allowed)


def lmarena(at: Situation) -> SequentialDraw:
    """Pairs in proportion to how much one more vote narrows the interval of their win rate.

    sqrt(v / n) - sqrt(v / (n + 1)), v = p (1 - p) and n the votes on the pair so far, plus
    one so that a pair never seen has a finite score.  For K > 2 the others join in
    proportion to the reductions they share with those already in.
    """
    mean = at.posterior.mean[at.ids]
    chance = 0.5 * (1.0 + np.tanh(0.5 * (mean[:, None] - mean[None, :])))
    votes = at.posterior.counts[np.ix_(at.ids, at.ids)] + 1.0
    reduction = np.sqrt(chance * (1.0 - chance)) * (1.0 / np.sqrt(votes) - 1.0 / np.sqrt(votes + 1.0))
    reduction *= at.weights[:, None] * at.weights[None, :]

    def joined(members: Ints, open_to: Floats) -> Floats:
        return np.asarray(np.log(reduction[members].sum(axis=1)) + open_to)

    return SequentialDraw(np.log(reduction), joined, at.allowed)


def ksort(at: Situation) -> SequentialDraw:
    """The contestant met least is the pivot; the others are those with the largest
    -|S_i - S_q| + alpha sqrt(ln N / n_iq), S = mean - 3 sd.

    The paper prints a plus before the first term; its text and its code have the minus.
    """
    met = at.posterior.counts.sum(axis=1)[at.ids] / at.weights
    together = at.posterior.counts[np.ix_(at.ids, at.ids)]
    total = max(float(at.posterior.counts.sum()) / 2.0, 1.0)
    sd = np.sqrt(np.diag(at.posterior.covariance)[at.ids])
    score = KSORT_SCALE * (at.posterior.mean[at.ids] - KSORT_ETA * sd)
    bound = KSORT_ALPHA * np.sqrt(np.log(total) / np.maximum(together, 1e-5))
    bound -= np.abs(score[:, None] - score[None, :])

    def nearest(members: Ints, open_to: Floats) -> Floats:
        return _largest(bound[members[:, 0]] + open_to)

    return SequentialDraw(_largest(-met), nearest, at.allowed, anchored=True)


def information(at: Situation) -> SequentialDraw:
    """The group that lowers the doubt about the order most: the best pair, then who adds most.

    Gumbel noise of scale TEMPERATURE on the log worth spreads near-equal choices.
    """
    posterior = at.posterior
    ids = at.ids
    shut = np.zeros(len(ids))
    if len(ids) > MOST_WEIGHED:
        keep = _most_at_stake(at)
        shut = np.full(len(ids), -np.inf)
        shut[keep] = 0.0
    else:
        keep = np.arange(len(ids))
    chosen = ids[keep]
    stake = (
        at.stake[np.ix_(chosen, chosen)]
        if at.stake is not None
        else stake_matrix(posterior.mean, posterior.covariance, at.aim, chosen)
    )
    covariance = posterior.covariance[np.ix_(chosen, chosen)]
    mean = posterior.mean[chosen]
    pairs = pair_worth(mean, covariance, stake, posterior.lapse)
    growth = Growth(mean, covariance, stake, posterior.lapse, pairs, SHORT_LIST)
    taste = np.log(at.weights[keep])
    start = np.full((len(ids), len(ids)), -np.inf)
    start[np.ix_(keep, keep)] = np.log(pairs + TINY**2) + taste[:, None] + taste[None, :]
    place = np.full(len(ids), -1)
    place[keep] = np.arange(len(keep))

    def grown(members: Ints, open_to: Floats) -> Floats:
        logs = np.full((len(members), len(ids)), -np.inf)
        logs[:, keep] = growth(place[members], open_to[:, keep]) + taste
        return logs / TEMPERATURE

    return SequentialDraw(start / TEMPERATURE, grown, at.allowed)


def _most_at_stake(at: Situation) -> Ints:
    """The MOST_WEIGHED candidates (places in `ids`) whose variance touches the most doubt."""
    if at.stake is not None:
        touched = np.diag(at.stake)[at.ids]
    else:
        doubt = pair_weights(at.posterior.mean, at.posterior.covariance, at.aim).sum(axis=1)[at.ids]
        touched = doubt * np.diag(at.posterior.covariance)[at.ids] ** 2
    return np.sort(np.argpartition(-touched * at.weights, MOST_WEIGHED - 1)[:MOST_WEIGHED])


def _largest(scores: Floats) -> Floats:
    """0 where a row has its largest value, -inf elsewhere: the largest, ties at random."""
    top = scores.max(axis=-1, keepdims=True)
    return np.where((scores >= top) & np.isfinite(top), 0.0, -np.inf)


STRATEGIES: dict[str, Callable[[Situation], SequentialDraw]] = {
    "information": information,
    "random": random,
    "uniform": uniform,
    "lmarena": lmarena,
    "ksort": ksort,
}
