"""Training runs: asked for here, done by a worker, and their result brought back into the arena."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena, Contestant, DataSet, Job, TrainingMetric, TrainingRun
from arena.services import audit, jobs, webhooks
from arena.services.contestants import check_checkpoint, create_contestant
from arena.services.data_sets import data_set_folder, verify_data_set
from arena.services.objectives import NEED_REWARDS, OBJECTIVES, REWARD_MODELS
from arena.services.responses import plan_generation
from arena.services.training_plans import Plan, plan_training
from arena.services.training_settings import (
    CHOICES,
    PARAMETERS,
    check_options,
    checked_parameters,
    nearest,
)
from arena.services.training_suggestions import suggested_settings

LEAST_RANKINGS = 10


@transaction.atomic
def request_training(
    *,
    base: Contestant,
    data_set: DataSet,
    name: str | None = None,
    objective: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    held_back: bool = False,
    by: User | None = None,
) -> TrainingRun:
    """A training run and its job, or BadInput with the reason why it cannot be.

    Without an objective it is the suggested one, with the suggested settings where `parameters` has none.
    The result of a run that is `held_back` is no contestant before `promote` makes it one.
    """
    parameters = checked_parameters(parameters or {})
    _check_base(base, data_set)
    _check_data_set(data_set)
    if objective is None:
        suggested = suggested_settings(base=base, data_set=data_set)
        objective, parameters = suggested.pop("objective"), {**suggested, **parameters}
    _check_objective(objective)
    check_options(objective, parameters.get("objective_options", {}))
    _check_reward_model(objective, parameters, base)
    name = _free_name(base, data_set, name)
    run = TrainingRun.objects.create(
        arena=base.arena,
        base=base,
        data_set=data_set,
        name=name,
        objective=objective,
        parameters=parameters,
        held_back=held_back,
        created_by=by,
    )
    run.folder = f"{base.arena.slug}/{run.pk}"
    run.job = jobs.enqueue(
        kind=Job.Kind.TRAIN,
        title=f"Train {name} from {base.name}"[:200],
        arena=base.arena,
        payload={"run": run.pk},
        unique_key=f"train:{run.pk}",
        created_by=by,
    )
    run.save(update_fields=["folder", "job"])
    return run


def plan_checked(*, base: Contestant, data_set: DataSet, parameters: Mapping[str, Any]) -> Plan:
    """The plan of a run that could be started. Raises BadInput as `request_training` does."""
    checked = checked_parameters(parameters)
    _check_base(base, data_set)
    _check_data_set(data_set)
    return plan_training(base=base, data_set=data_set, parameters=checked)


def run_folder(run: TrainingRun) -> Path:
    """Where the run keeps its configuration, its state and its result."""
    return Path(settings.RUNS_DIR) / run.folder


def run_config(run: TrainingRun) -> dict[str, Any]:
    """The configuration of `python -m gpu_workers.train` for this run.

    Raises BadInput where the base's checkpoint or the data set has gone or was changed since.
    """
    check_checkpoint(run.base.checkpoint)
    verify_data_set(run.data_set)
    return {
        **all_settings(run),
        "reward_model": _reward_folder(run),
        "data": str(data_set_folder(run.data_set)),
        "base": run.base.checkpoint,
        "output": str(run_folder(run)),
        "objective": run.objective,
        "parent": run.base.name,
        # The base answers with its system prompt, so it is trained with it too.
        "system_prompt": run.base.system_prompt or None,
    }


def all_settings(run: TrainingRun) -> dict[str, Any]:
    """What was set for the run, and what is taken without a word."""
    defaults = {name: default for name, (default, _, _) in PARAMETERS.items() if default is not None}
    chosen = {name: options[0] for name, options in CHOICES.items()}
    return {**defaults, **chosen, **run.parameters}


def record_metric(run: TrainingRun, step: int, values: Mapping[str, Any]) -> None:
    """Keep one progress line. A step done again after a restart replaces its line."""
    TrainingMetric.objects.bulk_create(
        [TrainingMetric(run=run, step=step, values=dict(values))],
        update_conflicts=True,
        unique_fields=["run", "step"],
        update_fields=["values"],
    )


@transaction.atomic
def complete_training(
    run: TrainingRun, *, summary: Mapping[str, Any], manifest: Mapping[str, Any], checkpoint: Path | str
) -> Contestant | None:
    """Bring the trained checkpoint into the arena as a new contestant, or None where it is held back.

    Done twice (a worker that was cut off at the very end), it is the same contestant.
    """
    run = _locked(run)
    if run.completed_at is None:
        run.summary, run.manifest, run.completed_at = dict(summary), dict(manifest), Now()
        run.save(update_fields=["summary", "manifest", "completed_at"])
        if not run.held_back:
            _enter(run, checkpoint, by=run.created_by)
        name = run.result.name if run.result else None
        told = {"training_run": run.pk, "contestant": name, "objective": run.objective}
        webhooks.emit(arena=run.arena, event="training_run.completed", data=told)
    return run.result


def can_be_promoted(run: TrainingRun) -> bool:
    """Whether the run has made a checkpoint that is no contestant yet."""
    makes_one = not run.parameters.get("dry_run") and not run.objective.startswith(REWARD_MODELS)
    return makes_one and run.completed_at is not None and run.result_id is None


@transaction.atomic
def promote(run: TrainingRun, *, by: User | None = None) -> Contestant:
    """Make the result of a run that was held back a contestant. Done twice, it is the same contestant.

    Raises BadInput where there is no result, or none that can compete.
    """
    run = _locked(run)
    if run.result is not None:
        return run.result
    if run.completed_at is None:
        raise BadInput(_("%(run)s has not come to its end yet. Promote it then.") % {"run": run.name})
    if not can_be_promoted(run):
        raise BadInput(_("%(run)s makes no contestant.") % {"run": run.name})
    checkpoint = run_folder(run) / "model"
    check_checkpoint(str(checkpoint))
    contestant = _enter(run, checkpoint, by=by)
    audit.record(action="training run promoted", target=run, actor=by, details={"contestant": contestant.pk})
    return contestant


def _locked(run: TrainingRun) -> TrainingRun:
    runs = TrainingRun.objects.select_for_update(of=("self",)).select_related(
        "base__arena", "arena", "result"
    )
    return runs.get(pk=run.pk)


def _enter(run: TrainingRun, checkpoint: Path | str, *, by: User | None) -> Contestant:
    """The run's result as a new contestant, with its responses planned."""
    # The name was free when the run was asked for; hours of training must not be lost to it now.
    taken = Contestant.objects.filter(arena=run.base.arena).values_list("name", flat=True)
    run.result = create_contestant(
        arena=run.base.arena,
        name=_not_taken(run.name, set(taken)),
        backend=Contestant.Backend.TRANSFORMERS,
        description=f"{run.base.name}, trained with {run.objective} on data set {run.data_set.number}.",
        checkpoint=str(checkpoint),
        system_prompt=run.base.system_prompt,
        parameters=run.base.parameters,
        parent=run.base,
    )
    run.save(update_fields=["result"])
    plan_generation(arena=run.base.arena, contestants=[run.result], by=by)
    return run.result


