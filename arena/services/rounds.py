"""Online training: the newest model's own samplings compete, their votes train the next one, and so on.

Each round is a training run from one contestant to the next, so its lineage is that of any run. Between the
two acts of a round people vote, as on any battle; who says so by name may let a judge vote too.
"""

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Contestant, DataSet, Job, Judge, TrainingRun
from arena.services.contestants import create_contestant, retire_contestant
from arena.services.data_sets import request_data_set
from arena.services.judges import create_judge, plan_judging
from arena.services.responses import plan_generation
from arena.services.training import request_training, run_folder

LEAST, MOST = 2, 10


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
    others = Contestant.objects.active().filter(arena=base.arena) if alone else samplings_in(base)
    for other in others:
        retire_contestant(contestant=other)
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
            description=_("A sampling of %(base)s for a round of online training.") % {"base": base.name},
            parent=base,
        )
        for number in range(first, first + samplings)
    ]
    plan_generation(arena=base.arena, contestants=made, by=by)
    return made


def samplings_in(base: Contestant) -> list[Contestant]:
    """The samplings that compete in the base's arena: no training run made them, their parent's checkpoint
    is theirs.
    """
    active = Contestant.objects.active().filter(arena=base.arena, made_by_run=None).exclude(parent=None)
    return [
        one
        for one in active.select_related("parent")
        if one.parent and one.checkpoint == one.parent.checkpoint
    ]


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
    """What the reward model of a run is called as a voter."""
    return _("reward model %(run)s") % {"run": run.name[:100]}


def round_data(
    *, base: Contestant, reward_model: TrainingRun | None = None, by: User | None = None
) -> DataSet:
    """The data set of the base's round: votes on its samplings alone, people's, and with `reward_model` its
    votes too. Raises BadInput where no round is open.
    """
    samplings = _round_of(base)
    judges = Judge.objects.filter(arena=base.arena, name=judge_name(reward_model)) if reward_model else ()
    return request_data_set(arena=base.arena, contestants=samplings, judges=judges, by=by)


def _round_of(base: Contestant) -> list[Contestant]:
    """The base's samplings that compete now. Raises BadInput where there is none."""
    samplings = [one for one in samplings_in(base) if one.parent_id == base.pk]
    if not samplings:
        raise BadInput(_("%(base)s has no open round. Open one first.") % {"base": base.name})
    return samplings


def close_round(*, base: Contestant, data_set: DataSet, by: User | None = None) -> TrainingRun:
    """Train `base` on the round's votes with the settings that the plan suggests."""
    return request_training(base=base, data_set=data_set, by=by)
