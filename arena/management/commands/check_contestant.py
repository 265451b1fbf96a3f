from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from arena.celery import app
from arena.management.command import ArenaCommand, find_contestant
from arena.models import Arena, Contestant


class Command(ArenaCommand):
    help = "Try a contestant's backend out: can it be reached, does it keep to the contract? Stores nothing."
    example = '"Fox painter" --arena pictures'

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("contestant", metavar="NAME", help="the contestant's name")

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        contestant = find_contestant(arena, options["contestant"])
        if contestant.backend == Contestant.Backend.UPLOADED:
            self.stdout.write(f"{contestant.name} is uploaded: there is nothing to ask.")
            return
        bad = 0
        for check in self._checks(contestant):
            bad += check["ok"] is False
            mark = {True: "ok  ", False: "BAD ", None: "note"}[check["ok"]]
            self.stdout.write(f"{mark}  {check['what']}" + (f": {check['said']}" if check["said"] else ""))
        if bad:
            raise CommandError(f"{contestant.name} fails {bad} of the checks above.")
        self.stdout.write(f"{contestant.name} keeps to the contract.")

    def _checks(self, contestant: Contestant) -> list[dict[str, Any]]:
        """The workers' own checks, by the task's name: this side imports none of the workers' modules."""
        try:
            app.loader.import_task_module("gpu_workers.tasks")
            return list(app.tasks["gpu_workers.tasks.check_contestant"](contestant.pk))
        except ImportError as error:
            raise CommandError(f"The workers' packages are not installed here: {error}.") from error
