"""Training objectives: pure functions of the K responses' log-probabilities and the vote.

Each takes `Scores`, a `VoteBatch`, beta and its own options, and returns one loss per ranking, (batch,). A
ranking of any K goes in whole; at K = 2 the pairwise objectives are the published ones. A pairwise objective
averages over the pairs that the vote orders, so that a ranking of eight does not count 28 times a pair.

Another objective is one more function here with its paper and equation: nothing else needs to know of it.
Notation: r_i = beta (log pi(y_i|x) - log pi_ref(y_i|x)), the implicit reward; d = r_i - r_j with i above j.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gpu_workers.kwise.config import nearest
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.votes import VoteBatch

# Stands for log 0: far below any log-probability, yet finite, so that no gradient becomes NaN.
NEVER = -1e9
# Sums over all orders of tied responses visit 2**K sets.
LARGEST_K = 12


@dataclass(frozen=True)
class Scores:
    """Log-probabilities of whole responses in nats, lengths in tokens, each (batch, K); finite where
    absent.
    """

    policy: Tensor
    reference: Tensor
    lengths: Tensor

    @property
    def log_ratios(self) -> Tensor:
        return self.policy - self.reference


class Option(NamedTuple):
    """A setting of one objective: its default, and the range of what is accepted, `high` not included."""

    default: float
    low: float
    high: float = math.inf
    above: bool = False  # above low, not from it

    def accepts(self, value: float) -> bool:
        return (value > self.low if self.above else value >= self.low) and value < self.high

    @property
    def accepted(self) -> str:
        below = "" if self.high == math.inf else f" and below {self.high:g}"
        return f"{'above' if self.above else 'from'} {self.low:g}{below}"


@dataclass(frozen=True)
class Objective:
    """One objective, with where it comes from. `options` are its own settings."""

    name: str
    losses: Callable[..., Tensor]
    paper: str
    equation: str
    options: Mapping[str, Option] = field(default_factory=dict)
    uses_ties: bool = False
    needs_reference: bool = True

    def __call__(self, scores: Scores, votes: VoteBatch, *, beta: float, **options: float) -> Tensor:
        defaults = {name: option.default for name, option in self.options.items()}
        return self.losses(scores, votes, beta=beta, **{**defaults, **options})


OBJECTIVES: dict[str, Objective] = {}


def objective(
    name: str,
    *,
    paper: str,
    equation: str,
    uses_ties: bool = False,
    needs_reference: bool = True,
    **options: Option,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Enter a function into the table of objectives."""

    def enter(losses: Callable[..., Tensor]) -> Callable[..., Tensor]:
        OBJECTIVES[name] = Objective(
            name=name,
            losses=losses,
            paper=paper,
            equation=equation,
            options=options,
            uses_ties=uses_ties,
            needs_reference=needs_reference,
        )
        return losses

    return enter


def find_objective(name: str, options: Mapping[str, float]) -> Objective:
    """The objective of that name. Raises TrainingError for an unknown name or option."""
    if name not in OBJECTIVES:
        raise TrainingError(f'There is no objective "{name}". {nearest(name, OBJECTIVES)}')
    found = OBJECTIVES[name]
    for option, value in options.items():
        if option not in found.options:
            known = nearest(option, found.options) if found.options else "It has none."
            raise TrainingError(f'The objective {name} has no option "{option}". {known}')
        if not found.options[option].accepts(value):
            accepted = found.options[option].accepted
            raise TrainingError(f"The option {option} of {name} is {value:g}; accepted is {accepted}.")
    return found


# Listwise


