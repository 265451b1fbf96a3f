import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from arena.management.command import ArenaCommand
from arena.models import Arena, Leaderboard
from arena.services.leaderboards import current_leaderboard, leaderboard_csv, leaderboard_data, reproduce


class Command(ArenaCommand):
    help = "Print the leaderboard, fitted anew where votes have come in."
    example = "--arena study --format csv"

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=["table", "json", "csv"], default="table")

        parser.add_argument(
            "--check",
            action="store_true",
            help="compute it again from the votes and say whether it is the same to the last digit",
        )

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        board = current_leaderboard(arena)
        if options["check"]:
            self._check(board)
            return
        if options["format"] == "csv":
            self.stdout.write(leaderboard_csv(board), ending="")
            return
        if options["format"] == "json":
            self.stdout.write(json.dumps(leaderboard_data(board), indent=2, ensure_ascii=False))
            return
        width = max([len("model"), *(len(row["model"]) for row in board.rows)])
        self.stdout.write(
            f"{'rank':>9}  {'model':<{width}}  {'rating':>7}  {'95 % interval':>17}  {'votes':>7}"
        )
        for row in board.rows:
            if row["new"]:
                self.stdout.write(f"{'new':>9}  {row['model']:<{width}}")
                continue
            ranks = f"{row['rank']} ({row['rank_lower']}–{row['rank_upper']})"
            interval = f"{row['lower']:.0f} to {row['upper']:.0f}"
            said = f"{row['rating']:>7.0f}  {interval:>17}  {row['votes']:>7,}"
            self.stdout.write(f"{ranks:>9}  {row['model']:<{width}}  {said}")
        for warning in board.fit.get("warnings", []):
            self.stdout.write(warning)

    def _check(self, board: Leaderboard) -> None:
        if reproduce(board) != board.rows:
            raise CommandError(
                "The votes do not give the stored leaderboard to the last digit. "
                "Another version of the fit, or of its libraries, does that; a missing vote would too."
            )
        self.stdout.write(
            f"The votes up to {board.last_vote} give the stored leaderboard again, to the last digit "
            f"(method version {board.settings['method_version']})."
        )
