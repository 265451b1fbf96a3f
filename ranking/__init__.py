"""Ratings from votes: weak orders in, frozen results with honest uncertainty out.

    from ranking import Votes, fit
    board = fit(Votes.from_pairs(models_a, models_b, winners), cluster="voter").table()

Beside fit(): ranking.bootstrap, fragility, agreement, raters, context (tasks and composites), preference
(cycles), mixture (groups of voters), profile (intervals for few votes), online (Elo and its kin).
No Django, no clock, no global randomness. `python -m ranking FILE` is the command line.
"""

from ranking.errors import BadVotes
from ranking.fitting import fit
from ranking.result import ELO, LOG_ODDS, Estimate, Fit, Row, Scale
from ranking.votes import Votes

__all__ = ["ELO", "LOG_ODDS", "BadVotes", "Estimate", "Fit", "Row", "Scale", "Votes", "fit"]
