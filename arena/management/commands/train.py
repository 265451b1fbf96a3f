import json
from argparse import ArgumentParser
from typing import Any

from arena.errors import BadInput, NotFound
from arena.management.command import ArenaCommand, find_contestant
from arena.management.following import add_waiting, see_through
from arena.models import Arena, DataSet
from arena.services.objectives import OBJECTIVES
from arena.services.training import request_training, reward_models_of
from arena.services.training_plans import in_words
from arena.services.training_settings import CHOICES, OBJECTS, PARAMETERS, SWITCHES

SETTINGS = [*PARAMETERS, *CHOICES, *OBJECTS, *SWITCHES, "vote_weights", "reward_model"]


class Command(ArenaCommand):
    help = "Train a contestant on a data set. The result is a new contestant of the arena."
    example = "--arena study --base small --data-set 3 --set epochs=1"

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--base", required=True, metavar="NAME", help="the contestant to train")
        parser.add_argument(
            "--data-set", type=int, metavar="NUMBER", help="the data set's number (the newest)"
        )
        parser.add_argument("--name", help="of the new contestant (made from the base's)")
        parser.add_argument(
            "--objective",
            choices=[name for name, _ in OBJECTIVES],
            metavar="NAME",
            help="how a ranking becomes a loss, see docs/methods.md (without it: what the plan suggests, "
            "with its settings)",
        )
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a setting, as JSON where it is no word or number "
            f"(--set 'lora={{\"r\": 8}}'): {', '.join(SETTINGS)}; may be given several times",
        )
        parser.add_argument(
            "--hold-back",
            action="store_true",
            help="the result becomes a contestant only once somebody promotes it, on the run's page",
        )
        add_waiting(parser)

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        run = request_training(
            base=find_contestant(arena, options["base"]),
            data_set=_data_set(arena, options["data_set"]),
            name=options["name"],
            objective=options["objective"],
            parameters=_with_reward_model(arena, dict(map(_setting, options["set"]))),
            held_back=options["hold_back"],
        )
        if run.job is None or not (options["wait"] or options["here"]):
            self.stdout.write(f"{run.name} is queued for training.")
            return
        see_through([run.job], here=options["here"], out=self.stdout)
        run.refresh_from_db()
        if run.parameters.get("dry_run"):
            told = run.summary
            memory = told["peak_memory_bytes"] / 2**20
            self.stdout.write(
                f"The whole run would take about {in_words(told['estimated_seconds'])} for {told['steps']} "
                f"steps, and {memory:,.0f} MB of memory at most."
            )
            return
        if run.result is None:
            held = "it is held back until somebody promotes it" if run.held_back else "such a run makes none"
            self.stdout.write(f"{run.name} is done, and no contestant: {held}.")
            return
        self.stdout.write(f"{run.result} is a contestant of {arena.slug} now.")


def _data_set(arena: Arena, number: int | None) -> DataSet:
    of_arena = DataSet.objects.filter(arena=arena)
    if number is not None:
        of_arena = of_arena.filter(number=number)
    data_set = of_arena.order_by("-number").first()
    if data_set is None:
        what = "no data set" if number is None else f"no data set {number}"
        raise NotFound(f"{arena.slug} has {what}. Export one: manage.py export_dataset --arena {arena.slug}")
    return data_set


def _with_reward_model(arena: Arena, parameters: dict[str, Any]) -> dict[str, Any]:
    """The settings with the number of the reward model where its name was given."""
    name = parameters.get("reward_model")
    if not isinstance(name, str):
        return parameters
    models = reward_models_of(arena)
    run = models.filter(name=name).first()
    if run is None:
        known = ", ".join(models.values_list("name", flat=True)) or "none yet"
        raise NotFound(f'There is no reward model "{name}" in {arena.slug}. Known are: {known}.')
    return {**parameters, "reward_model": run.pk}


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"{text!r} is not a setting; write NAME=VALUE, such as epochs=1.")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value.strip()
