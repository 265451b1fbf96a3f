"""Asking for a data set: its number and its votes are fixed at once, its files are a job's work."""

import secrets
from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from arena.errors import BadInput
from arena.models import Arena, DataSet, Job, Vote
from arena.services import audit, jobs, vote_log
from arena.services.data_sets.formats import FORMATS

DEFAULT_FORMATS = ("kwise", "trl-preference")


@transaction.atomic
def request_data_set(
    *,
    arena: Arena,
    formats: Iterable[str] = DEFAULT_FORMATS,
    by: User | None = None,
) -> DataSet:
    """The arena's next data set, of the votes that are there now, and the job that writes it.

    Raises BadInput for an unknown format and where no counted vote says anything.
    """
    chosen = _checked_formats(formats)
    # Two requests at once get two numbers: the arena's row is held until the end. Held with
    # "no key", or a vote's foreign key would wait for it while its end of the log waits for us.
    arena = Arena.objects.select_for_update(no_key=True).get(pk=arena.pk)
    if not Vote.objects.filter(arena=arena).counted().exclude(kind=Vote.Kind.SKIP).exists():
        raise BadInput(f"{arena.name} has no votes to export yet. Vote first, then export.")
    marks = vote_log.settled_marks(arena)
    if marks is None:
        raise BadInput("Votes are being imported just now. Export again when that is done.")
    newest = DataSet.objects.filter(arena=arena).aggregate(number=Max("number"))["number"] or 0
    data_set = DataSet.objects.create(
        arena=arena,
        number=newest + 1,
        formats=chosen,
        # Never the folder of an older installation's data set of the same number.
        folder=f"{arena.slug}/{newest + 1}-{secrets.token_hex(4)}",
        last_vote=marks.last_vote,
        last_ruling=marks.last_ruling,
        created_by=by,
    )
    data_set.job = jobs.enqueue(
        kind=Job.Kind.EXPORT,
        title=f"Export data set {data_set.number}",
        arena=arena,
        payload={"data_set": data_set.pk},
        unique_key=f"export:{data_set.pk}",
        created_by=by,
    )
    data_set.save(update_fields=["job"])
    audit.record(action="data set requested", target=data_set, actor=by, details={"formats": chosen})
    return data_set


def _checked_formats(formats: Iterable[str]) -> list[str]:
    chosen = list(dict.fromkeys(formats))
    if not chosen:
        raise BadInput(f"Choose at least one format: {', '.join(FORMATS)}.")
    if unknown := [name for name in chosen if name not in FORMATS]:
        raise BadInput(f"There is no format {unknown[0]!r}. Known are {', '.join(FORMATS)}.")
    return chosen
