from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from arena.errors import ArenaError
from arena.management.following import see_through
from arena.services.demo import SLUG, DemoSeed, demo_jobs, seed_demo


class Command(BaseCommand):
    help = (
        "Make the demo arena: prompts, a user, and the job that trains its small models on this machine. "
        "Done again, it makes only what is missing. Example: python manage.py seed_demo --here"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--arena", choices=[SLUG], default=SLUG, help="the demo's name is fixed")
        parser.add_argument(
            "--here", action="store_true", help="build the models and their responses in this process"
        )

    def handle(self, *, here: bool, **_: Any) -> None:
        try:
            seed = seed_demo()
            # Building the models plans the responses of each, so look again when it is done.
            while here and (waiting := demo_jobs()):
                see_through(waiting, here=True, out=self.stdout)
        except ArenaError as error:
            raise CommandError(str(error)) from error
        self._say(seed, here)

    def _say(self, seed: DemoSeed, here: bool) -> None:
        self.stdout.write(
            f"The demo arena is at {settings.PUBLIC_URL}/arenas/{SLUG}/ ({seed.prompts} prompts)."
        )
        if seed.password is None:
            self.stdout.write(f"Sign in as {seed.user_name} with the password that was set since.")
        else:
            self.stdout.write(f"Sign in as {seed.user_name} with the password {seed.password}")
        if seed.jobs and not here:
            self.stdout.write(f"Queued: {', '.join(job.title for job in seed.jobs)}.")
