"""Pairwise objectives, over every pair that the vote orders, weighted by its preference matrix."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gpu_workers.kwise.objectives.registry import (
    Option,
    Scores,
    gaps_of,
    mean_over,
    objective,
    per_token,
    winner_nll,
)
from gpu_workers.kwise.votes import VoteBatch

DPO = "Rafailov et al. 2023, arXiv 2305.18290, eq. 7"
F_DPO = "Wang et al. 2023 (f-DPO), arXiv 2309.16240, table 1"
SMOOTHING = Option(0.0, 0.0, 0.5)


@objective(
    "dpo",
    family="pairwise",
    paper=f"{DPO}; label_smoothing: Mitchell 2023 (conservative DPO); vote shares: soft labels",
    equation="-(1 - e) log s(d) - e log s(-d)",
    label_smoothing=SMOOTHING,
)
def dpo(scores: Scores, votes: VoteBatch, *, beta: float, label_smoothing: float) -> Tensor:
    return _logistic(gaps_of(beta * scores.log_ratios), votes, label_smoothing)


@objective(
    "robust-dpo",
    family="pairwise",
    paper="Chowdhury et al. 2024, arXiv 2403.00409, eq. 12",
    equation="(-(1 - e) log s(d) + e log s(-d)) / (1 - 2 e)",
    label_smoothing=Option(0.1, 0.0, 0.5),
)
def robust_dpo(scores: Scores, votes: VoteBatch, *, beta: float, label_smoothing: float) -> Tensor:
    """Unbiased where a share `label_smoothing` (below .5) of the votes is flipped."""
    gaps = gaps_of(beta * scores.log_ratios)
    losses = -(1 - label_smoothing) * F.logsigmoid(gaps) + label_smoothing * F.logsigmoid(-gaps)
    return mean_over(losses / (1 - 2 * label_smoothing), votes.preferences())


@objective(
    "dr-dpo",
    family="pairwise",
    paper="Wu et al. 2024 (Dr. DPO), arXiv 2407.07880; there of pairs, here of the step's rankings",
    equation="-tau log mean_n e^(-l_n / tau), l_n the DPO loss of ranking n of the step",
    over_batch=True,
    tau=Option(1.0, 0.0, above=True),
)
def dr_dpo(scores: Scores, votes: VoteBatch, *, beta: float, tau: float) -> Tensor:
    """The less likely a vote is by what the others have taught so far, the less it counts: votes cast the
    wrong way round stay behind. Every ranking gets the step's loss.
    """
    losses = _logistic(gaps_of(beta * scores.log_ratios), votes)
    counted = torch.log(votes.weights.to(losses.dtype))
    likely = torch.logsumexp(counted - losses / tau, 0) - torch.logsumexp(counted, 0)
    return (-tau * likely).expand(len(losses))


@objective(
    "ipo",
    family="pairwise",
    paper="Azar et al. 2023, arXiv 2310.12036, eq. 17, log-ratios per token",
    equation="(d / beta - 1 / (2 beta))^2 with d of log-ratios divided by length",
)
def ipo(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    gaps = gaps_of(per_token(scores.log_ratios, scores))
    return mean_over((gaps - 1 / (2 * beta)) ** 2, votes.preferences())


@objective(
    "hinge",
    family="pairwise",
    paper="Zhao et al. 2023 (SLiC-HF), arXiv 2305.10425; with a reference: Liu et al. 2023, arXiv 2309.06657",
    equation="max(0, 1 - d)",
)
def hinge(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    return mean_over(torch.relu(1 - gaps_of(beta * scores.log_ratios)), votes.preferences())


@objective(
    "simpo",
    family="pairwise",
    paper="Meng et al. 2024 (SimPO), arXiv 2405.14734, eq. 6",
    equation="-log s(beta (log pi(y_i|x) / |y_i| - log pi(y_j|x) / |y_j|) - gamma)",
    needs_reference=False,
    gamma=Option(0.5, 0.0),
)
def simpo(scores: Scores, votes: VoteBatch, *, beta: float, gamma: float) -> Tensor:
    return _logistic(gaps_of(beta * per_token(scores.policy, scores)) - gamma, votes)


@objective(
    "dpo-norm",
    family="pairwise",
    paper="Lambert et al. 2024 (Tulu 3, length-normalised DPO), arXiv 2411.15124, eq. 6",
    equation="-log s(beta (rho_i / |y_i| - rho_j / |y_j|))",
)
def dpo_norm(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """Beta is to be larger by about a response's length than for DPO."""
    return _logistic(gaps_of(beta * per_token(scores.log_ratios, scores)), votes)


