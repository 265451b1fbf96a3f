"""Which contestants should meet next, and when enough votes are in.

`Posterior` holds what the votes say, `choose` draws the next battle from it.
"""

from ranking.matchmaking.choose import Choice, NotEnoughContestants, choose
from ranking.matchmaking.information import AIMS, stakes
from ranking.matchmaking.posterior import Posterior
from ranking.matchmaking.strategies import STRATEGIES

__all__ = ["AIMS", "STRATEGIES", "Choice", "NotEnoughContestants", "Posterior", "choose", "stakes"]
