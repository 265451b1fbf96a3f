"""fit(votes): the one door to every rating method, and what each of them promises in its Fit."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ranking.covariance import (
    FEW_CLUSTERS,
    Clusters,
    at_least,
    bread,
    centred,
    clustered_meat,
    clusters_of,
)
from ranking.errors import BadVotes
from ranking.likelihood.gather import RowSums, row_sums
from ranking.likelihood.pair_table import PairTable
from ranking.likelihood.terms import Floats
from ranking.newton import Solution
from ranking.online import ONLINE_MODELS, fit_online
from ranking.prior import Ghost, Normal
from ranking.problem import BATCH_MODELS, FEW_VOTES, Problem, solved
from ranking.result import Estimate, Fit
from ranking.spread import estimate_spread
from ranking.votes import Votes

COVARIANCES = ("sandwich", "model")
MODELS = (*BATCH_MODELS, *ONLINE_MODELS)


def fit(
    votes: Votes,
    *,
    model: str | None = None,
    cluster: str | None = None,
    prior: str = "auto",
    prior_sd: float = 1.0,
    covariance: str = "sandwich",
    level: float = 0.95,
    seed: int = 0,
) -> Fit:
    """Strengths, joint covariance and warnings from votes.

    model: "bradley-terry" and "plackett-luce" (one likelihood; ties shared), "davidson" (ties of any size
    with their own strength), or an online method. None: davidson when there are ties, else the other.
    cluster: "voter", "prompt" or "both" for votes that are not independent of each other.
    prior: "auto" (ghost votes when maximum likelihood has no finite answer, else none), "none", "ghost",
    "firth", "normal" (spread prior_sd) or "estimated" (its spread from the votes).
    covariance: "sandwich" (right also where the model is wrong) or "model". `seed` matters only to methods
    that draw. Raises BadVotes.
    """
    if not 0.0 < level < 1.0:
        raise BadVotes(f"The level {level} must lie between 0 and 1.")
    if covariance not in COVARIANCES:
        raise BadVotes(f"There is no covariance {covariance!r}; it can be {', '.join(COVARIANCES)}.")
    if model in ONLINE_MODELS:
        if cluster is not None:
            raise BadVotes(f"{model} has no scores to cluster; leave the model out or use bradley-terry.")
        return fit_online(votes, model, level=level)
    if model is not None and model not in MODELS:
        raise BadVotes(f"There is no model {model!r}; it can be {', '.join(MODELS)}.")
    problem, solution = solved(votes, model, prior, prior_sd)
    unsure = np.zeros(len(solution.phi))
    if prior == "estimated":
        problem, solution, unsure = estimate_spread(problem, solution)
    clusters = clusters_of(votes, cluster)
    per_model = _votes_per_model(problem)
    full = _covariance(problem, solution, clusters, per_model, covariance) + np.outer(unsure, unsure)
    return _result(problem, solution, full, clusters, per_model, covariance, level)


def _votes_per_model(problem: Problem) -> NDArray[np.int64]:
    """Counts without weights; the table has them already when no weights were given."""
    if isinstance(problem.likelihood, PairTable) and problem.votes.weights is None:
        return np.rint(problem.likelihood.votes_per_model()).astype(np.int64)
    return problem.votes.votes_per_model()


def _covariance(
    problem: Problem, solution: Solution, clusters: Clusters | None, per_model: NDArray[np.int64], kind: str
) -> Floats:
    """(P, P) of all parameters, strengths measured from their mean."""
    n, phi = problem.layout.n, solution.phi
    before = problem.prior_information(phi)
    information = solution.terms.information
    if isinstance(problem.prior, Ghost):  # solved with the ghost fixed; what is known has it free
        fixed = problem.prior.terms(phi[:n]).information
        information = information.copy()
        information[:n, :n] += before[:n, :n] - fixed
    inverse = bread(information, n)
    if kind == "model" and clusters is None:
        return inverse
    # The scores of the undefeated and of the rarely seen hardly vary, whatever their strength: there the
    # model's own variance is the honest one.
    flagged = per_model < FEW_VOTES
    if not problem.connectivity.has_finite_maximum:
        flagged |= problem.connectivity.one_sided()
    if flagged.any():
        before = before + problem.likelihood.one_sided(phi, flagged)
    squares = solution.terms.squares
    if squares is None:
        squares = problem.likelihood.meat(phi)
    independent = centred(inverse @ (squares + before) @ inverse, n)
    if clusters is None:
        return independent
    rows = problem.likelihood
    if not isinstance(rows, RowSums):
        rows = row_sums(problem.votes, problem.layout.tie_sizes)
    meat = clustered_meat(partial(rows.scores, phi), clusters)
    return at_least(centred(inverse @ (meat + before) @ inverse, n), independent)


def _result(
    problem: Problem,
    solution: Solution,
    full: Floats,
    clusters: Clusters | None,
    per_model: NDArray[np.int64],
    kind: str,
    level: float,
) -> Fit:
    votes, layout = problem.votes, problem.layout
    n, phi = layout.n, solution.phi
    estimates = [
        Estimate(float(value), float(np.sqrt(max(variance, 0.0))))
        for value, variance in zip(phi[n:], np.diag(full)[n:], strict=True)
    ]
    ties = len(layout.tie_sizes)
    return Fit(
        models=votes.models,
        strengths=phi[:n],
        covariance=full[:n, :n],
        votes=per_model,
        method=problem.method,
        prior=_prior_name(problem),
        covariance_kind=kind if clusters is None else f"clustered by {_cluster_words(clusters)}",
        log_likelihood=solution.terms.log_likelihood - problem.log_prior(phi),
        converged=solution.converged,
        iterations=solution.iterations,
        warnings=tuple(_warnings(problem, solution, clusters)),
        ties=dict(zip(layout.tie_sizes, estimates[:ties], strict=True)),
        effects={
            name: replace(estimate, scale=float(scale))
            for name, estimate, scale in zip(
                votes.features,
                estimates[ties:],
                () if votes.feature_scale is None else votes.feature_scale,
                strict=True,
            )
        },
        degrees_of_freedom=np.inf if clusters is None else clusters.degrees_of_freedom,
        level=level,
        components=problem.connectivity.strong,
        parameters=phi,
    )


def _prior_name(problem: Problem) -> str:
    if problem.firth:
        return "firth"
    if isinstance(problem.prior, Ghost):
        return f"ghost ({problem.prior.votes:g} won and lost each)"
    if isinstance(problem.prior, Normal):
        return f"normal (sd {problem.prior.sd:.4g})"
    return "none"


def _cluster_words(clusters: Clusters) -> str:
    return "voter and prompt" if clusters.name == "both" else clusters.name


def _warnings(problem: Problem, solution: Solution, clusters: Clusters | None) -> list[str]:
    votes = problem.votes
    said: list[str] = []
    if not any(len(block) for block in votes.blocks):
        said.append("There are no votes yet: every rating is the prior's.")
    elif len(votes.models) > 1:
        said += problem.connectivity.warnings(votes.models)
    if votes.all_bad:
        many = "vote says" if votes.all_bad == 1 else "votes say"
        said.append(f"{votes.all_bad} {many} that all responses were bad; they order nobody.")
    if clusters is not None and 0 < clusters.fewest < FEW_CLUSTERS:
        names = "voter or prompt" if clusters.name == "both" else clusters.name
        people = (
            names if clusters.fewest == 1 else names.replace("voter", "voters").replace("prompt", "prompts")
        )
        said.append(
            f"The votes come from only {clusters.fewest} {people}: with fewer than {FEW_CLUSTERS} "
            "the intervals are rough."
        )
    if not solution.converged:
        said.append("The fit did not converge; do not rely on these ratings.")
    return said
