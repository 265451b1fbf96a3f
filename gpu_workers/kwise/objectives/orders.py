"""Listwise objectives: the whole order at once."""

from functools import lru_cache
from itertools import combinations

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

# Stands for log 0: far below any log-probability, yet finite, so that no gradient becomes NaN.
NEVER = -1e9


@objective(
    "plackett-luce",
    family="listwise",
    paper="Rafailov et al. 2023, arXiv 2305.18290, eq. 18-20; ties: Kalbfleisch and Prentice 1973 (exact)",
    equation="-log sum over the orders o that the vote allows of prod_k exp(r_o(k)) / sum_{l>=k} exp(r_o(l))",
)
def plackett_luce(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """The likelihood of the whole order under Plackett-Luce.

    A tie says that the order of the tied is not known: the likelihood is the sum over all their orders
    (exact, not Breslow's approximation). Unranked responses come last in unknown order, so a best-only vote
    is the top-1 likelihood, and a vote that ties all says nothing (loss 0).
    """
    return -_log_likelihood_of_order(beta * scores.log_ratios, votes)


@objective(
    "top-1",
    family="listwise",
    paper="Luce 1959; the first factor of Rafailov et al. 2023, arXiv 2305.18290, eq. 18",
    equation="-log sum_{i in top} exp(r_i) / sum_l exp(r_l)",
)
def top_one(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """Only who is best counts; where several share the top, that one of them is chosen."""
    rewards = (beta * scores.log_ratios).masked_fill(~votes.present, NEVER)
    top = torch.logsumexp(rewards.masked_fill(~votes.top(), NEVER), dim=1)
    return torch.logsumexp(rewards, dim=1) - top


@objective(
    "pro",
    family="listwise",
    paper="Song et al. 2023 (PRO), arXiv 2306.17492, eq. 7 and 11",
    equation="Plackett-Luce on r_i = beta log pi(y_i|x) / |y_i|, plus alpha times the winner's NLL per token",
    needs_reference=False,
    has_nll=True,
    alpha=Option(0.05, 0.0),
)
def pro(scores: Scores, votes: VoteBatch, *, beta: float, alpha: float) -> Tensor:
    order = -_log_likelihood_of_order(beta * per_token(scores.policy, scores), votes)
    return order + alpha * winner_nll(scores, votes)


@objective(
    "tpo-list",
    family="listwise",
    paper="Liao et al. 2024 (TPO), arXiv 2410.12854; the weights are LambdaRank's (LiPO, arXiv 2402.01878)",
    equation="w_ij log(1 + e^-d), w_ij = |2^v_i - 2^v_j| |1/log2(1 + t_i) - 1/log2(1 + t_j)|, t by r",
)
def tpo_list(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """DCG weights at the places that the policy gives now; v is the standing in the vote, from 0 to 1."""
    rewards = beta * scores.log_ratios
    shown = rewards.detach().masked_fill(~votes.present, -torch.inf)
    place = 1 + torch.argsort(torch.argsort(shown, dim=1, descending=True, stable=True), dim=1)
    return _discounted(rewards, votes, place.to(rewards.dtype))


@objective(
    "rankdpo",
    family="listwise",
    paper="Karthik et al. 2024 (RankDPO), arXiv 2410.18013, eq. 6-8",
    equation="as tpo-list, with t the places in the vote",
)
def rankdpo(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """DCG weights at the places that the vote gives; tied responses share the mean of theirs."""
    rewards = beta * scores.log_ratios
    present = votes.present.sum(dim=1, keepdim=True)
    place = 1 + (1 - votes.standing().to(rewards.dtype)) * (present - 1)
    return _discounted(rewards, votes, place)


def _discounted(rewards: Tensor, votes: VoteBatch, place: Tensor) -> Tensor:
    gain, discount = 2 ** votes.standing().to(rewards.dtype), 1 / torch.log2(1 + place)
    weights = gaps_of(gain).abs() * gaps_of(discount).abs()
    wanted = votes.preferences()
    return mean_over(-weights * F.logsigmoid(gaps_of(rewards)), wanted)


@objective(
    "ranklist",
    family="listwise",
    paper="Naini et al. 2025 (RankList), arXiv 2508.09826: neighbours and skips; the weights are ours",
    equation="weighted mean over the pairs g places apart of log(1 + e^-d), weights skip^(g - 1)",
    skip=Option(0.5, 0.0),
)
def ranklist(scores: Scores, votes: VoteBatch, *, beta: float, skip: float) -> Tensor:
    """Neighbours in the order count fully, those g places apart skip^(g - 1) as much."""
    apart = gaps_of(-votes.places.clamp(max=votes.places.shape[1] + 1).to(scores.policy.dtype))
    weights = votes.preferences() * torch.where(
        apart >= 1,
        torch.as_tensor(skip, dtype=apart.dtype) ** (apart - 1).clamp(min=0),
        torch.zeros_like(apart),
    )
    return mean_over(-F.logsigmoid(gaps_of(beta * scores.log_ratios)), weights)


@objective(
    "adpo-list",
    family="listwise",
    paper="Wang 2025 (ADPO), arXiv 2510.18913, listwise",
    equation="-sum_i q_i log softmax(r)_i, q = softmax(v / tau)",
    uses_ties=True,
    tau=Option(0.2, 0.0, above=True),
)
def adpo_list(scores: Scores, votes: VoteBatch, *, beta: float, tau: float) -> Tensor:
    """The policy's distribution over the K responses, anchored at the reference, against a soft target.

    The target is the standing in the vote, or the explicit rewards, at temperature tau; ties are equal.
    """
    return _cross_entropy(beta * scores.log_ratios, votes, tau)


@objective(
    "infonca",
    family="listwise",
    paper="Chen et al. 2024 (InfoNCA), arXiv 2402.05369, eq. 9",
    equation="-sum_i softmax(v / tau)_i log softmax(r)_i with v the explicit rewards or the standing",
    uses_ties=True,
    tau=Option(0.1, 0.0, above=True),
)
def infonca(scores: Scores, votes: VoteBatch, *, beta: float, tau: float) -> Tensor:
    return _cross_entropy(beta * scores.log_ratios, votes, tau)


@objective(
    "nca",
    family="listwise",
    paper="Chen et al. 2024 (NCA), arXiv 2402.05369, eq. 11",
    equation="-sum_i (q_i log s(r_i) + log s(-r_i) / K), q = softmax(v / tau); tau near 0: the best alone",
    uses_ties=True,
    tau=Option(0.02, 0.0, above=True),
)
def nca(scores: Scores, votes: VoteBatch, *, beta: float, tau: float) -> Tensor:
    rewards, present = beta * scores.log_ratios, votes.present
    target = _soft_target(votes, tau).to(rewards.dtype)
    each = target * F.logsigmoid(rewards) + F.logsigmoid(-rewards) / present.sum(dim=1, keepdim=True)
    return -each.masked_fill(~present, 0.0).sum(dim=1)


@objective(
    "exo",
    family="listwise",
    paper="Ji et al. 2024 (EXO), arXiv 2402.00856, eq. 15-16",
    equation="KL(softmax(r) || q), q = softmax(v / tau)",
    tau=Option(0.3, 0.0, above=True),
)
def exo(scores: Scores, votes: VoteBatch, *, beta: float, tau: float) -> Tensor:
    """The reverse divergence: the policy leaves out what is bad rather than covering all that is good."""
    rewards = (beta * scores.log_ratios).masked_fill(~votes.present, NEVER)
    own = F.log_softmax(rewards, dim=1)
    target = (votes.standing().to(rewards.dtype) / tau).masked_fill(~votes.present, NEVER)
    apart = own - F.log_softmax(target, dim=1)
    return (own.exp() * apart).masked_fill(~votes.present, 0.0).sum(dim=1)


def _soft_target(votes: VoteBatch, tau: float) -> Tensor:
    return torch.softmax((votes.standing().double() / tau).masked_fill(~votes.present, NEVER), dim=1)


def _cross_entropy(rewards: Tensor, votes: VoteBatch, tau: float) -> Tensor:
    own = F.log_softmax(rewards.masked_fill(~votes.present, NEVER), dim=1)
    return -(_soft_target(votes, tau).to(own.dtype) * own).masked_fill(~votes.present, 0.0).sum(dim=1)


def _log_likelihood_of_order(rewards: Tensor, votes: VoteBatch) -> Tensor:
    """(batch,) log of the summed Plackett-Luce probability of every order that agrees with the vote.

    Walks from the empty set to the full one; a path is an order, and a step takes the next response. All
    terms are positive, so nothing cancels. Absent slots are taken last, at no cost, in one order.
    """
    k = rewards.shape[1]
    levels, taken = _sets_by_size(k)
    taken = taken.to(rewards.device)  # (2**K, K)
    rewards = rewards.masked_fill(~votes.present, NEVER)
    left = torch.logsumexp(rewards[:, None, :].masked_fill(taken, NEVER), dim=2)  # (batch, 2**K)
    slot = torch.arange(k, device=rewards.device)
    place = torch.where(votes.present, votes.places, votes.places + slot)
    better = (place[:, :, None] < place[:, None, :]).float()  # (batch, K, K): row above column
    waiting = torch.einsum("sj,bji->bsi", (~taken).float(), better)  # better ones not yet taken
    step = torch.where(votes.present[:, None, :], rewards[:, None, :] - left[:, :, None], 0.0)
    step = step.masked_fill(waiting > 0, NEVER)  # (batch, 2**K, K)
    paths = rewards.new_zeros(rewards.shape[0], 1)
    for before, positions, items in levels:
        paths = torch.logsumexp(paths[:, positions] + step[:, before, items], dim=2)
    return paths[:, 0]


@lru_cache(maxsize=16)
def _sets_by_size(k: int) -> tuple[list[tuple[Tensor, Tensor, Tensor]], Tensor]:
    """How the sets of m + 1 of K responses come from those of m.

    For each size: the numbers of the sets before, their positions among the sets of their size, and the
    response taken, each (sets, m + 1); and the membership of all sets, (2**K, K), by number.
    """
    taken = torch.tensor([[bool(number >> i & 1) for i in range(k)] for number in range(2**k)])
    levels = []
    position = {0: 0}
    for size in range(1, k + 1):
        sets = [sum(1 << i for i in chosen) for chosen in combinations(range(k), size)]
        items = [[i for i in range(k) if number >> i & 1] for number in sets]
        before = [[number - (1 << i) for i in row] for number, row in zip(sets, items, strict=True)]
        positions = [[position[number] for number in row] for row in before]
        levels.append((torch.tensor(before), torch.tensor(positions), torch.tensor(items)))
        position = {number: at for at, number in enumerate(sets)}
    return levels, taken
