from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena import translations


class Command(BaseCommand):
    requires_system_checks: list[str] = []  # a draft of some page must not be in the way
    help = (
        "Bring the catalogues of the interface up to the texts in templates and code, and say what is "
        "still to be translated.\n\n  python manage.py translations\n  python manage.py translations --check"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="change nothing; fail where something is amiss"
        )

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        amiss = 0
        for language in translations.languages():
            if not check:
                translations.update(language)
            found = translations.faults(language)
            amiss += len(found)
            for fault in found:
                self.stdout.write(f"{language}: {fault}")
            self.stdout.write(f"{language}: {'complete' if not found else f'{len(found)} to mend'}")
        if amiss and check:
            raise CommandError(f"{amiss} texts are not translated as they should be: docs/translating.md.")
