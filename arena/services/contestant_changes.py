"""Contestants as leads add, change and try them out: on the record, and within what leads may name."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from arena.errors import BadInput, NotAllowed
from arena.models import Arena, Contestant, Job, Response
from arena.services import audit, jobs
from arena.services.contestant_places import check_places
from arena.services.contestants import check_contestant, create_contestant, set_key

# What made the responses may not change once there are some.
FIXED = (
    "backend",
    "checkpoint",
    "adapter",
    "endpoint",
    "endpoint_model",
    "revision",
    "system_prompt",
    "parameters",
)
FREE = ("name", "description", "weight", "capabilities", "budget")


def is_fixed(contestant: Contestant) -> bool:
    """Whether what makes its responses may no longer change."""
    return Response.objects.filter(contestant=contestant).exists()


@transaction.atomic
def add_contestant(*, arena: Arena, by: User, key: str = "", **fields: Any) -> Contestant:
    """A new contestant of the fields of FIXED and FREE. Raises BadInput and NotAllowed.

    The key of an endpoint is kept encrypted; no variable of a worker can be named here: that
    could lead a worker's key to a stranger.
    """
    _check_fields(fields)
    checkpoint = str(fields.get("checkpoint", "")).strip()
    if not by.is_staff:
        check_places(arena=arena, checkpoint=checkpoint, adapter=str(fields.get("adapter", "")).strip())
    contestant = create_contestant(arena=arena, parent=_same_weights(arena, checkpoint), **fields)
    if key.strip():
        set_key(contestant=contestant, key=key)
    audit.record(
        action="contestant added",
        target=contestant,
        actor=by,
        details={"name": contestant.name, "backend": contestant.backend, "key": bool(key.strip())},
    )
    return contestant


@transaction.atomic
def change_contestant(
    *, contestant: Contestant, by: User, key: str | None = None, **fields: Any
) -> Contestant:
    """Change what is given and nothing else. A key of "" takes the kept one away; None leaves it.

    A new address is never sent the old one's key: it goes, and so does the variable that staff named.
    """
    contestant = (
        Contestant.objects.select_for_update(of=("self",)).select_related("arena").get(pk=contestant.pk)
    )
    _check_fields(fields)
    before = {name: getattr(contestant, name) for name in fields}
    for name, value in fields.items():
        setattr(contestant, name, _tidy(value, name))
    changed = [name for name in fields if getattr(contestant, name) != before[name]]
    fixed = [name for name in changed if name in FIXED]
    if fixed and is_fixed(contestant):
        raise BadInput(
            _("%(contestant)s has responses already, so %(fields)s cannot change. Add another contestant.")
            % {"contestant": contestant.name, "fields": ", ".join(fixed)}
        )
    if fixed and not by.is_staff:
        check_places(arena=contestant.arena, checkpoint=contestant.checkpoint, adapter=contestant.adapter)
    if "endpoint" in changed:
        contestant.endpoint_key_sealed = contestant.endpoint_key_variable = ""
    check_contestant(contestant)
    contestant.save()
    if key is not None:
        set_key(contestant=contestant, key=key)
    told = [*changed, *(["key"] if key is not None else [])]
    if told:
        audit.record(action="contestant changed", target=contestant, actor=by, details={"fields": told})
    return contestant


def request_check(*, contestant: Contestant, by: User | None = None) -> Job:
    """Have a worker try the contestant's backend out: can it be reached, does it keep to the contract?"""
    if contestant.backend == Contestant.Backend.UPLOADED:
        raise BadInput(
            _("%(contestant)s is uploaded: there is nothing to ask.") % {"contestant": contestant.name}
        )
    return jobs.enqueue(
        kind=Job.Kind.CHECK,
        title=f"Check {contestant.name}"[:200],
        arena=contestant.arena,
        payload={"contestant": contestant.pk},
        unique_key=f"check:{contestant.pk}",
        priority=jobs.LIVE,
        created_by=by,
    )


def newest_check(contestant: Contestant) -> Job | None:
    """The last job that tried this contestant out."""
    tried = Job.objects.filter(kind=Job.Kind.CHECK, arena=contestant.arena, payload__contestant=contestant.pk)
    return tried.order_by("-id").first()


def _same_weights(arena: Arena, checkpoint: str) -> Contestant | None:
    """The trained contestant whose weights these are: another sampling of them learnt from its votes too."""
    trained = Contestant.objects.filter(arena=arena, checkpoint=checkpoint).exclude(checkpoint="")
    return trained.exclude(parent=None).order_by("id").first()


def _check_fields(fields: Mapping[str, Any]) -> None:
    strange = sorted(fields.keys() - {*FIXED, *FREE})
    if strange:
        raise NotAllowed(
            _("%(field)s is not set here. Known are %(known)s.")
            % {"field": strange[0], "known": ", ".join((*FREE, *FIXED))}
        )


def _tidy(value: Any, name: str) -> Any:
    if not isinstance(value, str) or name in ("system_prompt", "description"):
        return value
    return value.strip().rstrip("/") if name == "endpoint" else value.strip()
