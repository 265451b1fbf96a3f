"""The job of trying a contestant's backend out: each check is told as soon as it is made."""

from dataclasses import asdict
from typing import Any

from django.conf import settings

from arena.errors import BadInput
from arena.models import Contestant
from arena.outbound import Rules
from arena.services.leases import Lease
from gpu_workers.backends import contract, open_backend
from gpu_workers.generation_task import spec_of

MARKS = {True: "ok  ", False: "BAD ", None: "note"}


def check_backend(lease: Lease) -> dict[str, Any]:
    """The work of a job of the kind "check". Nothing is stored but what the checks say."""
    contestant = Contestant.objects.filter(pk=lease.job.payload["contestant"]).first()
    if contestant is None:
        raise BadInput("The contestant is gone. There is nothing to check.")
    lease.progress(message=f"Opening {contestant.name}")
    rules = Rules(hosts=tuple(settings.ENDPOINT_HOSTS), **settings.OUTBOUND)
    spec = spec_of(contestant)
    made: list[dict[str, Any]] = []
    for check in contract.check(lambda: open_backend(spec, hosts=rules)):
        made.append(asdict(check))
        said = f": {check.said}" if check.said else ""
        lease.progress(line=f"{MARKS[check.ok]}  {check.what}{said}")
    bad = sum(check["ok"] is False for check in made)
    return {"contestant": contestant.pk, "checks": made, "bad": bad}
