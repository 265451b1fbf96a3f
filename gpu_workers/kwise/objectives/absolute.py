"""Objectives that judge each response on its own: good or bad, or by how much it should gain."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gpu_workers.kwise.objectives.registry import Option, Scores, mean_over, objective, winner_nll
from gpu_workers.kwise.votes import UNRANKED, VoteBatch

# A response that is above half of the others is good, below half of them bad.
MIDDLE, CLOSE = 0.5, 1e-6


@objective(
    "sft",
    family="absolute",
    paper="Ouyang et al. 2022, arXiv 2203.02155, first stage: supervised, on the best responses",
    equation="-log pi(y_w|x) / |y_w|",
    needs_reference=False,
    has_nll=True,
)
def sft(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """Only what was liked best, as a text to learn: warms up a model that cannot answer yet."""
    return winner_nll(scores, votes)


@objective(
    "kto",
    family="absolute",
    paper="Ethayarajh et al. 2024 (KTO), arXiv 2402.01306, eq. 7; z from the step's own responses",
    equation="good: 1 - s(r_i - z), bad: 1 - s(z - r_i), z = max(0, beta mean rho), not differentiated",
    over_batch=True,
    uses_all_bad=True,
    desirable=Option(1.0, 0.0),
    undesirable=Option(1.0, 0.0),
)
def kto(scores: Scores, votes: VoteBatch, *, beta: float, desirable: float, undesirable: float) -> Tensor:
    """Good are those above half of the others, bad those below, and all of an all-bad vote.

    The paper estimates z from responses paired with other prompts; no such response is in a ranking, so it
    is the mean over the step's own, which is larger once the policy has moved.
    """
    rewards = beta * scores.log_ratios
    anchor = rewards.detach()[votes.present].mean().clamp(min=0)
    good, bad = _good_and_bad(votes)
    each = desirable * good * torch.sigmoid(anchor - rewards) + undesirable * bad * torch.sigmoid(
        rewards - anchor
    )
    return _mean_of_judged(each, good, bad)


@objective(
    "bco",
    family="absolute",
    paper="Jung et al. 2024 (BCO), arXiv 2404.04656, eq. 9; the shift from the step's own responses",
    equation="good: -log s(r_i - delta), bad: -log s(delta - r_i), delta = shift times the mean reward",
    over_batch=True,
    uses_all_bad=True,
    shift=Option(1.0, 0.0),
)
def bco(scores: Scores, votes: VoteBatch, *, beta: float, shift: float) -> Tensor:
    """A classifier of good and bad whose logit is the reward."""
    rewards = beta * scores.log_ratios
    good, bad = _good_and_bad(votes)
    judged = (good + bad) > 0
    delta = shift * (rewards.detach()[judged].mean() if judged.any() else 0.0)
    each = -good * F.logsigmoid(rewards - delta) - bad * F.logsigmoid(delta - rewards)
    return _mean_of_judged(each, good, bad)


def _good_and_bad(votes: VoteBatch) -> tuple[Tensor, Tensor]:
    """(batch, K) 1.0 for the responses on either side of the middle, 0.0 for the others."""
    standing = votes.standing()
    nobody = (votes.places >= UNRANKED).all(dim=1, keepdim=True) & votes.present
    good = (standing > MIDDLE + CLOSE) & votes.present & ~nobody
    bad = ((standing < MIDDLE - CLOSE) & votes.present) | nobody
    return good.float(), bad.float()


def _mean_of_judged(each: Tensor, good: Tensor, bad: Tensor) -> Tensor:
    return each.sum(dim=1) / (good + bad).sum(dim=1).clamp(min=1)


@objective(
    "apo-zero",
    family="absolute",
    paper="D'Oosterlinck et al. 2024 (APO), arXiv 2408.06266, eq. 7",
    equation="1 - s(r_i) + s(r_j)",
)
def apo_zero(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """Where the winners are better than what the model gives: winners up, losers down."""
    rewards = torch.sigmoid(beta * scores.log_ratios)
    return mean_over(1 - rewards[:, :, None] + rewards[:, None, :], votes.preferences())


@objective(
    "apo-down",
    family="absolute",
    paper="D'Oosterlinck et al. 2024 (APO), arXiv 2408.06266, eq. 8",
    equation="s(r_i) + 1 - s(r_i - r_j)",
)
def apo_down(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """Where even the winners are worse than what the model gives: both down, losers further."""
    rewards = beta * scores.log_ratios
    losses = torch.sigmoid(rewards)[:, :, None] + 1 - torch.sigmoid(rewards[:, :, None] - rewards[:, None, :])
    return mean_over(losses, votes.preferences())


@objective(
    "nca-pair",
    family="absolute",
    paper="Chen et al. 2024 (NCA), arXiv 2402.05369, pairs",
    equation="-log s(r_i) - log s(-r_i) / 2 - log s(-r_j) / 2",
)
def nca_pair(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    up, down = F.logsigmoid(beta * scores.log_ratios), F.logsigmoid(-beta * scores.log_ratios)
    losses = -up[:, :, None] - 0.5 * down[:, :, None] - 0.5 * down[:, None, :]
    return mean_over(losses, votes.preferences())


@objective(
    "bco-pair",
    family="absolute",
    paper="Jung et al. 2024 (BCO), arXiv 2404.04656, pairs, without the shift",
    equation="-log s(r_i) - log s(-r_j)",
)
def bco_pair(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    up, down = F.logsigmoid(beta * scores.log_ratios), F.logsigmoid(-beta * scores.log_ratios)
    return mean_over(-up[:, :, None] - down[:, None, :], votes.preferences())


@objective(
    "sppo",
    family="absolute",
    paper="Wu et al. 2024 (SPPO), arXiv 2405.00675, eq. 4.7",
    equation="2 mean_i (rho_i - (P_i - 1/2) / beta)^2, P_i the share of the others that i is above",
    uses_ties=True,
)
def sppo(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """Each log-ratio is drawn to its place in the vote: K-wise as published, from all K standings."""
    wanted = (votes.standing().to(scores.policy.dtype) - 0.5) / beta
    each = (scores.log_ratios - wanted).square().masked_fill(~votes.present, 0.0)
    return 2 * each.sum(dim=1) / votes.present.sum(dim=1)
