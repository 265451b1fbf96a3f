"""Which contestants should meet next, and when enough votes are in.

`Posterior` holds what the votes say, `choose` draws the next battle from it, `choose_prompt`
spreads battles over prompts, and `votes_needed` looks ahead to when a goal will be met.
"""

from ranking.matchmaking.choose import Choice, NotEnoughContestants, choose
from ranking.matchmaking.coverage import Coverage, NoPromptLeft, PromptChoice, choose_prompt, coverage
from ranking.matchmaking.information import AIMS, stakes
from ranking.matchmaking.posterior import Posterior
from ranking.matchmaking.stopping import Outlook, votes_needed
from ranking.matchmaking.strategies import STRATEGIES

__all__ = [
    "AIMS",
    "STRATEGIES",
    "Choice",
    "Coverage",
    "NoPromptLeft",
    "NotEnoughContestants",
    "Outlook",
    "Posterior",
    "PromptChoice",
    "choose",
    "choose_prompt",
    "coverage",
    "stakes",
    "votes_needed",
]
