from argparse import ArgumentParser
from typing import Any

from arena.management.command import ArenaCommand, add_file
from arena.management.progress import ProgressLine
from arena.models import Arena
from arena.services.imports import import_votes


class Command(ArenaCommand):
    help = (
        "Import votes: LMArena's files (model_a, model_b, winner; conversations too), or models and ranks. "
        "All rows or none; rows that are there already are passed over."
    )
    example = "--arena study votes.parquet"

    def add_options(self, parser: ArgumentParser) -> None:
        add_file(parser)
        parser.add_argument(
            "--show",
            action="store_true",
            help="use the imported prompts and responses in battles and generate for them too",
        )

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        with ProgressLine(self.stdout) as line:
            report = import_votes(arena=arena, file=options["file"], show=options["show"], progress=line.show)
        self.say_imported(report, "votes")
