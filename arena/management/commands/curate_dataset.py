from argparse import ArgumentParser
from typing import Any

from arena.errors import NotFound
from arena.management.command import ArenaCommand
from arena.management.following import add_waiting, see_through
from arena.models import Arena, DataSet
from arena.services.curation import KEEPS, LEAST, request_curation
from arena.services.training import reward_models_of


class Command(ArenaCommand):
    help = (
        "Have a reward model choose among a data set's votes, or make preferences of the best and the worst "
        "response to each prompt. The result is a data set of its own."
    )
    example = "--arena study --data-set 3 --reward-model taste --keep agreeing"

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--data-set", type=int, required=True, metavar="NUMBER", help="of these votes")
        parser.add_argument(
            "--reward-model", required=True, metavar="RUN", help="the name of its finished run"
        )
        parser.add_argument("--keep", choices=KEEPS, default=KEEPS[0], help="what is kept (%(default)s)")
        parser.add_argument(
            "--least",
            type=float,
            default=LEAST,
            help="the mean probability that it gives a vote's pairs, at least (%(default)s)",
        )
        add_waiting(parser)

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        data_set = DataSet.objects.filter(arena=arena, number=options["data_set"]).first()
        if data_set is None:
            raise NotFound(f"{arena.slug} has no data set {options['data_set']}.")
        models = reward_models_of(arena)
        run = models.filter(name=options["reward_model"]).first()
        if run is None:
            known = ", ".join(models.values_list("name", flat=True)) or "none yet"
            raise NotFound(
                f'There is no reward model "{options["reward_model"]}" in {arena.slug}. Known are: {known}.'
            )
        curated = request_curation(
            data_set=data_set, reward_model=run, keep=options["keep"], least=options["least"]
        )
        assert curated.job is not None
        if not (options["wait"] or options["here"]):
            self.stdout.write(f"Data set {curated.number} is queued.")
            return
        see_through([curated.job], here=options["here"], out=self.stdout)
        curated.refresh_from_db()
        told = curated.manifest["curated"]
        self.stdout.write(
            f"Data set {curated.number}: {told['kept']:,} to train on, of {told['votes']:,} votes of data "
            f"set {data_set.number}."
        )
