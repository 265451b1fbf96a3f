"""FastChat's method, written by us from its description: the package itself needs a serving stack.

Bradley-Terry by L-BFGS-B on the unique (pair, outcome) rows with their counts, a tie being half a win of
each; intervals from 100 multinomial resamples of those counts; style control by L-BFGS-B over single
votes with standardised covariates of the difference and a ridge on their effects.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Floats = NDArray[np.float64]
OUTCOMES = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5}


def unique_rows(frame: pd.DataFrame) -> tuple[NDArray[np.intp], Floats, Floats, int]:
    """(pairs (u, 2), outcomes (u,), counts (u,), n models) of a frame with model_a, model_b, winner."""
    names = pd.unique(pd.concat([frame["model_a"], frame["model_b"]]))
    position = pd.Series(np.arange(len(names)), index=names)
    table = np.stack(
        [
            position[frame["model_a"]].to_numpy(),
            position[frame["model_b"]].to_numpy(),
            (frame["winner"].map(OUTCOMES).to_numpy() * 2).astype(np.int64),
        ],
        axis=1,
    )
    rows, counts = np.unique(table, axis=0, return_counts=True)
    return rows[:, :2], rows[:, 2] / 2.0, counts.astype(np.float64), len(names)


def bradley_terry(pairs: NDArray[np.intp], outcomes: Floats, counts: Floats, n: int, start: Floats) -> Floats:
    """(n,) strengths by L-BFGS-B."""

    def loss(theta: Floats) -> tuple[float, Floats]:
        gap = theta[pairs[:, 0]] - theta[pairs[:, 1]]
        value = float(counts @ (np.logaddexp(0.0, gap) - outcomes * gap))
        pull = counts * (expit(gap) - outcomes)
        slope = np.bincount(pairs[:, 0], pull, n) - np.bincount(pairs[:, 1], pull, n)
        return value, slope

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 100, "gtol": 1e-6})
    return np.asarray(found.x - found.x.mean())


def fit_frame(frame: pd.DataFrame) -> Floats:
    """Point ratings."""
    pairs, outcomes, counts, n = unique_rows(frame)
    return bradley_terry(pairs, outcomes, counts, n, np.zeros(n))


def bootstrap_frame(frame: pd.DataFrame, rounds: int, seed: int) -> Floats:
    """(rounds, n) ratings of multinomial resamples."""
    pairs, outcomes, counts, n = unique_rows(frame)
    rng = np.random.default_rng(seed)
    total = int(counts.sum())
    draws = rng.multinomial(total, counts / total, size=rounds).astype(np.float64)
    return np.stack([bradley_terry(pairs, outcomes, row, n, np.zeros(n)) for row in draws])


def style_control(frame: pd.DataFrame, features: Floats, ridge: float = 0.5) -> tuple[Floats, Floats]:
    """(strengths (n,), effects (F,)) with features (votes, F) of the difference."""
    names = pd.unique(pd.concat([frame["model_a"], frame["model_b"]]))
    position = pd.Series(np.arange(len(names)), index=names)
    first, second = (position[frame[name]].to_numpy() for name in ("model_a", "model_b"))
    outcome = frame["winner"].map(OUTCOMES).to_numpy()
    standard = features / features.std(axis=0)
    n = len(names)

    def loss(flat: Floats) -> tuple[float, Floats]:
        theta, beta = flat[:n], flat[n:]
        gap = theta[first] - theta[second] + standard @ beta
        value = float((np.logaddexp(0.0, gap) - outcome * gap).sum()) + 0.5 * ridge * float(beta @ beta)
        pull = expit(gap) - outcome
        slope = np.bincount(first, pull, n) - np.bincount(second, pull, n)
        return value, np.concatenate([slope, standard.T @ pull + ridge * beta])

    start = np.zeros(n + features.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 100, "gtol": 1e-6})
    return found.x[:n] - found.x[:n].mean(), found.x[n:]
