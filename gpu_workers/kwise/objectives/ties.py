"""Pairwise objectives in which a tie is an outcome of its own, with a probability that the rewards give."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gpu_workers.kwise.objectives.registry import Option, Scores, gaps_of, objective
from gpu_workers.kwise.votes import VoteBatch


@objective(
    "davidson",
    family="ties",
    paper="Chen et al. 2024 (DPO-D), arXiv 2409.17431; Davidson 1970",
    equation="win: log Z - r_i; tie: log Z - log nu - m; m = (r_i + r_j) / 2; Z = e^r_i + e^r_j + nu e^m",
    uses_ties=True,
    nu=Option(1.0, 0.0, above=True),
)
def davidson(scores: Scores, votes: VoteBatch, *, beta: float, nu: float) -> Tensor:
    gaps = gaps_of(beta * scores.log_ratios)
    log_nu = gaps.new_tensor(nu).log()
    total = torch.logsumexp(torch.stack([gaps / 2, -gaps / 2, log_nu.expand_as(gaps)]), dim=0)
    return _mean_of_outcomes(total - gaps / 2, total - log_nu, votes)


@objective(
    "rao-kupper",
    family="ties",
    paper="Chen et al. 2024 (DPO-RK), arXiv 2409.17431; Rao and Kupper 1967",
    equation="win: -log s(d - log nu), tie: -log((nu^2 - 1) s(d - log nu) s(-d - log nu))",
    uses_ties=True,
    nu=Option(3.0, 1.0, above=True),
)
def rao_kupper(scores: Scores, votes: VoteBatch, *, beta: float, nu: float) -> Tensor:
    gaps = gaps_of(beta * scores.log_ratios)
    margin = gaps.new_tensor(nu).log()
    ahead, behind = F.logsigmoid(gaps - margin), F.logsigmoid(-gaps - margin)
    tie = -(gaps.new_tensor(nu**2 - 1).log() + ahead + behind)
    return _mean_of_outcomes(-ahead, tie, votes)


def _mean_of_outcomes(win: Tensor, tie: Tensor, votes: VoteBatch) -> Tensor:
    """(batch,) mean over the pairs with a known outcome, a win or a tie."""
    wins, ties = votes.wins(), votes.ties()
    total = win.masked_fill(~wins, 0.0) + tie.masked_fill(~ties, 0.0)
    return total.sum(dim=(1, 2)) / (wins | ties).sum(dim=(1, 2)).clamp(min=1)