@objective(
    "r-dpo",
    family="pairwise",
    paper="Park et al. 2024 (R-DPO), arXiv 2403.19159, eq. 9",
    equation="-log s(d + alpha (|y_i| - |y_j|))",
    alpha=Option(0.01, 0.0),
)
def r_dpo(scores: Scores, votes: VoteBatch, *, beta: float, alpha: float) -> Tensor:
    """A price of alpha per token: what the voters liked for its length alone is not learnt."""
    rewards = beta * scores.log_ratios + alpha * scores.lengths.to(scores.policy.dtype)
    return _logistic(gaps_of(rewards), votes)


@objective(
    "f-dpo-forward-kl",
    family="pairwise",
    paper=F_DPO,
    equation="-log s(beta (e^-rho_j - e^-rho_i))",
)
def f_dpo_forward(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    return _of_divergence(scores, votes, beta, lambda ratios: 1 - torch.exp((-ratios).clamp(max=80)))


@objective(
    "f-dpo-js",
    family="pairwise",
    paper=F_DPO,
    equation="-log s(beta (f(rho_i) - f(rho_j))), f = log 2 + log s",
)
def f_dpo_js(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    return _of_divergence(scores, votes, beta, lambda ratios: math.log(2) + F.logsigmoid(ratios))


@objective(
    "f-dpo-alpha",
    family="pairwise",
    paper=f"{F_DPO}; alpha as in TRL, 1 less it in the paper",
    equation="-log s(beta (f(rho_i) - f(rho_j))), f(rho) = (e^((alpha - 1) rho) - 1) / (alpha - 1)",
    alpha=Option(0.5, 0.0, 1.0, above=True),
)
def f_dpo_alpha(scores: Scores, votes: VoteBatch, *, beta: float, alpha: float) -> Tensor:
    return _of_divergence(
        scores,
        votes,
        beta,
        lambda ratios: torch.expm1(((alpha - 1) * ratios).clamp(max=80)) / (alpha - 1),
    )


def _of_divergence(
    scores: Scores, votes: VoteBatch, beta: float, derivative: Callable[[Tensor], Tensor]
) -> Tensor:
    """DPO for another f-divergence from the reference: f'(pi / pi_ref) in the place of the log-ratio."""
    return _logistic(gaps_of(beta * derivative(scores.log_ratios)), votes)


@objective(
    "rpo",
    family="pairwise",
    paper="Pang et al. 2024 (Iterative RPO), arXiv 2404.19733, eq. 1",
    equation="-log s(d) - alpha log pi(y_w|x) / |y_w|",
    has_nll=True,
    alpha=Option(1.0, 0.0),
)
def rpo(scores: Scores, votes: VoteBatch, *, beta: float, alpha: float) -> Tensor:
    return _logistic(gaps_of(beta * scores.log_ratios), votes) + alpha * winner_nll(scores, votes)


@objective(
    "cpo",
    family="pairwise",
    paper="Xu et al. 2024 (CPO), arXiv 2401.08417, eq. 3-5",
    equation="-log s(beta (log pi(y_i|x) - log pi(y_j|x))) - alpha log pi(y_w|x) / |y_w|",
    needs_reference=False,
    has_nll=True,
    alpha=Option(1.0, 0.0),
)
def cpo(scores: Scores, votes: VoteBatch, *, beta: float, alpha: float) -> Tensor:
    return _logistic(gaps_of(beta * scores.policy), votes) + alpha * winner_nll(scores, votes)


@objective(
    "orpo",
    family="pairwise",
    paper="Hong et al. 2024 (ORPO), arXiv 2403.07691, eq. 6-7",
    equation="-log p_w - beta log s(o_i - o_j), p = pi(y|x)^(1/|y|), o = log(p / (1 - p))",
    needs_reference=False,
    has_nll=True,
)
def orpo(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    mean = per_token(scores.policy, scores).clamp(max=-1e-6)
    odds = mean - torch.log(-torch.expm1(mean))
    return winner_nll(scores, votes) + beta * _logistic(gaps_of(odds), votes)


@objective(
    "dpo-positive",
    family="pairwise",
    paper="Pal et al. 2024 (Smaug), arXiv 2402.13228, eq. 3",
    equation="-log s(d - beta lambda max(0, -rho_i))",
    penalty=Option(5.0, 0.0),
)
def dpo_positive(scores: Scores, votes: VoteBatch, *, beta: float, penalty: float) -> Tensor:
    """The winner may not become less likely than under the reference."""
    fallen = torch.relu(-scores.log_ratios)[:, :, None]
    return _logistic(gaps_of(beta * scores.log_ratios) - beta * penalty * fallen, votes)


@objective(
    "discopop",
    family="pairwise",
    paper="Lu et al. 2024 (DiscoPOP), arXiv 2406.08414, eq. 5",
    equation="(1 - s(d / tau)) log(1 + e^-d) + s(d / tau) e^-d",
    tau=Option(0.05, 0.0, above=True),
)
def discopop(scores: Scores, votes: VoteBatch, *, beta: float, tau: float) -> Tensor:
    gaps = gaps_of(beta * scores.log_ratios)
    mixed = torch.sigmoid(gaps / tau)
    losses = -(1 - mixed) * F.logsigmoid(gaps) + mixed * torch.exp((-gaps).clamp(max=80))
    return mean_over(losses, votes.preferences())


@objective(
    "adpo",
    family="pairwise",
    paper="Wang 2025 (ADPO), arXiv 2510.18913, pairwise",
    equation="-q log s(d / tau) - (1 - q) log s(-d / tau), q = s((v_i - v_j) / sharpness)",
    uses_ties=True,
    tau=Option(1.0, 0.0, above=True),
    sharpness=Option(0.5, 0.0, above=True),
)
def adpo(scores: Scores, votes: VoteBatch, *, beta: float, tau: float, sharpness: float) -> Tensor:
    """Soft labels from the standing in the vote (or explicit rewards): a small lead is a weak preference."""
    gaps = gaps_of(beta * scores.log_ratios) / tau
    sure = torch.sigmoid(gaps_of(votes.standing().to(gaps.dtype)) / sharpness)
    both = votes.present[:, :, None] & votes.present[:, None, :]
    others = ~torch.eye(gaps.shape[1], dtype=torch.bool, device=gaps.device)
    # Each pair is there in both directions: together they are one cross-entropy.
    return mean_over(-2 * sure * F.logsigmoid(gaps), both & others)


@objective(
    "madpo",
    family="pairwise",
    paper="Rho 2025 (MADPO), arXiv 2510.05342; the weight is ours: continuous, falling, 1 at tau",
    equation="-w log s(d), w = e^(lambda (tau - m)) within [1 / most, most], m the reward model's margin",
    needs_rewards=True,
    tau=Option(1.0, 0.0),
    slope=Option(0.5, 0.0),
    most=Option(3.0, 1.0),
)
def madpo(scores: Scores, votes: VoteBatch, *, beta: float, tau: float, slope: float, most: float) -> Tensor:
    """Pairs that a reward model finds hard count more, easy ones less; none is dropped."""
    assert votes.rewards is not None
    margins = gaps_of(votes.rewards.to(scores.policy.dtype))
    weights = torch.exp(slope * (tau - margins)).clamp(1 / most, most)
    return mean_over(-weights * F.logsigmoid(gaps_of(beta * scores.log_ratios)), votes.preferences())


@objective(
    "reward-gap",
    family="pairwise",
    paper="Adler et al. 2024 (RPO of Nemotron-4), arXiv 2406.11704, section 3.3.2; Sun et al. 2502.00203",
    equation="KL(s(eta (R_i - R_j)) || s(d)), R of a reward model",
    needs_rewards=True,
    eta=Option(1.0, 0.0, above=True),
)
def reward_gap(scores: Scores, votes: VoteBatch, *, beta: float, eta: float) -> Tensor:
    """Learns how much better, not only which: where the reward model sees no gap, none is made."""
    assert votes.rewards is not None
    gaps, wanted = gaps_of(beta * scores.log_ratios), gaps_of(eta * votes.rewards.to(scores.policy.dtype))
    sure = torch.sigmoid(wanted)
    apart = sure * (F.logsigmoid(wanted) - F.logsigmoid(gaps))
    back = (1 - sure) * (F.logsigmoid(-wanted) - F.logsigmoid(-gaps))
    return mean_over(apart + back, votes.preferences())


@objective(
    "modpo",
    family="pairwise",
    paper="Zhou et al. 2023 (MODPO), arXiv 2310.03708, eq. 9",
    equation="-log s((d - (1 - w) (R_i - R_j)) / w), R of a reward model of the other aims",
    needs_rewards=True,
    weight=Option(0.5, 0.0, 1.0, above=True),
)
def modpo(scores: Scores, votes: VoteBatch, *, beta: float, weight: float) -> Tensor:
    """The votes speak for one aim with weight w, a reward model for the others with 1 - w."""
    assert votes.rewards is not None
    margins = gaps_of(votes.rewards.to(scores.policy.dtype))
    return _logistic((gaps_of(beta * scores.log_ratios) - (1 - weight) * margins) / weight, votes)


@objective(
    "aot",
    family="pairwise",
    paper="Melnyk et al. 2024 (AOT), arXiv 2406.05882, paired",
    equation="DPO on the sorted log-ratios: sort(log pi_i - log pi_j) - sort(the same of the reference)",
    over_batch=True,
    label_smoothing=SMOOTHING,
)
def aot(scores: Scores, votes: VoteBatch, *, beta: float, label_smoothing: float) -> Tensor:
    """First-order stochastic dominance over all ordered pairs of the step; every ranking gets their mean."""
    wins = votes.wins()
    own, before = gaps_of(scores.policy)[wins], gaps_of(scores.reference)[wins]
    return _sorted(own, before, scores, beta, label_smoothing)


@objective(
    "aot-unpaired",
    family="pairwise",
    paper="Melnyk et al. 2024 (AOT), arXiv 2406.05882, unpaired",
    equation="DPO on sort(rho of the better) - sort(rho of the worse)",
    over_batch=True,
    label_smoothing=SMOOTHING,
)
def aot_unpaired(scores: Scores, votes: VoteBatch, *, beta: float, label_smoothing: float) -> Tensor:
    """As aot, with the better and the worse of all pairs of the step sorted apart."""
    better, worse = votes.wins().nonzero()[:, [0, 1]].T, votes.wins().nonzero()[:, [0, 2]].T
    ratios = scores.log_ratios
    return _sorted(ratios[better[0], better[1]], ratios[worse[0], worse[1]], scores, beta, label_smoothing)


def _sorted(high: Tensor, low: Tensor, scores: Scores, beta: float, smoothing: float) -> Tensor:
    apart = beta * (torch.sort(high).values - torch.sort(low).values)
    losses = -(1 - smoothing) * F.logsigmoid(apart) - smoothing * F.logsigmoid(-apart)
    return (losses.sum() / max(1, losses.numel())).expand(scores.policy.shape[0])


def _logistic(gaps: Tensor, votes: VoteBatch, smoothing: float = 0.0) -> Tensor:
    losses = -(1 - smoothing) * F.logsigmoid(gaps)
    if smoothing:
        losses = losses - smoothing * F.logsigmoid(-gaps)
    return mean_over(losses, votes.preferences())
