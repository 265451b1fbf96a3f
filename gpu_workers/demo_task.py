"""The job that builds the demo's models in a child process and enters each in the demo arena."""

from typing import Any

from django.conf import settings

from arena.errors import BadInput
from arena.services import demo
from arena.services.leases import Lease
from gpu_workers.children import ChildFailed, events


def build_models(lease: Lease) -> dict[str, Any]:
    """Train what is not in the cache. Each contestant competes as soon as its checkpoint is there.

    Raises BadInput with the child's sentence where it fails.
    """
    entered: list[str] = []
    result: dict[str, Any] = {}
    try:
        arguments = [str(settings.CACHE_DIR / "demo-models")]
        if settings.DEMO_STEPS:
            arguments += ["--steps", str(settings.DEMO_STEPS)]
        for event in events("gpu_workers.demo", arguments, check=lease.check):
            if event["event"] == "checkpoint":
                demo.checkpoint_ready(
                    event["name"],
                    event["folder"],
                    parameters=event["parameters"],
                    description=event["description"],
                )
                entered.append(event["name"])
                lease.progress(message=f"{event['name']} competes", line=f"{event['name']} is ready.")
            elif event["event"] == "progress":
                lease.progress(
                    done=event["done"],
                    total=event["total"],
                    message=f"Training: step {event['done']} of {event['total']}, loss {event['loss']:.2f}",
                )
            elif event["event"] == "notice":
                lease.progress(line=event["message"])
            elif event["event"] == "done":
                result = {"seconds": event["seconds"], "cpu_seconds": event["cpu_seconds"]}
    except ChildFailed as failure:
        raise BadInput(f"The demo's models could not be built. {failure}") from failure
    return {"contestants": entered, **result}
