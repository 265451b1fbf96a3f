"""Training runs: asked for here, done by a worker, and their result brought back into the arena."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from arena.errors import BadInput
from arena.models import Contestant, DataSet, Job, TrainingMetric, TrainingRun
from arena.services import jobs
from arena.services.contestants import check_checkpoint, create_contestant
from arena.services.data_sets import data_set_folder, verify_data_set
from arena.services.responses import plan_generation

LEAST_RANKINGS = 10

# The trainer's objectives, in words for the form. A test holds them to the trainer's own table.
OBJECTIVES: tuple[tuple[str, str], ...] = (
    ("plackett-luce", "Plackett-Luce: the whole ranking, ties in either order"),
    ("top-1", "Top 1: only who is best"),
    ("dpo", "DPO: every pair, logistic"),
    ("robust-dpo", "Robust DPO: some votes are taken to be wrong"),
    ("ipo", "IPO: every pair, squared"),
    ("hinge", "Hinge: every pair up to a margin"),
    ("simpo", "SimPO: every pair, without a reference model"),
    ("davidson", "Davidson: every pair, and learns from ties"),
    ("rao-kupper", "Rao-Kupper: every pair, and learns from ties"),
)
# What may be set, what it is without a word, and the least and the most (None: no number).
PARAMETERS: dict[str, tuple[Any, float, float]] = {
    "beta": (0.1, 0, 100),
    "learning_rate": (3e-4, 1e-9, 1),
    "epochs": (2, 1, 1000),
    "batch_size": (8, 1, 100_000),
    "sft_weight": (0.5, 0, 100),
    "seed": (0, 0, 2**32 - 1),
    "max_length": (None, 8, 10_000_000),
    "warmup": (0.1, 0, 1),
    "weight_decay": (0.0, 0, 100),
    "max_grad_norm": (1.0, 1e-9, 1e9),
    "micro_batch": (None, 1, 100_000),
    "micro_batch_tokens": (8192, 1, 1_000_000_000),
    "eval_every_steps": (0, 0, 1_000_000),
    "kl_prompts": (16, 0, 100_000),
    "checkpoint_every_seconds": (60, 1, 86_400),
    "checkpoint_every_steps": (50, 1, 1_000_000),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "dtype": ("auto", "float32", "bfloat16"),
    "device": ("auto", "cpu", "cuda"),
    "method": ("full", "lora"),
    "schedule": ("cosine", "linear", "constant"),
}
OBJECTS = ("lora", "objective_options")
WHOLE = {
    "epochs",
    "batch_size",
    "seed",
    "max_length",
    "micro_batch",
    "micro_batch_tokens",
    "eval_every_steps",
    "kl_prompts",
    "checkpoint_every_steps",
}


@transaction.atomic
def request_training(
    *,
    base: Contestant,
    data_set: DataSet,
    name: str | None = None,
    objective: str = "plackett-luce",
    parameters: Mapping[str, Any] | None = None,
    by: User | None = None,
) -> TrainingRun:
    """A training run and its job, or BadInput with the reason why it cannot be."""
    _check_objective(objective)
    parameters = _checked_parameters(parameters or {})
    _check_base(base, data_set)
    _check_data_set(data_set)
    name = _free_name(base, data_set, name)
    run = TrainingRun.objects.create(
        arena=base.arena,
        base=base,
        data_set=data_set,
        name=name,
        objective=objective,
        parameters=parameters,
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


def run_folder(run: TrainingRun) -> Path:
    """Where the run keeps its configuration, its state and its result."""
    return Path(settings.RUNS_DIR) / run.folder


def run_config(run: TrainingRun) -> dict[str, Any]:
    """The configuration of `python -m gpu_workers.train` for this run.

    Raises BadInput where the base's checkpoint or the data set has gone or was changed since.
    """
    check_checkpoint(run.base.checkpoint)
    verify_data_set(run.data_set)
    defaults = {name: default for name, (default, _, _) in PARAMETERS.items() if default is not None}
    return {
        **defaults,
        **{name: options[0] for name, options in CHOICES.items()},
        **run.parameters,
        "data": str(data_set_folder(run.data_set)),
        "base": run.base.checkpoint,
        "output": str(run_folder(run)),
        "objective": run.objective,
        "parent": run.base.name,
        # The base answers with its system prompt, so it is trained with it too.
        "system_prompt": run.base.system_prompt or None,
    }


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
) -> Contestant:
    """Bring the trained checkpoint into the arena as a new contestant and plan its responses.

    Done twice (a worker that was cut off at the very end), it is the same contestant.
    """
    run = TrainingRun.objects.select_for_update(of=("self",)).select_related("base__arena").get(pk=run.pk)
    if run.result is not None:
        return run.result
    # The name was free when the run was asked for; hours of training must not be lost to it now.
    taken = Contestant.objects.filter(arena=run.base.arena).values_list("name", flat=True)
    contestant = create_contestant(
        arena=run.base.arena,
        name=_not_taken(run.name, set(taken)),
        backend=Contestant.Backend.TRANSFORMERS,
        description=f"{run.base.name}, trained with {run.objective} on data set {run.data_set.number}.",
        checkpoint=str(checkpoint),
        system_prompt=run.base.system_prompt,
        parameters=run.base.parameters,
        parent=run.base,
    )
    run.result = contestant
    run.summary = dict(summary)
    run.manifest = dict(manifest)
    run.completed_at = Now()
    run.save(update_fields=["result", "summary", "manifest", "completed_at"])
    run.refresh_from_db()
    plan_generation(arena=run.base.arena, contestants=[contestant], by=run.created_by)
    return contestant


def _check_base(base: Contestant, data_set: DataSet) -> None:
    if base.backend != Contestant.Backend.TRANSFORMERS:
        raise BadInput(
            f"{base.name} cannot be trained: it has no transformers checkpoint. Choose one that has."
        )
    if base.arena_id != data_set.arena_id:
        raise BadInput(f"{base.name} and data set {data_set.number} are of different arenas.")
    check_checkpoint(base.checkpoint)


def _check_data_set(data_set: DataSet) -> None:
    if data_set.completed_at is None:
        raise BadInput(f"Data set {data_set.number} is not written yet. Wait until its job is done.")
    if "kwise" not in data_set.formats:
        raise BadInput(f"Data set {data_set.number} has no kwise format. Export one with it.")
    rankings = data_set.manifest["splits"]["train"]["informative"]
    if rankings < LEAST_RANKINGS:
        raise BadInput(
            f"Data set {data_set.number} has {rankings} rankings to learn from (ties of all and held-out "
            f"prompts do not count); training needs at least {LEAST_RANKINGS}. Vote more, then export again."
        )
    verify_data_set(data_set)


def _checked_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for name, value in parameters.items():
        checked[name] = value
        if name in OBJECTS:
            if not isinstance(value, dict):
                raise BadInput(f"{name} must be an object.")
        elif name in CHOICES:
            if value not in CHOICES[name]:
                raise BadInput(f"{name} is {value!r}; it must be one of {', '.join(CHOICES[name])}.")
        elif name in PARAMETERS:
            checked[name] = _checked_number(name, value)
        else:
            hint = _hint(name, [*PARAMETERS, *CHOICES, *OBJECTS])
            raise BadInput(f"There is no training parameter {name!r}. {hint}")
    return checked


def _check_objective(objective: str) -> None:
    names = [name for name, _ in OBJECTIVES]
    if objective not in names:
        raise BadInput(f"There is no objective {objective!r}. {_hint(objective, names)}")


def _hint(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}."


def _checked_number(name: str, value: Any) -> int | float:
    _, least, most = PARAMETERS[name]
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if not numeric or not least <= value <= most or (name in WHOLE and value != int(value)):
        kind = "whole number" if name in WHOLE else "number"
        raise BadInput(f"{name} is {value!r}; it must be a {kind} from {least:g} to {most:g}.")
    return int(value) if name in WHOLE else float(value)


def _free_name(base: Contestant, data_set: DataSet, name: str | None) -> str:
    """The name asked for, refused where it is taken; or one made from the base's."""
    contestants = set(Contestant.objects.filter(arena=base.arena).values_list("name", flat=True))
    promised = set(
        TrainingRun.objects.filter(arena=base.arena, result=None)
        .exclude(job__state__in=[Job.State.FAILED, Job.State.CANCELLED, Job.State.QUARANTINED])
        .values_list("name", flat=True)
    )
    taken = contestants | promised
    if name is None or not name.strip():
        return _not_taken(f"{base.name} + data set {data_set.number}", taken)
    if name.strip() in taken:
        raise BadInput(f"The arena has a contestant named {name.strip()} already. Choose another name.")
    if len(name.strip()) > 120:
        raise BadInput("The name is longer than 120 characters.")
    return name.strip()


def _not_taken(name: str, taken: Collection[str]) -> str:
    """The name itself, or with the first number behind it that is free."""
    numbered = (f"{name[:110]} ({number})" for number in range(2, len(taken) + 3))
    return next(candidate for candidate in (name[:120], *numbered) if candidate not in taken)
