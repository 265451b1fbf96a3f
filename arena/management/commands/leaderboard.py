import json
from argparse import ArgumentParser
from typing import Any

from arena.management.command import ArenaCommand
from arena.models import Arena
from arena.services.leaderboards import current_leaderboard, leaderboard_csv, leaderboard_data


class Command(ArenaCommand):
    help = "Print the leaderboard, fitted anew where votes have come in."
    example = "--arena study --format csv"

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=["table", "json", "csv"], default="table")

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        board = current_leaderboard(arena)
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
            ranks = f"{row['rank']} ({row['rank_lower']}–{row['rank_upper']})"
            interval = f"{row['lower']:.0f} to {row['upper']:.0f}"
            said = f"{row['rating']:>7.0f}  {interval:>17}  {row['votes']:>7,}"
            self.stdout.write(f"{ranks:>9}  {row['model']:<{width}}  {said}")
        for warning in board.fit.get("warnings", []):
            self.stdout.write(warning)
