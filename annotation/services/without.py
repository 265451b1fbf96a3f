"""What the leaderboard would be without some voters, before anything is done to their votes."""

from collections.abc import Collection
from dataclasses import dataclass

from arena.models import Arena
from arena.services import board_fit
from arena.services.leaderboards import current_leaderboard, votes_behind


@dataclass(frozen=True)
class Row:
    """One contestant with all votes that count and without those of the voters."""

    model: str
    rank: int | None
    rating: float | None
    rank_without: int | None
    rating_without: float | None

    @property
    def change(self) -> float | None:
        if self.rating is None or self.rating_without is None:
            return None
        return self.rating_without - self.rating


def with_and_without(arena: Arena, voters: Collection[int]) -> list[Row]:
    """The board's rows in their order, each beside what a fit without the voters (ids) says."""
    board = current_leaderboard(arena)
    contestants = board.settings["contestants"]
    kept = [vote for vote in votes_behind(board) if vote.voter not in voters]
    other = {}
    if kept:
        fitted = board_fit.fit_by(board.settings, board_fit.engine_votes(contestants, kept))
        other = {row["contestant"]: row for row in board_fit.board_rows(fitted, contestants)}
    return [
        Row(
            row["model"],
            row["rank"],
            row["rating"],
            other.get(row["contestant"], {}).get("rank"),
            other.get(row["contestant"], {}).get("rating"),
        )
        for row in board.rows
    ]