@transaction.atomic
def end_training(run: TrainingRun, *, summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """Note the end of a run that makes no contestant: a dry run, or a reward model."""
    run = TrainingRun.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if run.completed_at is None:
        run.summary, run.manifest, run.completed_at = dict(summary), dict(manifest), Now()
        run.save(update_fields=["summary", "manifest", "completed_at"])


def _check_base(base: Contestant, data_set: DataSet) -> None:
    if base.backend != Contestant.Backend.TRANSFORMERS:
        raise BadInput(
            _("%(base)s cannot be trained: it has no transformers checkpoint. Choose one that has.")
            % {"base": base.name}
        )
    if base.arena_id != data_set.arena_id:
        raise BadInput(
            _("%(base)s and data set %(number)s are of different arenas.")
            % {"base": base.name, "number": data_set.number}
        )
    check_checkpoint(base.checkpoint)


def _check_data_set(data_set: DataSet) -> None:
    if data_set.completed_at is None:
        raise BadInput(
            _("Data set %(number)s is not written yet. Wait until its job is done.")
            % {"number": data_set.number}
        )
    if "kwise" not in data_set.formats:
        raise BadInput(
            _("Data set %(number)s has no kwise format. Export one with it.") % {"number": data_set.number}
        )
    rankings = data_set.manifest["splits"]["train"]["informative"]
    if rankings < LEAST_RANKINGS:
        raise BadInput(
            _(
                "Data set %(number)s has %(rankings)s rankings to learn from (ties of all and held-out "
                "prompts do not count); training needs at least %(least_rankings)s. "
                "Vote more, then export again."
            )
            % {"number": data_set.number, "rankings": rankings, "least_rankings": LEAST_RANKINGS}
        )
    verify_data_set(data_set)


def _check_objective(objective: str) -> None:
    names = [name for name, _ in OBJECTIVES]
    if objective not in names:
        raise BadInput(
            _("There is no objective %(objective)r. %(hint)s")
            % {"objective": objective, "hint": nearest(objective, names)}
        )


def _check_reward_model(objective: str, parameters: Mapping[str, Any], base: Contestant) -> None:
    number = parameters.get("reward_model")
    if number is not None and not reward_models_of(base.arena).filter(pk=number).exists():
        raise BadInput(
            _("The arena has no finished reward model %(number)s. Train one first.") % {"number": number}
        )
    if number is None and objective in NEED_REWARDS:
        raise BadInput(
            _("%(objective)s needs a reward model. Train one first, and name it.") % {"objective": objective}
        )


def reward_models_of(arena: Arena) -> QuerySet[TrainingRun]:
    """The finished reward models of an arena."""
    runs = TrainingRun.objects.filter(arena=arena, objective__startswith=REWARD_MODELS)
    return runs.exclude(completed_at=None).exclude(parameters__has_key="dry_run")


def _reward_folder(run: TrainingRun) -> str | None:
    number = run.parameters.get("reward_model")
    if number is None:
        return None
    return str(run_folder(reward_models_of(run.arena).get(pk=number)) / "model")


def _free_name(base: Contestant, data_set: DataSet, name: str | None) -> str:
    """The name asked for, refused where it is taken; or one made from the base's."""
    contestants = set(Contestant.objects.filter(arena=base.arena).values_list("name", flat=True))
    promised = set(
        TrainingRun.objects.filter(arena=base.arena, result=None, completed_at=None)
        .exclude(job__state__in=[Job.State.FAILED, Job.State.CANCELLED, Job.State.QUARANTINED])
        .values_list("name", flat=True)
    )
    taken = contestants | promised
    if name is None or not name.strip():
        return _not_taken(f"{base.name} + data set {data_set.number}", taken)
    if name.strip() in taken:
        raise BadInput(
            _("The arena has a contestant named %(name)s already. Choose another name.")
            % {"name": name.strip()}
        )
    if len(name.strip()) > 120:
        raise BadInput(_("The name is longer than 120 characters."))
    return name.strip()


def _not_taken(name: str, taken: Collection[str]) -> str:
    """The name itself, or with the first number behind it that is free."""
    numbered = (f"{name[:110]} ({number})" for number in range(2, len(taken) + 3))
    return next(candidate for candidate in (name[:120], *numbered) if candidate not in taken)
