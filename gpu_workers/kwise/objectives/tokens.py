"""Objectives that look inside the responses: at their tokens, or at the whole distribution of each."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gpu_workers.kwise.objectives.registry import Option, Scores, gaps_of, mean_over, objective
from gpu_workers.kwise.votes import VoteBatch


@objective(
    "ld-dpo",
    family="tokens",
    paper="Liu et al. 2024 (LD-DPO), arXiv 2409.06411, eq. 9-11",
    equation="DPO; of log pi(y_i|x), tokens beyond the shorter of the pair count alpha",
    level="tokens",
    alpha=Option(0.5, 0.0),
)
def ld_dpo(scores: Scores, votes: VoteBatch, *, beta: float, alpha: float) -> Tensor:
    """Length-desensitised: what only the longer response has says less."""
    assert scores.tokens is not None
    ratios = scores.tokens.policy - scores.tokens.reference  # (batch, K, T)
    place = torch.arange(ratios.shape[2], device=ratios.device)
    within = place < scores.lengths[:, :, None]  # (batch, K, T): [b, j] tokens as far as j goes
    shared = torch.einsum("bit,bjt->bij", ratios, within.to(ratios.dtype))  # of i, as far as j goes
    whole = ratios.sum(dim=2)[:, :, None]
    counted = alpha * whole + (1 - alpha) * shared
    return mean_over(-F.logsigmoid(beta * (counted - counted.transpose(1, 2))), votes.preferences())


@objective(
    "tdpo",
    family="tokens",
    paper="Zeng et al. 2024 (TDPO1), arXiv 2404.11999, eq. 15",
    equation="-log s(d - beta (D_j - D_i)), D the sum over tokens of KL(pi_ref || pi)",
    level="distributions",
)
def tdpo(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    ratios, divergence = _sums(scores)
    return mean_over(-F.logsigmoid(beta * gaps_of(ratios + divergence)), votes.preferences())


@objective(
    "tdpo2",
    family="tokens",
    paper="Zeng et al. 2024 (TDPO2), arXiv 2404.11999, eq. 17",
    equation="-log s(d - alpha beta (D_j - D_i)), D_i not differentiated",
    level="distributions",
    alpha=Option(0.5, 0.0),
)
def tdpo2(scores: Scores, votes: VoteBatch, *, beta: float, alpha: float) -> Tensor:
    ratios, divergence = _sums(scores)
    moved = divergence[:, None, :] - divergence.detach()[:, :, None]
    return mean_over(-F.logsigmoid(beta * (gaps_of(ratios) - alpha * moved)), votes.preferences())


@objective(
    "sparsepo",
    family="tokens",
    paper="Christopoulou et al. 2024 (SparsePO), arXiv 2410.05102, eq. 8; mask: its activation-based MaPO",
    equation="-log s(beta sum_t (m_i rho_i - m_j rho_j) - beta sum_t (m_j D_j - m_i D_i))",
    level="distributions",
)
def sparsepo(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """Tokens that leave the reference unmoved count nothing.

    The mask is of the reference: the size of its last hidden state at the token, standardised over the
    response, and what is below the mean cut off (the paper averages the feed-forward activations of
    all layers).
    """
    tokens = scores.tokens
    assert tokens is not None
    assert tokens.divergence is not None
    assert tokens.mask is not None
    ratios = (tokens.mask * (tokens.policy - tokens.reference)).sum(dim=2)
    divergence = (tokens.mask * tokens.divergence).sum(dim=2)
    return mean_over(-F.logsigmoid(beta * gaps_of(ratios + divergence)), votes.preferences())


def _sums(scores: Scores) -> tuple[Tensor, Tensor]:
    assert scores.tokens is not None
    assert scores.tokens.divergence is not None
    ratios = (scores.tokens.policy - scores.tokens.reference).sum(dim=2)
    return ratios, scores.tokens.divergence.sum(dim=2)