@objective(
    "plackett-luce",
    paper="Rafailov et al. 2023, arXiv 2305.18290, eq. 18-20; ties: Kalbfleisch and Prentice 1973 (exact)",
    equation="-log sum over the orders s that the vote allows of prod_k exp(r_s(k)) / sum_{l>=k} exp(r_s(l))",
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
    paper="Luce 1959; the first factor of Rafailov et al. 2023, arXiv 2305.18290, eq. 18",
    equation="-log sum_{i in top} exp(r_i) / sum_l exp(r_l)",
)
def top_one(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    """Only who is best counts; where several share the top, that one of them is chosen."""
    rewards = (beta * scores.log_ratios).masked_fill(~votes.present, NEVER)
    top = torch.logsumexp(rewards.masked_fill(~votes.top(), NEVER), dim=1)
    return torch.logsumexp(rewards, dim=1) - top


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


# Pairwise, over every pair that the vote orders


@objective(
    "dpo",
    paper="Rafailov et al. 2023, arXiv 2305.18290, eq. 7; label_smoothing: Mitchell 2023 (conservative DPO)",
    equation="-(1 - e) log sigmoid(d) - e log sigmoid(-d)",
    label_smoothing=Option(0.0, 0.0, 0.5),
)
def dpo(scores: Scores, votes: VoteBatch, *, beta: float, label_smoothing: float) -> Tensor:
    gaps = _gaps(beta * scores.log_ratios)
    losses = -(1 - label_smoothing) * F.logsigmoid(gaps) - label_smoothing * F.logsigmoid(-gaps)
    return _mean_where(losses, votes.wins())


@objective(
    "robust-dpo",
    paper="Chowdhury et al. 2024, arXiv 2403.00409",
    equation="(-(1 - e) log sigmoid(d) + e log sigmoid(-d)) / (1 - 2 e)",
    label_smoothing=Option(0.1, 0.0, 0.5),
)
def robust_dpo(scores: Scores, votes: VoteBatch, *, beta: float, label_smoothing: float) -> Tensor:
    """Unbiased where a share `label_smoothing` (below .5) of the votes is flipped."""
    gaps = _gaps(beta * scores.log_ratios)
    losses = -(1 - label_smoothing) * F.logsigmoid(gaps) + label_smoothing * F.logsigmoid(-gaps)
    return _mean_where(losses / (1 - 2 * label_smoothing), votes.wins())


@objective(
    "ipo",
    paper="Azar et al. 2023, arXiv 2310.12036, eq. 17, log-ratios per token",
    equation="(d / beta - 1 / (2 beta))^2 with d of log-ratios divided by length",
)
def ipo(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    gaps = _gaps(scores.log_ratios / scores.lengths.clamp(min=1))
    return _mean_where((gaps - 1 / (2 * beta)) ** 2, votes.wins())


@objective(
    "hinge",
    paper="Zhao et al. 2023 (SLiC-HF), arXiv 2305.10425; with a reference: Liu et al. 2023, arXiv 2309.06657",
    equation="max(0, 1 - d)",
)
def hinge(scores: Scores, votes: VoteBatch, *, beta: float) -> Tensor:
    return _mean_where(torch.relu(1 - _gaps(beta * scores.log_ratios)), votes.wins())


@objective(
    "simpo",
    paper="Meng et al. 2024 (SimPO), arXiv 2405.14734, eq. 6",
    equation="-log sigmoid(beta (log pi(y_i|x) / |y_i| - log pi(y_j|x) / |y_j|) - gamma)",
    needs_reference=False,
    gamma=Option(0.5, 0.0),
)
def simpo(scores: Scores, votes: VoteBatch, *, beta: float, gamma: float) -> Tensor:
    gaps = _gaps(beta * scores.policy / scores.lengths.clamp(min=1))
    return _mean_where(-F.logsigmoid(gaps - gamma), votes.wins())


# Pairwise, with ties as outcomes of their own


@objective(
    "davidson",
    paper="Chen et al. 2024 (DPO-D), arXiv 2409.17431; Davidson 1970",
    equation="win: log Z - r_i; tie: log Z - log nu - m; m = (r_i + r_j) / 2; Z = e^r_i + e^r_j + nu e^m",
    uses_ties=True,
    nu=Option(1.0, 0.0, above=True),
)
def davidson(scores: Scores, votes: VoteBatch, *, beta: float, nu: float) -> Tensor:
    gaps = _gaps(beta * scores.log_ratios)
    log_nu = gaps.new_tensor(nu).log()
    total = torch.logsumexp(torch.stack([gaps / 2, -gaps / 2, log_nu.expand_as(gaps)]), dim=0)
    return _mean_of_outcomes(total - gaps / 2, total - log_nu, votes)


@objective(
    "rao-kupper",
    paper="Chen et al. 2024 (DPO-RK), arXiv 2409.17431; Rao and Kupper 1967",
    equation="win: -log sigmoid(d - log nu), tie: -log((nu^2 - 1) sigmoid(d - log nu) sigmoid(-d - log nu))",
    uses_ties=True,
    nu=Option(3.0, 1.0, above=True),
)
def rao_kupper(scores: Scores, votes: VoteBatch, *, beta: float, nu: float) -> Tensor:
    gaps = _gaps(beta * scores.log_ratios)
    margin = gaps.new_tensor(nu).log()
    ahead, behind = F.logsigmoid(gaps - margin), F.logsigmoid(-gaps - margin)
    tie = -(gaps.new_tensor(nu**2 - 1).log() + ahead + behind)
    return _mean_of_outcomes(-ahead, tie, votes)


def _gaps(rewards: Tensor) -> Tensor:
    """(batch, K, K): the reward of i minus that of j."""
    return rewards[:, :, None] - rewards[:, None, :]


def _mean_where(losses: Tensor, wanted: Tensor) -> Tensor:
    """(batch,) mean over the wanted pairs; 0 where there is none."""
    return losses.masked_fill(~wanted, 0.0).sum(dim=(1, 2)) / wanted.sum(dim=(1, 2)).clamp(min=1)


def _mean_of_outcomes(win: Tensor, tie: Tensor, votes: VoteBatch) -> Tensor:
    """(batch,) mean over the pairs with a known outcome, a win or a tie."""
    wins, ties = votes.wins(), votes.ties()
    total = win.masked_fill(~wins, 0.0) + tie.masked_fill(~ties, 0.0)
    return total.sum(dim=(1, 2)) / (wins | ties).sum(dim=(1, 2)).clamp(min=1)


def winner_nll(scores: Scores, votes: VoteBatch) -> Tensor:
    """(batch,) negative log-probability per token of the best response; their mean where the top is shared.

    Added with `sft_weight` it keeps the winner's probability up (Pang et al. 2024, arXiv 2404.19733).
    """
    top = votes.top()
    per_token = (-scores.policy / scores.lengths.clamp(min=1)).masked_fill(~top, 0.0)
    return per_token.sum(dim=1) / top.sum(dim=1)
