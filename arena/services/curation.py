"""Data sets that a reward model chooses: of another's votes, or of its responses. A worker scores them."""

import secrets
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena, DataSet, Job, TrainingRun
from arena.services import audit, jobs
from arena.services.training import reward_models_of, run_folder

KEEPS = ("agreeing", "best-of-n")
LEAST = 0.3  # the mean probability of a vote's pairs, below which it is left out


@transaction.atomic
def request_curation(
    *,
    data_set: DataSet,
    reward_model: TrainingRun,
    keep: str = KEEPS[0],
    least: float = LEAST,
    by: User | None = None,
) -> DataSet:
    """The arena's next data set, chosen of `data_set` by a reward model, and the job that writes it.

    It reads the log as far as `data_set` did, so that its votes are among that one's. Raises BadInput.
    """
    _check(data_set, reward_model, keep, least)
    arena = Arena.objects.select_for_update(no_key=True).get(pk=data_set.arena_id)
    number = 1 + (DataSet.objects.filter(arena=arena).aggregate(number=Max("number"))["number"] or 0)
    chosen: dict[str, Any] = {"of": data_set.number, "run": reward_model.pk, "by": reward_model.name}
    chosen |= {"keep": keep, **({"least": least} if keep == "agreeing" else {})}
    curated = DataSet.objects.create(
        arena=arena,
        number=number,
        formats=data_set.formats,
        # Never the folder of an older installation's data set of the same number.
        folder=f"{arena.slug}/{number}-{secrets.token_hex(4)}",
        last_vote=data_set.last_vote,
        last_ruling=data_set.last_ruling,
        filters={**data_set.filters, "curation": chosen},
        created_by=by,
    )
    curated.job = jobs.enqueue(
        kind=Job.Kind.CURATE,
        title=f"Choose data set {number} of data set {data_set.number}",
        arena=arena,
        payload={"data_set": curated.pk},
        unique_key=f"curate:{curated.pk}",
        created_by=by,
    )
    curated.save(update_fields=["job"])
    audit.record(action="data set curated", target=curated, actor=by, details=chosen)
    return curated


def reward_folder(data_set: DataSet) -> str:
    """Where the reward model lies that chooses this data set. Raises BadInput where its run is gone."""
    number = data_set.filters["curation"]["run"]
    run = reward_models_of(data_set.arena).filter(pk=number).first()
    if run is None:
        raise BadInput(
            _("The arena has no finished reward model %(number)s. Train one first.") % {"number": number}
        )
    return str(run_folder(run) / "model")


def _check(data_set: DataSet, reward_model: TrainingRun, keep: str, least: float) -> None:
    if not reward_models_of(data_set.arena).filter(pk=reward_model.pk).exists():
        raise BadInput(
            _("The arena has no finished reward model %(number)s. Train one first.")
            % {"number": reward_model.pk}
        )
    if keep not in KEEPS:
        known = {"keep": keep, "known": ", ".join(KEEPS)}
        raise BadInput(_("There is no way %(keep)r to choose. Known are %(known)s.") % known)
    if not 0 <= least <= 1:
        raise BadInput(_("The least probability is %(least)g; it must be from 0 to 1.") % {"least": least})
    if data_set.completed_at is None:
        raise BadInput(
            _("Data set %(number)s is not written yet. Wait until its job is done.")
            % {"number": data_set.number}
        )
    if of := data_set.filters.get("curation"):
        raise BadInput(
            _("Data set %(number)s was chosen by a reward model already. Choose of data set %(of)s.")
            % {"number": data_set.number, "of": of["of"]}
        )
