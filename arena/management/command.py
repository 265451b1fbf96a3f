"""What every command of the product shares: --arena, an example in --help, one sentence on bad input."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, ProgrammingError

from arena.errors import ArenaError, NotFound
from arena.models import Arena, Contestant
from arena.services.imports.report import ImportReport


class ArenaCommand(BaseCommand):
    """Finds the arena, calls `work`, and turns the domain's errors into one sentence and exit status 1."""

    example = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(
            prog_name,
            subcommand,
            formatter_class=RawDescriptionHelpFormatter,
            epilog=f"Example: python manage.py {subcommand} {self.example}",
            **kwargs,
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--arena", required=True, metavar="SLUG", help="the arena's name in its address")
        self.add_options(parser)

    def add_options(self, parser: ArgumentParser) -> None:
        """The command's own options."""

    def handle(self, *, arena: str, **options: Any) -> None:
        try:
            self.work(find_arena(arena), options)
        except ArenaError as error:
            raise CommandError(str(error)) from error
        except (OperationalError, ProgrammingError) as error:
            if "no such table" in str(error) or "does not exist" in str(error):
                raise CommandError("The database is not set up. Run: python manage.py migrate") from error
            raise

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        raise CommandError(f"{type(self).__name__} does nothing yet.")

    def say_imported(self, report: ImportReport, what: str) -> None:
        there = f", {report.there_already:,} were there already" if report.there_already else ""
        self.stdout.write(f"{report.added:,} {what} imported{there}.")
        for note, count in report.notes.items():
            self.stdout.write(f"{count:,} {what} {note}.")


def find_arena(slug: str) -> Arena:
    arena = Arena.objects.filter(slug=slug).first()
    if arena is None:
        known = ", ".join(Arena.objects.order_by("slug").values_list("slug", flat=True))
        raise NotFound(
            f'There is no arena "{slug}". ' + (f"Known are: {known}." if known else "None is made yet.")
        )
    return arena


def find_contestant(arena: Arena, name: str) -> Contestant:
    contestant = Contestant.objects.filter(arena=arena, name=name).first()
    if contestant is None:
        known = ", ".join(arena.contestants.values_list("name", flat=True)[:20])
        raise NotFound(f'There is no contestant "{name}" in {arena.slug}. Known are: {known or "none"}.')
    return contestant


def add_file(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a .jsonl, .csv or .parquet file")
