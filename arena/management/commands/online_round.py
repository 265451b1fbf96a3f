from argparse import ArgumentParser
from typing import Any

from arena.errors import NotFound
from arena.management.command import ArenaCommand, find_contestant
from arena.management.following import add_waiting, see_through
from arena.models import Arena, Contestant, TrainingRun
from arena.services.rounds import close_round, give_up_round, let_vote, open_round, round_data
from arena.services.training import reward_models_of


class Command(ArenaCommand):
    help = (
        "Online training. First: have samplings of a contestant compete, and let people vote; with "
        "--reward-model a model votes too, named as such. Then, with --train: export the votes on the "
        "samplings and train the contestant on them. Repeat with the result."
    )
    example = "--arena study --base small"

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--base", required=True, metavar="NAME", help="the contestant of this round")
        parser.add_argument("--samplings", type=int, default=4, help="how many of it compete (4)")
        parser.add_argument(
            "--alone", action="store_true", help="retire everybody else, so that every vote is of this round"
        )
        parser.add_argument(
            "--reward-model",
            metavar="RUN",
            help="the finished run of a reward model: it votes in the open round; with --train, learn from "
            "its votes too",
        )
        parser.add_argument(
            "--battles", type=int, default=100, help="how many the reward model votes on (100)"
        )
        parser.add_argument("--train", action="store_true", help="end the round: export and train")
        parser.add_argument(
            "--give-up",
            action="store_true",
            help="end the round without training: its samplings retire, and others come back",
        )
        add_waiting(parser)

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        base = find_contestant(arena, options["base"])
        judge = _reward_model(arena, options["reward_model"]) if options["reward_model"] else None
        if options["give_up"]:
            back = ", ".join(one.name for one in give_up_round(base=base)) or "nobody else"
            self.stdout.write(f"The round is over. Back in the arena: {back}.")
        elif options["train"]:
            self._end(base, judge, options)
        elif judge:
            job = let_vote(base=base, run=judge, battles=options["battles"])
            if options["wait"] or options["here"]:
                see_through([job], here=options["here"], out=self.stdout)
            self.stdout.write(
                f"{judge.name} votes as a judge. Its votes are learnt from where --train names it too."
            )
        else:
            made = open_round(base=base, samplings=options["samplings"], alone=options["alone"])
            names = ", ".join(contestant.name for contestant in made)
            self.stdout.write(
                f"{names} compete once their responses are made. Let people vote, then --train."
            )

    def _end(self, base: Contestant, judge: TrainingRun | None, options: dict[str, Any]) -> None:
        data_set = round_data(base=base, reward_model=judge)
        assert data_set.job is not None
        see_through([data_set.job], here=options["here"], out=self.stdout)
        data_set.refresh_from_db()
        run = close_round(base=base, data_set=data_set)
        if run.job is not None and (options["wait"] or options["here"]):
            see_through([run.job], here=options["here"], out=self.stdout)
            run.refresh_from_db()
            self.stdout.write(f"{run.result} is the next round's contestant.")
            return
        self.stdout.write(f"{run.name} is queued for training.")


def _reward_model(arena: Arena, name: str) -> TrainingRun:
    found = reward_models_of(arena).filter(name=name).first()
    if found is None:
        known = ", ".join(reward_models_of(arena).values_list("name", flat=True)) or "none yet"
        raise NotFound(f'There is no reward model "{name}" in {arena.slug}. Known are: {known}.')
    return found
