"""Objectives of reward models: the scores are what a head on the model makes of a response's last state.

There is no reference: `scores.policy` are the rewards, (batch, K), and `scores.tokens.policy` all that the
head gives, (batch, K, width). Beta plays no part.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from gpu_workers.kwise.objectives.orders import plackett_luce
from gpu_workers.kwise.objectives.pairs import dpo
from gpu_workers.kwise.objectives.registry import Option, Scores, mean_over, objective
from gpu_workers.kwise.objectives.ties import davidson
from gpu_workers.kwise.votes import VoteBatch

PLANES, HEADS = 4, 4  # of the general preference embedding; of the mixture


@objective(
    "reward-bradley-terry",
    family="reward",
    paper="Bradley and Terry 1952; Ouyang et al. 2022, arXiv 2203.02155, eq. 1; vote shares: soft labels",
    equation="-(1 - e) log s(R_i - R_j) - e log s(R_j - R_i)",
    needs_reference=False,
    has_nll=True,
    head=1,
    label_smoothing=Option(0.0, 0.0, 0.5),
)
def reward_bradley_terry(scores: Scores, votes: VoteBatch, *, beta: float, label_smoothing: float) -> Tensor:
    return dpo(_bare(scores), votes, beta=1.0, label_smoothing=label_smoothing)


@objective(
    "reward-plackett-luce",
    family="reward",
    paper="Plackett 1975, Luce 1959; for reward models Zhu et al. 2023, arXiv 2301.11270, eq. 5; ties exact",
    equation="-log sum over the allowed orders o of prod_k exp(R_o(k)) / sum_{l>=k} exp(R_o(l))",
    needs_reference=False,
    has_nll=True,
    head=1,
)
def reward_plackett_luce(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    return plackett_luce(_bare(scores), votes, beta=1.0)


@objective(
    "reward-davidson",
    family="reward",
    paper="Davidson 1970; for reward models with ties Liu et al. 2024, arXiv 2410.05328",
    equation="as davidson with R for r",
    needs_reference=False,
    has_nll=True,
    uses_ties=True,
    head=1,
    nu=Option(1.0, 0.0, above=True),
)
def reward_davidson(scores: Scores, votes: VoteBatch, *, beta: float, nu: float) -> Tensor:
    return davidson(_bare(scores), votes, beta=1.0, nu=nu)


@objective(
    "reward-gpm",
    family="reward",
    paper="Zhang et al. 2024 (general preference embedding, GPM), arXiv 2410.02197, eq. 6",
    equation="-log s(sum_l (v_i,2l v_j,2l+1 - v_i,2l+1 v_j,2l) / tau)",
    needs_reference=False,
    has_nll=True,
    head=2 * PLANES,
    tau=Option(0.1, 0.0, above=True),
)
def reward_gpm(scores: Scores, votes: VoteBatch, *, beta: float, tau: float) -> Tensor:
    """Preferences that go in circles have a place too: a pair's score is no difference of two rewards."""
    assert scores.tokens is not None
    return mean_over(-F.logsigmoid(gpm_scores(scores.tokens.policy) / tau), votes.preferences())


def gpm_scores(vectors: Tensor) -> Tensor:
    """(..., K, K) skew-symmetric scores of (..., K, 2 planes) embeddings, brought to length one."""
    unit = F.normalize(vectors, dim=-1)
    even, odd = unit[..., 0::2], unit[..., 1::2]
    return even @ odd.transpose(-1, -2) - odd @ even.transpose(-1, -2)


@objective(
    "reward-mixture",
    family="reward",
    paper="Shen et al. 2025 (MiCRo), arXiv 2505.24846: Bradley-Terry heads, gated by the prompt",
    equation="-log sum_h g_h(x) s(R_ih - R_jh)",
    needs_reference=False,
    has_nll=True,
    head=2 * HEADS,
)
def reward_mixture(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """Voters of several tastes: each head one of them, the gate how common it is for such a prompt."""
    assert scores.tokens is not None
    rewards, gate = scores.tokens.policy.chunk(2, dim=2)  # (batch, K, H) each
    apart = rewards[:, :, None] - rewards[:, None, :]  # (batch, K, K, H)
    weighed = F.logsigmoid(apart) + F.log_softmax(gate, dim=2)[:, :, None]
    return mean_over(-torch.logsumexp(weighed, dim=3), votes.preferences())


def scalar_rewards(given: Tensor, name: str) -> Tensor:
    """(batch, K) one number per response of what the head gives, (batch, K, width): the reward itself, the
    mean score against the others (GPM), the mean over tastes (mixture).
    """
    if name == "reward-gpm":
        scores = gpm_scores(given)
        return scores.sum(dim=2) / max(1, given.shape[1] - 1)
    if name == "reward-mixture":
        rewards, gate = given.chunk(2, dim=2)
        return (rewards * gate.softmax(dim=2)).sum(dim=2)
    return given[:, :, 0]


def _bare(scores: Scores) -> Scores:
    return replace(scores, tokens=None)
