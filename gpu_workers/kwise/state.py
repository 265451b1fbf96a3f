"""The state of a model in training, as it goes into a checkpoint and comes back.

Whole, however many processes share the model: as many as you like may go on with it.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gpu_workers.kwise.checkpoints import Checkpoint
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.policy import Policy
from gpu_workers.kwise.sharding import gathered, part_like, put


def snapshot(policy: Policy, step: int) -> Checkpoint:
    """All that new processes need to go on after `step` steps as if these had. Of several, all must ask; the
    first has it.
    """
    generators = {"cpu": torch.get_rng_state()}
    if policy.base.device.type == "cuda":
        generators["cuda"] = torch.cuda.get_rng_state(policy.base.device)
    optimiser, first = policy.optimiser.state_dict(), policy.share.first
    kept = {number: gathered(known, keep=first) for number, known in optimiser["state"].items()}
    state = {
        "optimiser": {**optimiser, "state": kept},
        "generators": policy.share.gather(generators),
        "micro_batch": policy.micro_batch,
        "by_response": policy.by_response,
        "tokens_seen": policy.tokens_seen,
    }
    return Checkpoint(step, weights(policy), state)


def weights(policy: Policy) -> dict[str, Tensor]:
    """The trained parameters, whole and in main memory. Of several processes, all must ask; the first has
    them.
    """
    return gathered(policy.trained(), keep=policy.share.first)


def restore(policy: Policy, checkpoint: Checkpoint) -> None:
    """Take over the state of a checkpoint. Raises TrainingError where it is of another model."""
    trained = policy.trained()
    if set(trained) != set(checkpoint.weights):
        raise TrainingError("The checkpoint in the output folder is of another model. Choose another folder.")
    put(checkpoint.weights, trained)
    state: Mapping[str, Any] = checkpoint.state
    optimiser, parameters = state["optimiser"], list(trained.values())
    parts = {
        number: {name: part_like(value, parameters[number]) for name, value in known.items()}
        for number, known in optimiser["state"].items()
    }
    policy.optimiser.load_state_dict({**optimiser, "state": parts})
    generators = state["generators"][policy.share.rank % len(state["generators"])]
    torch.set_rng_state(generators["cpu"])
    if policy.base.device.type == "cuda" and "cuda" in generators:
        torch.cuda.set_rng_state(generators["cuda"], policy.base.device)
    policy.micro_batch = state["micro_batch"]
    policy.by_response = state["by_response"]
    policy.tokens_seen = state["tokens_seen"]
