"""Online training: the newest model's own samplings compete, their votes train the next one, and so on.

Each round is a training run from one contestant to the next, so its lineage is that of any run. Between the
two acts of a round people vote, as on any battle; who says so by name may let a judge vote too.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import (
    Arena,
    AuditEntry,
    Contestant,
    DataSet,
    Job,
    Judge,
    Prompt,
    Response,
    Slot,
    TrainingRun,
    Vote,
)
from arena.services import audit
from arena.services.contestants import bring_back_contestant, create_contestant, retire_contestant
from arena.services.data_sets import request_data_set
from arena.services.judges import create_judge, plan_judging
from arena.services.responses import plan_generation
from arena.services.training import LEAST_RANKINGS, request_training, run_folder
from arena.services.vote_log import COUNTED_SOURCES

LEAST, MOST = 2, 10
OPENED = "round opened"


@dataclass(frozen=True)
class Round:
    """A round that is open: its base, what competes, and what was voted on these alone.

    people: votes of people that order something; models: votes of judges by the judge's name; written: how
    many of the `wanted` responses are there; ending: the data set that ends it, while it is under way.
    """

    base: Contestant
    samplings: tuple[Contestant, ...]
    people: int
    models: Mapping[str, int]
    written: int
    wanted: int
    ending: DataSet | None

    @property
    def enough(self) -> bool:
        return self.people >= LEAST_RANKINGS


@transaction.atomic
def open_round(
    *, base: Contestant, samplings: int = 4, alone: bool = False, by: User | None = None
) -> list[Contestant]:
    """Have so many samplings of `base` at temperature 1 compete. Those of earlier rounds are retired: their
    responses are no longer what the model writes. `alone`: everybody else is retired too, so that each vote
    is on what the base writes.
    """
    if not LEAST <= samplings <= MOST:
        raise BadInput(_("A round has %(low)s to %(high)s samplings.") % {"low": LEAST, "high": MOST})
    if base.backend != Contestant.Backend.TRANSFORMERS:
        raise BadInput(
            _("%(base)s cannot be trained: it has no transformers checkpoint.") % {"base": base.name}
        )
    others = list(Contestant.objects.active().filter(arena=base.arena)) if alone else samplings_in(base)
    for other in others:
        retire_contestant(contestant=other, by=by)
    # A round of the same base once more has other samplings, and other names.
    first = 1 + Contestant.objects.filter(parent=base, checkpoint=base.checkpoint).count()
    made = [
        create_contestant(
            arena=base.arena,
            name=f"{base.name[:100]} ~{number}",
            backend=base.backend,
            checkpoint=base.checkpoint,
            system_prompt=base.system_prompt,
            parameters={**base.parameters, "temperature": 1.0, "seed": 1000 * base.pk + number},
            description=f"A sampling of {base.name} for a round of online training.",
            parent=base,
        )
        for number in range(first, first + samplings)
    ]
    plan_generation(arena=base.arena, contestants=made, by=by)
    told = {"made": [one.pk for one in made], "retired": [one.pk for one in others]}
    audit.record(action=OPENED, target=base, actor=by, details=told)
    return made


def samplings_in(base: Contestant) -> list[Contestant]:
    """The samplings that compete in the base's arena: no training run made them, their parent's checkpoint
    is theirs.
    """
    return samplings_of(base.arena)


def samplings_of(arena: Arena) -> list[Contestant]:
    """The same by arena."""
    active = Contestant.objects.active().filter(arena=arena, made_by_run=None).exclude(parent=None)
    return [
        one
        for one in active.select_related("parent__arena").order_by("pk")
        if one.parent and one.checkpoint == one.parent.checkpoint
    ]


def open_rounds(arena: Arena) -> list[Round]:
    """The rounds that are open, by base; usually one or none."""
    by_base: dict[int, list[Contestant]] = {}
    for one in samplings_of(arena):
        by_base.setdefault(one.parent_id or 0, []).append(one)
    return [_told(several) for several in by_base.values()]


def past_rounds(arena: Arena) -> list[TrainingRun]:
    """The training runs that ended a round, the newest first."""
    runs = TrainingRun.objects.filter(arena=arena, data_set__filters__has_key="contestants")
    runs = runs.select_related("base", "data_set", "result", "job").order_by("-pk")
    own = _checkpoints(arena)
    return [
        run
        for run in runs
        if all(own.get(int(pk)) == (run.base_id, run.base.checkpoint) for pk in _contestants(run.data_set))
    ]


def _told(samplings: list[Contestant]) -> Round:
    base, ids = samplings[0].parent, [one.pk for one in samplings]
    assert base is not None
    elsewhere = Slot.objects.filter(battle__arena=base.arena_id).exclude(contestant__in=ids).values("battle")
    votes = Vote.objects.counted().orders().filter(arena=base.arena_id, battle__slots__contestant__in=ids)
    told = (
        votes.exclude(battle__in=elsewhere).values_list("pk", "voter__kind", "voter__judge__name").distinct()
    )
    kinds = Counter((kind, judge) for _pk, kind, judge in told)
    prompts = Prompt.objects.active().filter(arena=base.arena_id).count()
    return Round(
        base=base,
        samplings=tuple(samplings),
        people=sum(count for (kind, _judge), count in kinds.items() if kind in COUNTED_SOURCES),
        models={str(judge): count for (_kind, judge), count in kinds.items() if judge},
        written=Response.objects.filter(contestant__in=ids, sample=0, prompt__retired_at=None).count(),
        wanted=prompts * len(ids),
        ending=_ending(base),
    )


def _ending(base: Contestant) -> DataSet | None:
    """The export under way after which `base` is trained."""
    found = DataSet.objects.filter(arena=base.arena_id, job__payload__train=base.pk).select_related("job")
    newest = found.order_by("-pk").first()
    if newest is None or TrainingRun.objects.filter(base=base, data_set=newest).exists():
        return None
    return newest


def _checkpoints(arena: Arena) -> dict[int, tuple[int | None, str]]:
    """The parent and the checkpoint of each contestant."""
    rows = Contestant.objects.filter(arena=arena).values_list("pk", "parent", "checkpoint")
    return {pk: (parent, checkpoint) for pk, parent, checkpoint in rows}


def _contestants(data_set: DataSet) -> list[str]:
    return list(data_set.filters.get("contestants", {}))


def let_vote(*, base: Contestant, run: TrainingRun, battles: int, by: User | None = None) -> Job:
    """Queue votes of a reward model, the result of `run`, in the round of `base`. It votes as a judge that
    has the run's name, never among people.
    """
    samplings = _round_of(base)
    name = judge_name(run)
    judge = Judge.objects.filter(arena=base.arena, name=name).first() or create_judge(
        arena=base.arena,
        name=name,
        method=Judge.Method.REWARD,
        checkpoint=str(run_folder(run) / "model"),
    )
    return plan_judging(judge=judge, limit=battles, contestants=samplings, by=by)


def judge_name(run: TrainingRun) -> str:
    """What the reward model of a run is called as a voter, whoever asks for it in whatever language."""
    return f"reward model {run.name[:100]}"


def round_data(
    *,
    base: Contestant,
    reward_model: TrainingRun | None = None,
    train: bool = False,
    by: User | None = None,
) -> DataSet:
    """The data set of the base's round: votes on its samplings alone, people's, and with `reward_model` its
    votes too. With `train` the base is trained on it as soon as it is written. Raises BadInput where no round
    is open.
    """
    samplings = _round_of(base)
    judges = Judge.objects.filter(arena=base.arena, name=judge_name(reward_model)) if reward_model else ()
    return request_data_set(
        arena=base.arena, contestants=samplings, judges=judges, train=base if train else None, by=by
    )


@transaction.atomic
def end_round(
    *, base: Contestant, reward_model: TrainingRun | None = None, by: User | None = None
) -> DataSet:
    """Export the round's votes and then train the base on them. Done twice while the export is under way, it
    is the same. Raises BadInput where no round is open, or too little was voted to learn from.
    """
    _hold(base)
    _round_of(base)
    going = _ending(base)
    if going is not None and going.job is not None and not going.job.is_finished:
        return going
    told = next(one for one in open_rounds(base.arena) if one.base.pk == base.pk)
    votes = told.people + (told.models.get(judge_name(reward_model), 0) if reward_model else 0)
    if votes < LEAST_RANKINGS:
        raise BadInput(
            _("The round has %(votes)s votes that order something; training needs at least %(least)s.")
            % {"votes": votes, "least": LEAST_RANKINGS}
        )
    return round_data(base=base, reward_model=reward_model, train=True, by=by)


@transaction.atomic
def give_up_round(*, base: Contestant, by: User | None = None) -> list[Contestant]:
    """Retire the round's samplings, and bring back whom its opening had retired. Returns these."""
    for sampling in _round_of(base):
        retire_contestant(contestant=sampling, by=by)
    opened = AuditEntry.objects.filter(action=OPENED, target=f"contestant {base.pk}").order_by("-pk").first()
    retired = opened.details["retired"] if opened else []
    same = {one.pk for one in Contestant.objects.filter(parent=base, checkpoint=base.checkpoint)}
    others = Contestant.objects.filter(arena=base.arena, pk__in=set(retired) - same).exclude(retired_at=None)
    return [bring_back_contestant(contestant=one, by=by) for one in others]


def _round_of(base: Contestant) -> list[Contestant]:
    """The base's samplings that compete now. Raises BadInput where there is none."""
    samplings = [one for one in samplings_in(base) if one.parent_id == base.pk]
    if not samplings:
        raise BadInput(_("%(base)s has no open round. Open one first.") % {"base": base.name})
    return samplings


def _hold(base: Contestant) -> None:
    """Until the transaction ends nobody else looks whether the arena's round is ended, and ends it too."""
    Arena.objects.select_for_update(no_key=True).get(pk=base.arena_id)


@transaction.atomic
def close_round(*, base: Contestant, data_set: DataSet, by: User | None = None) -> TrainingRun:
    """Train `base` on the round's votes with the settings that the plan suggests. Twice, it is one run."""
    _hold(base)
    begun = TrainingRun.objects.filter(base=base, data_set=data_set).first()
    return begun or request_training(base=base, data_set=data_set, by=by)
