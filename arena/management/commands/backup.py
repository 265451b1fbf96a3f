from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.errors import ArenaError
from arena.management.command import find_arena
from arena.management.progress import ProgressLine
from arena.services.backups import write_backup


class Command(BaseCommand):
    help = (
        "Write a backup: one file with all rows and files, or those of one arena. Voting may go on. "
        "Example: python manage.py backup arena-backup.zip"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file to write; it must not be there yet")
        parser.add_argument("--arena", metavar="SLUG", help="only this arena (all of them)")

    def handle(self, *, file: Path, arena: str | None, **_: Any) -> None:
        try:
            with ProgressLine(self.stdout) as line:
                backup = write_backup(
                    file=file,
                    arena=find_arena(arena) if arena else None,
                    tell=lambda table, done, total: line.show(done, total, table),
                )
        except ArenaError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{file}: {sum(backup.rows.values()):,} rows and {backup.files:,} files "
            f"of {', '.join(backup.arenas) or 'no arena'}; {backup.rows['arena.vote']:,} votes."
        )
