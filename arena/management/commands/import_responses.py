from argparse import ArgumentParser
from typing import Any

from arena.management.command import ArenaCommand, add_file
from arena.management.progress import ProgressLine
from arena.models import Arena
from arena.services.imports import import_responses


class Command(ArenaCommand):
    help = "Import responses made elsewhere: prompt (its key or text), model, text, and sample where wanted."
    example = "--arena study responses.csv"

    def add_options(self, parser: ArgumentParser) -> None:
        add_file(parser)

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        with ProgressLine(self.stdout) as line:
            report = import_responses(arena=arena, file=options["file"], progress=line.show)
        self.say_imported(report, "responses")
