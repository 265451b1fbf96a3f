from argparse import ArgumentParser
from typing import Any

from arena.management.command import ArenaCommand, find_contestant
from arena.management.following import add_waiting, see_through
from arena.models import Arena
from arena.services.responses import plan_generation


class Command(ArenaCommand):
    help = "Generate the responses that are missing: every contestant answers every prompt."
    example = "--arena study --contestant base --samples 2"

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--contestant", action="append", metavar="NAME", help="only this one; may be given several times"
        )
        parser.add_argument("--samples", type=int, default=1, help="responses to each prompt (1)")
        add_waiting(parser)

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        names = options["contestant"]
        chosen = None if names is None else [find_contestant(arena, name) for name in names]
        queued = plan_generation(arena=arena, contestants=chosen, samples=options["samples"])
        if not queued:
            self.stdout.write("Nothing is missing.")
            return
        if not options["wait"] and not options["here"]:
            self.stdout.write(f"{len(queued)} jobs are queued.")
            return
        for job in see_through(queued, here=options["here"], out=self.stdout):
            self.stdout.write(f"{job.title}: {job.done:,} of {job.total:,}.")
