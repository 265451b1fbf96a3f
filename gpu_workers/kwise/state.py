"""The state of a model in training, as it goes into a checkpoint and comes back.

Whole, however many processes share the model: as many as you like may go on with it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gpu_workers.kwise.checkpoints import Checkpoint
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.optimiser import Remembered
from gpu_workers.kwise.policy import Policy


def snapshot(policy: Policy, step: int) -> Checkpoint:
    """All that new processes need to go on after `step` steps as if these had. Of several, all must ask; the
    first has it.
    """
    generators = {"cpu": torch.get_rng_state()}
    if policy.base.device.type == "cuda":
        generators["cuda"] = torch.cuda.get_rng_state(policy.base.device)
    first = policy.share.first
    state = {
        "optimiser": policy.optimiser.remembered(keep=first),
        "generators": policy.share.gather(generators),
        "micro_batch": policy.micro_batch,
        "by_response": policy.by_response,
        "tokens_seen": policy.tokens_seen,
    }
    return Checkpoint(step, policy.optimiser.values(keep=first), state)


def restore(policy: Policy, checkpoint: Checkpoint) -> None:
    """Take over the state of a checkpoint. Raises TrainingError where it is of another model."""
    if set(policy.trained()) != set(checkpoint.weights):
        raise TrainingError("The checkpoint in the output folder is of another model. Choose another folder.")
    state: Mapping[str, Any] = checkpoint.state
    policy.optimiser.take(checkpoint.weights, _by_name(state["optimiser"], list(policy.trained())))
    generators = state["generators"][policy.share.rank % len(state["generators"])]
    torch.set_rng_state(generators["cpu"])
    if policy.base.device.type == "cuda" and "cuda" in generators:
        torch.cuda.set_rng_state(generators["cuda"], policy.base.device)
    policy.micro_batch = state["micro_batch"]
    policy.by_response = state["by_response"]
    policy.tokens_seen = state["tokens_seen"]


def _by_name(kept: Mapping[str, Any], names: Sequence[str]) -> Remembered:
    """What an optimiser remembers, by parameter; checkpoints of earlier versions have it by number."""
    if "param_groups" not in kept:
        return dict(kept)
    return {names[number]: known for number, known in kept["state"].items()}


LESS = "at-a-time.json"


def write_down_less(policy: Policy, folder: Path) -> None:
    """Keep in the run's `folder` what goes through the model together from now on, for the processes that go
    on after these. Any of them may: the others hang in a pass that this one cannot end.
    """
    now = {"micro_batch": policy.micro_batch, "by_response": policy.by_response}
    draft = folder / f".{LESS}.{policy.share.rank}"
    draft.write_text(json.dumps(now))
    draft.replace(folder / LESS)


def take_no_more(policy: Policy, folder: Path) -> bool:
    """Go on with what `folder` says of it. Returns whether it is less than the run would have taken."""
    file = folder / LESS
    if not file.exists():
        return False
    before = (policy.micro_batch, policy.by_response)
    told = json.loads(file.read_text())
    policy.micro_batch = min(filter(None, [policy.micro_batch, told["micro_batch"]]), default=None)
    policy.by_response = policy.by_response or told["by_response"]
    return (policy.micro_batch, policy.by_response) != before
