"""Votes, a likelihood and a prior, ready to be solved: shared by fits, bootstraps, profiles and influence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ranking.blocks import PairBlock
from ranking.connectivity import Connectivity, connectivity_of_table, connectivity_of_votes
from ranking.covariance import bread
from ranking.errors import BadVotes
from ranking.likelihood.gather import MANY_ROWS, RowSums, row_sums
from ranking.likelihood.pair_table import PairTable, count_pairs, pairs_within
from ranking.likelihood.terms import Floats, Layout, Terms
from ranking.newton import Solution, maximise, newton_step, pin
from ranking.outcomes import FIRST, SECOND
from ranking.prior import Ghost, Normal, Prior, check_prior
from ranking.votes import Votes

BATCH_MODELS = ("bradley-terry", "plackett-luce", "davidson")
# Fewer votes than this on a model and the spread of its scores says nothing: the model's variance is used.
FEW_VOTES = 10
# Where strengths have a prior, log tie strengths have a wide one too: normal about 0 with this deviation.
TIE_SPREAD = 3.0
# Parameters this far out (e^12 is 5,200 Elo points) mean that the maximum is at infinity.
RUNAWAY = 12.0
# With many rows Newton starts from a fit to their pairs, and to a sample of them.
LEAST_SAMPLE, SAMPLE_SHARE = 4_000, 16
# A first step longer than this is no correction of a start, and Newton looks for itself.
SHORT_STEP = 0.5


@dataclass(frozen=True)
class Problem:
    """A likelihood with its prior. `firth` asks for the bias-reducing penalty instead of a prior."""

    votes: Votes
    method: str
    likelihood: PairTable | RowSums
    connectivity: Connectivity
    prior: Prior | None
    firth: bool = False

    @property
    def layout(self) -> Layout:
        return self.likelihood.layout

    @property
    def pinned(self) -> int:
        """How many strengths may be shifted together for free while solving; a ghost stands still."""
        return 0 if isinstance(self.prior, Ghost) else self.layout.n

    def objective(self, phi: Floats) -> Terms:
        """Penalised log-likelihood, its gradient and information."""
        terms = self.likelihood.evaluate(phi)
        if self.firth:
            return _firth(self.likelihood, terms, phi)
        return self._with_prior(terms, phi)

    def _with_prior(self, terms: Terms, phi: Floats) -> Terms:
        if self.prior is None:
            return terms
        n, ties = self.layout.n, self._ties
        before = self.prior.terms(phi[:n])
        gradient, information = terms.gradient.copy(), terms.information.copy()
        gradient[:n] += before.gradient
        gradient[ties] -= phi[ties] / TIE_SPREAD**2
        information[:n, :n] += before.information
        information[ties, ties] += 1.0 / TIE_SPREAD**2
        return Terms(terms.log_likelihood + self.log_prior(phi), gradient, information, terms.squares)

    @property
    def _ties(self) -> NDArray[np.intp]:
        return self.layout.n + np.arange(len(self.layout.tie_sizes))

    def prior_information(self, phi: Floats) -> Floats:
        """(P, P) what the prior knows about differences of strengths; zero without a prior."""
        matrix = np.zeros((self.layout.size, self.layout.size))
        if self.prior is not None:
            n = self.layout.n
            matrix[:n, :n] = self.prior.information(phi[:n])
            matrix[self._ties, self._ties] = 1.0 / TIE_SPREAD**2
        return matrix

    def log_prior(self, phi: Floats) -> float:
        """The log of the prior at phi up to a constant."""
        if self.prior is None:
            return 0.0
        spread = float(phi[self._ties] @ phi[self._ties])
        return self.prior.terms(phi[: self.layout.n]).log_likelihood - 0.5 * spread / TIE_SPREAD**2

    def solve(self, start: Floats | None = None) -> Solution:
        """Newton from `start`, or from zero, or from a sample of the votes when there are many."""
        if start is None:
            start = self._start()
        # A pass over many votes is what costs. The step is taken; what is left is a fraction of its square.
        tolerance = 1e-3 if self._many_rows else 1e-5
        solution = maximise(self.objective, start, pinned=self.pinned, tolerance=tolerance)
        phi = solution.phi.copy()
        phi[: self.layout.n] -= phi[: self.layout.n].mean() if self.layout.n else 0.0
        if self.prior is None and not self.firth and not self.connectivity.has_finite_maximum:
            # The maximum is at infinity, however small the last step was.
            solution = replace(solution, converged=False)
        if self.firth:  # the information and log-likelihood of the votes, without the penalty
            return replace(solution, phi=phi, terms=self.likelihood.evaluate(phi))
        return replace(solution, phi=phi)

    def _start(self) -> Floats:
        start = np.zeros(self.layout.size)
        if isinstance(self.likelihood, PairTable):
            start[: self.layout.n] = self.likelihood.rough_strengths()
            return start
        if not self._many_rows:
            start[: self.layout.n] = self.likelihood.rough_strengths()
            return start
        n = self.layout.n
        pairs = self._from_pairs(self.likelihood)
        start[:n] = pairs.phi
        if not self.layout.extras:
            return start
        # What tie strengths and effects change is seen in a sample: noise that the pairs of the sample and
        # its fit have in common cancels. Ghosts keep it finite where somebody happens to be undefeated.
        likelihood = self.likelihood.sample(max(LEAST_SAMPLE, self.likelihood.rows // SAMPLE_SHARE))
        sample = replace(self, likelihood=likelihood, prior=Ghost(), firth=False)
        alone = np.concatenate([self._from_pairs(likelihood).phi, np.zeros(self.layout.extras)])
        found = maximise(sample.objective, alone, pinned=0, tolerance=1e-2)
        start += found.phi - alone
        if self.likelihood.direct and self.likelihood.weights is None:
            start += self._correction(start, pairs, found.terms.information / likelihood.rows)
        return start

    def _correction(self, start: Floats, pairs: Solution, curvature: Floats) -> Floats:
        """One step for the price of a gradient: all pairs know the curvature of strengths, and a sample
        knows that of effects, here per vote. Zero where it is too long to be a correction."""
        if isinstance(self.likelihood, PairTable):
            return np.zeros_like(start)
        information = curvature * self.likelihood.rows
        n = self.layout.n
        information[:n, :n] = pairs.terms.information
        step = newton_step(Terms(0.0, self.likelihood.gradient(start), information), pinned=0)
        return step if np.abs(step).max() < SHORT_STEP else np.zeros_like(start)

    def _from_pairs(self, likelihood: RowSums) -> Solution:
        """Strengths from the pairs that the votes order; ghosts keep them finite."""
        table = pairs_within([part.block for part in likelihood.parts], self.layout.n)
        pairs = replace(self, likelihood=table, prior=Ghost(), firth=False)
        return maximise(pairs.objective, table.rough_strengths(), pinned=0, tolerance=1e-3)

    @property
    def _many_rows(self) -> bool:
        return not isinstance(self.likelihood, PairTable) and self.likelihood.rows >= MANY_ROWS


def _firth(table: PairTable | RowSums, terms: Terms, phi: Floats) -> Terms:
    """Jeffreys' penalty, half the log determinant of the information (Firth 1993).

    For pairs its score is h (1/2 - p) per pair, with h the leverage N p (1 - p) var(theta_i - theta_j).
    """
    if not isinstance(table, PairTable) or table.davidson:
        raise BadVotes("The firth prior is worked out for bradley-terry on pairs only; use ghost.")
    n = table.layout.n
    inverse = bread(terms.information, n)
    i, j = table.i, table.j
    p = 1.0 / (1.0 + np.exp(phi[j] - phi[i]))
    variance = inverse[i, i] + inverse[j, j] - 2.0 * inverse[i, j]
    leverage = table.outcomes.sum(axis=0) * p * (1.0 - p) * variance
    score = leverage * (0.5 - p)
    gradient = terms.gradient + np.bincount(i, score, n) - np.bincount(j, score, n)
    # Newton needs the penalty's curvature too, or it swings about the maximum: here with the leverage held.
    curvature = (
        PairTable(table.layout, i, j, np.stack([leverage, 0 * p, 0 * p]), table.squares)
        .evaluate(phi)
        .information
    )
    # The pin carries the scale of the information; without it the determinant is that of mean-zero strengths.
    scale = max(float(np.trace(terms.information)) / n, 1e-12)
    _, log_determinant = np.linalg.slogdet(pin(terms.information, n))
    penalty = 0.5 * (log_determinant - np.log(scale))
    return Terms(terms.log_likelihood + penalty, gradient, terms.information + curvature)


def pose(votes: Votes, model: str | None, prior: str, prior_sd: float) -> Problem:
    """Choose the likelihood the data ask for, look at who beat whom, and add the prior that is needed."""
    check_prior(prior)
    if model is not None and model not in BATCH_MODELS:
        raise BadVotes(f"There is no model {model!r}; it can be {', '.join(BATCH_MODELS)}.")
    tie_sizes = _tie_sizes(votes) if model in (None, "davidson") else ()
    method = "davidson" if tie_sizes else ("bradley-terry" if votes.is_pairwise else "plackett-luce")
    likelihood: PairTable | RowSums
    if votes.is_pairwise and not votes.features:
        likelihood = count_pairs(votes, davidson=bool(tie_sizes))
        connectivity = connectivity_of_table(likelihood)
    else:
        likelihood = row_sums(votes, tie_sizes)
        connectivity = connectivity_of_votes(votes)
    if prior == "auto":
        prior = "none" if connectivity.has_finite_maximum else "ghost"
    if prior == "firth" and connectivity.weak.max(initial=0) > 0:
        raise BadVotes(
            "Some models are not connected by any vote, which the firth prior cannot mend; use ghost."
        )
    chosen: Prior | None = None
    if prior == "ghost":
        chosen = Ghost()
    elif prior in ("normal", "estimated"):
        if not prior_sd > 0.0:
            raise BadVotes("The standard deviation of a normal prior must be above zero.")
        chosen = Normal(prior_sd)
    return Problem(votes, method, likelihood, connectivity, chosen, firth=prior == "firth")


def solved(votes: Votes, model: str | None, prior: str, prior_sd: float = 1.0) -> tuple[Problem, Solution]:
    """The problem and its solution. Under "auto" ghosts step in also where ties leave no finite answer.

    Who beat whom decides whether Bradley-Terry and Plackett-Luce have one; with a free tie strength a
    group that others only ever tied can drift off together with the tie strength, which shows on the way.
    """
    problem = pose(votes, model, prior, prior_sd)
    solution = problem.solve()
    lost = not solution.converged or float(np.abs(solution.phi).max(initial=0.0)) > RUNAWAY
    if prior == "auto" and problem.prior is None and lost and problem.layout.tie_sizes:
        problem = replace(problem, prior=Ghost())
        solution = problem.solve()
    return problem, solution


def _tie_sizes(votes: Votes) -> tuple[int, ...]:
    """The sizes of ties seen; none when nothing but whole ties was said, which has no finite strength."""
    sizes: set[int] = set()
    decided = False
    for block in votes.blocks:
        if isinstance(block, PairBlock):
            seen = block.outcome_counts()
            sizes |= {2} if seen[2] else set()
            decided |= bool(seen[FIRST] + seen[SECOND])
        else:
            sizes |= {size for size in block.sizes if size > 1}
            decided |= len(block.levels()) > 0 and max(block.levels()) > 0
    return tuple(sorted(sizes)) if decided else ()
