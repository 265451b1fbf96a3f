from argparse import ArgumentParser
from typing import Any

from arena.management.command import ArenaCommand, add_file
from arena.management.progress import ProgressLine
from arena.models import Arena
from arena.services.imports import import_prompts
from arena.services.prompts import HELD_OUT_SHARE


class Command(ArenaCommand):
    help = "Import prompts: text or messages, with key, tags and split where wanted. All rows or none."
    example = "--arena study prompts.jsonl"

    def add_options(self, parser: ArgumentParser) -> None:
        add_file(parser)
        parser.add_argument(
            "--held-out",
            type=float,
            default=HELD_OUT_SHARE,
            metavar="SHARE",
            help=f"share of the rows without a split that is held out from training ({HELD_OUT_SHARE})",
        )

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        with ProgressLine(self.stdout) as line:
            report = import_prompts(
                arena=arena, file=options["file"], held_out=options["held_out"], progress=line.show
            )
        self.say_imported(report, "prompts")
