"""Training objectives: pure functions of the K responses' log-probabilities and the vote.

Each takes `Scores`, a `VoteBatch`, beta and its own options, and returns one loss per ranking, (batch,). A
ranking of any K goes in whole; at K = 2 the pairwise objectives are the published ones. A pairwise objective
averages over the pairs that the vote orders, so that a ranking of eight does not count 28 times a pair;
where several votes were cast on the same responses, the shares of them are the weights of the pairs.

Another objective is one more function in a module here with its paper and equation: nothing else needs to
know of it. Notation: rho_i = log pi(y_i|x) - log pi_ref(y_i|x); r_i = beta rho_i, the implicit reward;
d = r_i - r_j with i above j; |y| a length in tokens; K responses; s the logistic function.
"""

from gpu_workers.kwise.objectives import absolute, orders, pairs, rewards, ties, tokens
from gpu_workers.kwise.objectives.registry import (
    FAMILIES,
    LARGEST_K,
    LEVELS,
    OBJECTIVES,
    Objective,
    Option,
    Scores,
    TokenScores,
    find_objective,
    objective,
    winner_nll,
)

__all__ = [
    "FAMILIES",
    "LARGEST_K",
    "LEVELS",
    "OBJECTIVES",
    "Objective",
    "Option",
    "Scores",
    "TokenScores",
    "absolute",
    "find_objective",
    "objective",
    "orders",
    "pairs",
    "rewards",
    "ties",
    "tokens",
    "winner_nll",
]
