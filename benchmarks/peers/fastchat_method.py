"""FastChat's method, written by us: the package itself needs a serving stack.

It does what the package's rating_systems does, step for step where that decides the time. Bradley-Terry by
L-BFGS-B from zero, in units in which a strength is a power of ten, on the unique (pair, outcome) rows with
their counts, a tie being half a win of each; gradients gathered with np.add.at; intervals from multinomial
resamples of those counts, of weight one in all. Style control is the same over single votes with
standardised covariates of the difference and a ridge on all parameters. Left out is what is not the method:
the pool of processes, and reading covariates from metadata.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Floats = NDArray[np.float64]
BASE = float(np.log(10.0))
OPTIONS = {"maxiter": 100, "gtol": 1e-6}


def _ids(frame: pd.DataFrame) -> tuple[NDArray[np.intp], int]:
    """(pairs (votes, 2), n models)."""
    codes, names = pd.factorize(pd.concat([frame["model_a"], frame["model_b"]]))
    return np.ascontiguousarray(codes.reshape(2, -1).T), len(names)


def _outcomes(frame: pd.DataFrame) -> Floats:
    """(votes,) 1 where model_a won, 0 where model_b did, else a half."""
    won, lost = ((frame["winner"] == word).to_numpy() for word in ("model_a", "model_b"))
    return 0.5 + 0.5 * won - 0.5 * lost


def unique_rows(frame: pd.DataFrame) -> tuple[NDArray[np.intp], Floats, Floats, int]:
    """(pairs (u, 2), outcomes (u,), counts (u,), n models) of a frame with model_a, model_b, winner."""
    pairs, n = _ids(frame)
    table = np.empty((len(frame), 3), dtype=np.int32)
    table[:, :2], table[:, 2] = pairs, 2.0 * _outcomes(frame)
    rows, counts = np.unique(table, axis=0, return_counts=True)
    return rows[:, :2].astype(np.intp), rows[:, 2] / 2.0, counts.astype(np.float64), n


def _loss_of_gaps(gap: Floats, outcomes: Floats) -> tuple[Floats, Floats]:
    """Each vote's loss and its slope in the gap."""
    p = expit(gap)
    return -(outcomes * np.log(p) + (1.0 - outcomes) * np.log(1.0 - p)), p - outcomes


def _by_model(pairs: NDArray[np.intp], pull: Floats, n: int) -> Floats:
    slope = np.zeros(n)
    np.add.at(slope, pairs, pull[:, np.newaxis] * np.array([1.0, -1.0]))
    return slope


def bradley_terry(pairs: NDArray[np.intp], outcomes: Floats, counts: Floats, n: int) -> Floats:
    """(n,) strengths, natural logs with mean zero, by L-BFGS-B."""

    def loss(powers: Floats) -> tuple[float, Floats]:
        both = powers[pairs]
        value, pull = _loss_of_gaps(BASE * (both[:, 0] - both[:, 1]), outcomes)
        return float((counts * value).sum()), _by_model(pairs, BASE * counts * pull, n)

    found = minimize(loss, np.zeros(n), jac=True, method="L-BFGS-B", options=OPTIONS)
    return np.asarray(BASE * (found.x - found.x.mean()))


def fit_frame(frame: pd.DataFrame) -> Floats:
    """Point ratings."""
    return bradley_terry(*unique_rows(frame))


def bootstrap_frame(frame: pd.DataFrame, rounds: int, seed: int) -> Floats:
    """(rounds, n) ratings of multinomial resamples."""
    pairs, outcomes, counts, n = unique_rows(frame)
    total = int(counts.sum())
    draws = np.random.default_rng(seed).multinomial(total, counts / total, size=rounds) / total
    return np.stack([bradley_terry(pairs, outcomes, row, n) for row in draws])


def style_control(frame: pd.DataFrame, features: Floats, ridge: float = 0.5) -> tuple[Floats, Floats]:
    """(strengths (n,), effects (F,)) with features (votes, F) of the difference."""
    (pairs, n), outcomes = _ids(frame), _outcomes(frame)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)

    def loss(flat: Floats) -> tuple[float, Floats]:
        both = flat[pairs]
        gap = BASE * (both[:, 0] - both[:, 1]) + standard @ flat[n:]
        value, pull = _loss_of_gaps(gap, outcomes)
        slope = ridge * flat
        slope[:n] += _by_model(pairs, BASE * pull, n)
        slope[n:] += standard.T @ pull
        return float(value.sum()) + 0.5 * ridge * float(flat @ flat), slope

    start = np.zeros(n + features.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=OPTIONS)
    return BASE * (found.x[:n] - found.x[:n].mean()), found.x[n:]
