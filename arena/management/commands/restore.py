from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.errors import ArenaError
from arena.management.progress import ProgressLine
from arena.models import Arena
from arena.services import leaderboards
from arena.services.backups import restore_backup


class Command(BaseCommand):
    help = (
        "Bring a backup back into an installation that has no arenas, on any database. All or nothing. "
        "Example: python manage.py restore arena-backup.zip"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="what the backup command wrote")
        parser.add_argument("--arena", metavar="SLUG", help="only this arena of the backup (all of them)")

    def handle(self, *, file: Path, arena: str | None, **_: Any) -> None:
        try:
            with ProgressLine(self.stdout) as line:
                backup = restore_backup(
                    file=file, slug=arena, tell=lambda table, done, total: line.show(done, total, table)
                )
        except ArenaError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{sum(backup.rows.values()):,} rows and {backup.files:,} files of {', '.join(backup.arenas)}."
        )
        for restored in Arena.objects.all():
            self.stdout.write(self._checked(restored))

    def _checked(self, arena: Arena) -> str:
        """Whether the restored votes give the ratings that were stored with them."""
        board = arena.leaderboards.first()
        if board is None:
            return f"{arena.slug}: no leaderboard was stored."
        if leaderboards.reproduce(board) == board.rows:
            return f"{arena.slug}: the votes give the stored leaderboard again, to the last digit."
        return (
            f"{arena.slug}: the votes do not give the stored leaderboard to the last digit. "
            "Another version of the fit, or of its libraries, does that; a missing vote would too."
        )
