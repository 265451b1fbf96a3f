"""The ways to choose who meets: each turns a posterior into a `SequentialDraw`.

`random` and `uniform` need no ratings.  `lmarena` is Chatbot Arena's sampling by the
reduction of the confidence interval (Chiang et al., ICML 2024, section 5) and `ksort` is
K-Sort Arena's upper confidence bound (Li et al., CVPR 2025, eq. 11), so that a board can be
run as theirs is.  `information` is the default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranking.matchmaking.draw import SequentialDraw
from ranking.matchmaking.information import TINY, Aim, Growth, pair_weights, pair_worth, stake_matrix
from ranking.matchmaking.posterior import Posterior
from ranking.matchmaking.weak_order import Floats, Ints

# Gumbel noise on the log worth is scaled by this: groups worth 10 % less are drawn
# exp(-0.1 / TEMPERATURE) times as often.
TEMPERATURE = 0.05
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
    exclude: tuple[tuple[int, int], ...]  # pairs that must not meet
    aim: Aim
    stake: Floats | None  # (n, n) B = S L S computed earlier, or None

    def forbidden(self, ids: Ints) -> Floats | None:
        """(c, c): 0 where two of `ids` may meet, -inf where not and on the diagonal."""
        if not self.exclude:
            return None
        apart = np.zeros((self.posterior.n, self.posterior.n), dtype=bool)
        np.fill_diagonal(apart, True)
        first, second = np.array(self.exclude, dtype=np.int64).T
        apart[first, second] = apart[second, first] = True
        return np.where(apart[np.ix_(ids, ids)], -np.inf, 0.0)


def random(at: Situation) -> SequentialDraw:
    """Every group alike, or each contestant in proportion to its weight."""
    logs = np.log(at.weights)
    alike = not at.exclude and bool((at.weights == at.weights[0]).all())
    return SequentialDraw(
        at.ids, logs, lambda members, open_to: logs + open_to, at.forbidden(at.ids), alike=alike
    )


def uniform(at: Situation) -> SequentialDraw:
    """Those shown least come first, ties at random; weights divide the number shown."""
    load = at.posterior.shown[at.ids] / at.weights

    def least(members: Ints, open_to: Floats) -> Floats:
        return _largest(open_to - load)

    return SequentialDraw(at.ids, _largest(-load), least, at.forbidden(at.ids))


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

    return SequentialDraw(at.ids, np.log(reduction), joined, at.forbidden(at.ids))


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

    return SequentialDraw(at.ids, _largest(-met), nearest, at.forbidden(at.ids), anchored=True)


def information(at: Situation) -> SequentialDraw:
    """The group that lowers the doubt about the order most: the best pair, then who adds most.

    Gumbel noise of scale TEMPERATURE on the log worth spreads near-equal choices.
    """
    ids, taste, stake = _candidates(at)
    posterior = at.posterior
    covariance = posterior.covariance[np.ix_(ids, ids)]
    mean = posterior.mean[ids]
    pairs = pair_worth(mean, covariance, stake, posterior.lapse)
    growth = Growth(mean, covariance, stake, posterior.lapse, pairs, SHORT_LIST)
    start = np.log(pairs + TINY**2) + taste[:, None] + taste[None, :]

    def grown(members: Ints, open_to: Floats) -> Floats:
        return np.asarray((growth(members, open_to) + taste) / TEMPERATURE)

    return SequentialDraw(ids, start / TEMPERATURE, grown, at.forbidden(ids))


def _candidates(at: Situation) -> tuple[Ints, Floats, Floats]:
    """Contestants worth weighing (c,), the logs of their weights (c,) and their stakes (c, c).

    Those whose variance touches the most doubt, where there are more than MOST_WEIGHED.
    """
    posterior, ids, taste = at.posterior, at.ids, np.log(at.weights)
    crowded = len(ids) > MOST_WEIGHED
    if at.stake is not None:
        if crowded:
            keep = _heaviest(np.log(np.diag(at.stake)[ids] + TINY) + taste)
            ids, taste = ids[keep], taste[keep]
        return ids, taste, at.stake[np.ix_(ids, ids)]
    if not crowded:
        stake = stake_matrix(
            posterior.covariance, pair_weights(posterior.mean, posterior.covariance, at.aim), ids
        )
        return ids, taste, stake
    # Single precision halves the time here, and six digits are plenty for choosing.
    covariance: Any = posterior.covariance.astype(np.float32)
    mean: Any = posterior.mean.astype(np.float32)
    weight = pair_weights(mean, covariance, at.aim)
    touched = weight.sum(axis=1)[ids] * np.diag(covariance)[ids] ** 2
    keep = _heaviest(np.log(touched + TINY) + taste)
    ids, taste = ids[keep], taste[keep]
    return ids, taste, stake_matrix(covariance, weight, ids).astype(np.float64)


def _heaviest(scores: Floats) -> Ints:
    return np.sort(np.argpartition(-scores, MOST_WEIGHED - 1)[:MOST_WEIGHED])


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
