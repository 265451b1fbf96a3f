"""Asking for a data set: its number and its votes are fixed at once, its files are a job's work."""

import secrets
from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena, Contestant, DataSet, Job, Judge, Vote
from arena.services import audit, jobs, vote_log
from arena.services.data_sets.formats import FORMATS

DEFAULT_FORMATS = ("kwise", "trl-preference")


@transaction.atomic
def request_data_set(
    *,
    arena: Arena,
    formats: Iterable[str] = DEFAULT_FORMATS,
    contestants: Iterable[Contestant] = (),
    judges: Iterable[Judge] = (),
    train: Contestant | None = None,
    by: User | None = None,
) -> DataSet:
    """The arena's next data set, of the votes that are there now, and the job that writes it.

    With `contestants` only votes in which no other contestant was shown; of `judges`, named models, the
    votes too. `train` is trained on it once it is written.

    Raises BadInput for an unknown format and where no counted vote says anything.
    """
    chosen = _checked_formats(formats)
    # Two requests at once get two numbers: the arena's row is held until the end. Held with
    # "no key", or a vote's foreign key would wait for it while its end of the log waits for us.
    arena = Arena.objects.select_for_update(no_key=True).get(pk=arena.pk)
    judges = tuple(judges)
    voted = Vote.objects.filter(arena=arena).counted().exclude(kind=Vote.Kind.SKIP)
    voted |= Vote.objects.filter(arena=arena, voter__judge__in=judges).exclude(kind=Vote.Kind.SKIP)
    if not voted.exists():
        raise BadInput(
            _("%(arena)s has no votes to export yet. Vote first, then export.") % {"arena": arena.name}
        )
    marks = vote_log.settled_marks(arena)
    if marks is None:
        raise BadInput(_("Votes are being imported just now. Export again when that is done."))
    newest = DataSet.objects.filter(arena=arena).aggregate(number=Max("number"))["number"] or 0
    data_set = DataSet.objects.create(
        arena=arena,
        number=newest + 1,
        formats=chosen,
        # Never the folder of an older installation's data set of the same number.
        folder=f"{arena.slug}/{newest + 1}-{secrets.token_hex(4)}",
        last_vote=marks.last_vote,
        last_ruling=marks.last_ruling,
        filters=_filters(contestants, judges),
        created_by=by,
    )
    data_set.job = jobs.enqueue(
        kind=Job.Kind.EXPORT,
        title=f"Export data set {data_set.number}",
        arena=arena,
        payload={"data_set": data_set.pk, **({"train": train.pk} if train else {})},
        unique_key=f"export:{data_set.pk}",
        created_by=by,
    )
    data_set.save(update_fields=["job"])
    audit.record(action="data set requested", target=data_set, actor=by, details={"formats": chosen})
    return data_set


def _filters(contestants: Iterable[Contestant], judges: Iterable[Judge]) -> dict[str, dict[str, str]]:
    """What of the votes is wanted: names by id, of contestants and of judges' voters."""
    wanted = {
        "contestants": {str(one.pk): one.name for one in contestants},
        "judges": {str(one.voter_id): one.name for one in judges},
    }
    return {name: chosen for name, chosen in wanted.items() if chosen}


def _checked_formats(formats: Iterable[str]) -> list[str]:
    chosen = list(dict.fromkeys(formats))
    if not chosen:
        raise BadInput(_("Choose at least one format: %(known)s.") % {"known": ", ".join(FORMATS)})
    if unknown := [name for name in chosen if name not in FORMATS]:
        raise BadInput(
            _("There is no format %(unknown)r. Known are %(known)s.")
            % {"unknown": unknown[0], "known": ", ".join(FORMATS)}
        )
    return chosen
