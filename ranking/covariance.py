"""How sure the strengths are: model-based, sandwich, and clustered by voter, prompt or both.

V = A M A with A the inverse information and M the variance of the scores: of single votes (Huber 1967;
White 1982), or of the summed scores of each voter or prompt (Liang and Zeger 1986), or both ways at once
(Cameron, Gelbach and Miller 2011, eq. 2.3: voter + prompt - voter within prompt).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse import csr_array

from ranking.errors import BadVotes
from ranking.likelihood.terms import Floats
from ranking.newton import pin
from ranking.votes import Votes

CLUSTERS = ("voter", "prompt", "both")
# Information in a direction that the votes say nothing about and no prior covers.
NOTHING_KNOWN = 1e-8
# Fewer clusters than this and no formula knows the variance between them.
FEW_CLUSTERS = 20


@dataclass(frozen=True)
class Clusters:
    """Which votes belong together. `groups` are code columns (total,); the last of three is subtracted."""

    name: str
    groups: tuple[NDArray[np.intp], ...]
    counts: tuple[int, ...]

    @property
    def fewest(self) -> int:
        """The number of groups of the coarser column."""
        return min(self.counts)

    @property
    def degrees_of_freedom(self) -> float:
        """Of Student's t: one less than the groups. Two at least, since with less t says nothing at all;
        infinite without votes, where the interval is the prior's."""
        return max(self.fewest - 1.0, 2.0) if self.fewest else np.inf


def clusters_of(votes: Votes, cluster: str | None) -> Clusters | None:
    """The clusters called "voter", "prompt" or "both". Raises BadVotes when the votes do not carry them."""
    if cluster is None:
        return None
    if cluster not in CLUSTERS:
        raise BadVotes(f"There is no cluster {cluster!r}; it can be {', '.join(CLUSTERS)}.")
    columns = {"voter": votes.voters, "prompt": votes.prompts}
    wanted = ("voter", "prompt") if cluster == "both" else (cluster,)
    found = []
    for name in wanted:
        column = columns[name]
        if column is None:
            raise BadVotes(f"The votes have no {name} column, so they cannot be clustered by {name}.")
        found.append(column)
    if cluster == "both" and votes.total:
        cells = found[0] * (int(found[1].max()) + 1) + found[1]
        found.append(np.unique(cells, return_inverse=True)[1].astype(np.intp))
    counts = tuple(int(column.max(initial=-1)) + 1 for column in found)
    return Clusters(cluster, tuple(found), counts)


def bread(information: Floats, pinned: int) -> Floats:
    """(P, P) inverse of the information, with the first `pinned` parameters having mean zero."""
    if len(information) == 0:
        return information
    matrix = pin(information, pinned)
    factor, failed = dpotrf(matrix)
    if not failed:
        half, _ = dpotri(factor)  # the upper triangle
        return centred(half + np.triu(half, 1).T, pinned)
    try:
        inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:  # a maximum at infinity: say so with a huge variance, not with an exception
        inverse = np.asarray(np.linalg.inv(matrix + NOTHING_KNOWN * np.eye(len(matrix))), dtype=np.float64)
    return centred(inverse, pinned)


def centred(covariance: Floats, pinned: int) -> Floats:
    """The covariance of strengths measured from their mean."""
    if pinned:
        covariance = covariance.copy()
        covariance[:pinned] -= covariance[:pinned].mean(axis=0)
        covariance[:, :pinned] -= covariance[:, :pinned].mean(axis=1)[:, np.newaxis]
    return 0.5 * (covariance + covariance.T)


def clustered_meat(scores: Callable[[NDArray[np.intp], int], csr_array], clusters: Clusters) -> Floats:
    """(P, P) variance of the score summed by cluster; scores(groups, count) gives (count, P).

    Each way is scaled by G / (G - 1), the least that removes the bias of G mean-zero sums.
    """
    total: Floats | None = None
    for place, (groups, count) in enumerate(zip(clusters.groups, clusters.counts, strict=True)):
        summed = scores(groups, count)
        outer = np.asarray(
            (summed.T @ summed) if isinstance(summed, np.ndarray) else (summed.T @ summed).todense()
        )
        outer = outer * (count / max(count - 1, 1))
        total = outer if total is None else total + (-outer if place == 2 else outer)
    if total is None:
        raise ValueError("clusters without groups")
    return total


def at_least(covariance: Floats, floor: Floats) -> Floats:
    """The covariance, raised to `floor` in every direction in which it is below it.

    Summed by a few clusters the scores leave most directions without any variance, and two ways at once
    can leave less than none. Votes that belong together never tell more than independent ones.
    """
    if not covariance.size:
        return covariance
    values, vectors = eigh(floor - covariance)
    return np.asarray(covariance + (vectors * np.maximum(values, 0.0)) @ vectors.T)
