"""Two contestants of one board beside each other: how sure their order is, and how it went when they met."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Leaderboard
from ranking.result import ELO, order_probabilities


@dataclass(frozen=True)
class Comparison:
    """`ahead` is the one with the higher rating. Points are those of the board."""

    ahead: str
    behind: str
    gap: float
    lower: float
    upper: float
    sure: float  # probability that `ahead` is the stronger one
    wins: float  # share of votes that `ahead` wins, ties left out
    met: float | None  # battles with both; None where nobody has counted them yet
    won: float | None  # of these, how many `ahead` won, a tie being half


def rated(board: Leaderboard) -> list[dict[str, Any]]:
    """The contestants that have a rating, in the order of the fit's numbers."""
    by_id = {one["id"]: one for one in board.settings["contestants"]}
    return [by_id[pk] for pk in board.fit["contestants"]]


def certainty(board: Leaderboard) -> np.ndarray:
    """(n, n) probability that the row is stronger than the column, in the order of `rated`."""
    return order_probabilities(np.array(board.fit["strengths"]), np.array(board.fit["covariance"]))


def compare(board: Leaderboard, results: Mapping[str, Any], first: int, second: int) -> Comparison:
    """The contestants with these ids. Raises BadInput for one that is not on the board, or the same twice."""
    contestants = rated(board)
    places = {one["id"]: place for place, one in enumerate(contestants)}
    if first not in places or second not in places:
        raise BadInput(_("That contestant has no rating on this leaderboard. Choose two from the lists."))
    if first == second:
        raise BadInput(_("Choose two different contestants."))
    strengths = board.fit["strengths"]
    i, j = sorted((places[first], places[second]), key=lambda place: -strengths[place])
    covariance = board.fit["covariance"]
    gap = strengths[i] - strengths[j]
    error = float(np.sqrt(max(covariance[i][i] + covariance[j][j] - 2.0 * covariance[i][j], 0.0)))
    reach = 1.959964 * error
    names = [contestants[place]["name"] for place in (i, j)]
    won, met = _meetings(results, *names)
    return Comparison(
        ahead=names[0],
        behind=names[1],
        gap=ELO.per_unit * gap,
        lower=ELO.per_unit * (gap - reach),
        upper=ELO.per_unit * (gap + reach),
        sure=float(certainty(board)[i, j]),
        wins=float(1.0 / (1.0 + np.exp(-gap))),
        met=met,
        won=won,
    )


def _meetings(results: Mapping[str, Any], ahead: str, behind: str) -> tuple[float | None, float | None]:
    part = results.get("pairs", {})
    models = part.get("models", [])
    if ahead not in models or behind not in models:
        return None, None
    i, j = models.index(ahead), models.index(behind)
    won, lost = part["wins"][i][j], part["wins"][j][i]
    return won, won + lost
