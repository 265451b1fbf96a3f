from argparse import ArgumentParser
from typing import Any

from arena.management.command import ArenaCommand
from arena.management.following import see_through
from arena.models import Arena
from arena.services.data_sets import DEFAULT_FORMATS, FORMATS, data_set_folder, request_data_set


class Command(ArenaCommand):
    help = (
        "Export the votes as the arena's next data set: immutable, numbered, with a card and checksums.\n\n"
    )
    help += "\n".join(
        f"  {one.name:<15} {one.description.split(':')[0].split('. ')[0]}" for one in FORMATS.values()
    )
    example = "--arena study --format kwise --format trl-preference"

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--format",
            action="append",
            choices=list(FORMATS),
            help=f"may be given several times ({' and '.join(DEFAULT_FORMATS)})",
        )

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        data_set = request_data_set(arena=arena, formats=options["format"] or DEFAULT_FORMATS)
        if data_set.job is not None:
            see_through([data_set.job], here=True, out=self.stdout)
        data_set.refresh_from_db()
        self.stdout.write(f"Data set {data_set.number} is in {data_set_folder(data_set)}")
        for name, splits in data_set.counts.items():
            self.stdout.write(
                f"{name}: {splits['train']:,} rows to train on, {splits['held_out']:,} held out"
            )
        for why, count in data_set.manifest["left_out"].items():
            self.stdout.write(f"left out: {count:,} votes ({why})")
