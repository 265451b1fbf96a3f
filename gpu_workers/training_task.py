"""The job of a training run: a child process, its progress relayed, its result a contestant."""

import json
import time
from pathlib import Path
from typing import Any

from arena.errors import BadInput
from arena.models import TrainingRun
from arena.services.leases import Lease
from arena.services.objectives import REWARD_MODELS
from arena.services.training import complete_training, end_training, record_metric, run_config, run_folder
from gpu_workers.children import ChildFailed, events

TELL_EVERY = 0.5  # seconds between two looks at the job's row, however fast the steps are
SETTINGS = "config.json"
NOT_MEASURED = {"event", "step", "steps"}


def run_training(lease: Lease) -> dict[str, Any]:
    """The work of a job of the kind "train". An attempt after another goes on from its last checkpoint.

    Raises BadInput with the trainer's own sentence where it cannot go on.
    """
    run = TrainingRun.objects.select_related("base", "data_set", "arena").get(job=lease.job)
    if run.completed_at is not None:
        return {"contestant": run.result and run.result.pk, "note": "The run was complete already."}
    settings = _write_settings(run)
    relay = Relay(lease, run)
    try:
        for event in events("gpu_workers.train", [str(settings)], check=lease.check):
            relay(event)
    except ChildFailed as failure:
        raise BadInput(str(failure)) from failure
    if run.parameters.get("dry_run"):
        lease.check()
        end_training(run, summary=relay.summary, manifest={})
        return {"contestant": None, "steps": 0}
    folder = run_folder(run) / "model"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    # Nothing is entered into the arena by an attempt that has lost its lease.
    lease.check()
    if run.objective.startswith(REWARD_MODELS):
        end_training(run, summary=manifest["summary"], manifest=manifest)
        return {"contestant": None, "steps": manifest["summary"]["steps"]}
    contestant = complete_training(run, summary=manifest["summary"], manifest=manifest, checkpoint=folder)
    return {"contestant": contestant and contestant.pk, "steps": manifest["summary"]["steps"]}


def _write_settings(run: TrainingRun) -> Path:
    folder = run_folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / SETTINGS
    settings = {**run_config(run), "parent": run.base.name}
    file.write_text(json.dumps(settings, indent=1, ensure_ascii=False), encoding="utf-8")
    return file


class Relay:
    """Tells the job and the run's curves what the trainer says."""

    def __init__(self, lease: Lease, run: TrainingRun) -> None:
        self.lease = lease
        self.run = run
        self.told_at = 0.0
        self.summary: dict[str, Any] = {}
        self.newest: tuple[int, dict[str, Any]] = (-1, {})

    def __call__(self, event: dict[str, Any]) -> None:
        tell = getattr(self, f"on_{event['event']}", None)
        if tell is not None:
            tell(event)

    def on_reference(self, event: dict[str, Any]) -> None:
        self._tell(f"Scoring under the base: part {event['done']} of {event['total']}")

    def on_started(self, event: dict[str, Any]) -> None:
        self.lease.progress(
            done=event["step"],
            total=event["steps"],
            message=f"Training on {event['rankings']} rankings",
            line=f"{_beginning(event)} {_left_out(event['data'])}",
        )

    def on_step(self, event: dict[str, Any]) -> None:
        done, total = event["step"], event["steps"]
        self._keep(done, {name: value for name, value in event.items() if name not in NOT_MEASURED})
        self._tell(f"Step {done} of {total}, loss {event['loss']:.3f}", done=done, whole=done == total)

    def on_eval(self, event: dict[str, Any]) -> None:
        step = event["step"]
        self._keep(step, {f"eval_{name}": value for name, value in event.items() if name not in NOT_MEASURED})
        if event["accuracy"] is not None:
            share = f"{event['accuracy']:.0%} of the ordered pairs right"
            self.lease.progress(line=f"Held out, step {step}: loss {event['loss']:.4f}, {share}.")

    def on_warm(self, event: dict[str, Any]) -> None:
        self._tell(f"Learning the best responses, step {event['step']} of {event['steps']}")

    def on_done(self, event: dict[str, Any]) -> None:
        self.summary = event["summary"]

    def on_notice(self, event: dict[str, Any]) -> None:
        self.lease.progress(line=event["message"])

    def on_stopped(self, event: dict[str, Any]) -> None:
        raise BadInput(f"{event['message']} Try the job again to go on.")

    def _keep(self, step: int, values: dict[str, Any]) -> None:
        """One row per step: what is held out joins what the step itself gave."""
        if step == self.newest[0]:
            values = {**self.newest[1], **values}
        self.newest = (step, values)
        record_metric(self.run, step, values)

    def _tell(self, message: str, *, done: int | None = None, whole: bool = False) -> None:
        if whole or time.monotonic() - self.told_at >= TELL_EVERY:
            self.told_at = time.monotonic()
            self.lease.progress(done=done, message=message)


def _beginning(event: dict[str, Any]) -> str:
    return (
        f"{'Goes on' if event['resumed'] else 'Starts'} at step {event['step']} of {event['steps']}: "
        f"{event['rankings']} rankings, {event['held_out']} held out; "
        f"{event['parameters']:,} parameters, {event['dtype']} on {event['device']}."
    )


def _left_out(data: dict[str, Any]) -> str:
    """What of the data set could not be learned from."""
    return (
        f"Left out: {data['all_tied']} votes that tie all, {data['all_bad']} that say all bad, "
        f"{data['responses_too_long']} responses too long for the base."
    )
