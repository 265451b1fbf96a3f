"""The model of a run with all that is trained on it."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.models import Base, add_lora, open_base
from gpu_workers.kwise.objectives import Objective
from gpu_workers.kwise.reward_model import add_reward_head
from gpu_workers.kwise.sharding import put


def open_trainable(config: TrainingConfig, objective: Objective, *, in_main_memory: bool = False) -> Base:
    """The base, with an adapter or a reward head where the run trains one. The same seed gives the same."""
    torch.manual_seed(config.seed)
    base = open_base(config, in_main_memory=in_main_memory)
    if config.method != "full":
        add_lora(base, config)
    if objective.head:
        add_reward_head(base, objective, config.seed)
    return base


def open_trained(config: TrainingConfig, objective: Objective, weights: Mapping[str, Tensor]) -> Base:
    """The same in main memory with the trained `weights`, whole: after it was shared out, or with its adapter
    on all the bits of the base, where it was trained on four of each weight.
    """
    method = "lora" if config.method == "qlora" else config.method
    base = open_trainable(replace(config, device="cpu", method=method), objective)
    put(weights, {name: p for name, p in base.model.named_parameters() if name in weights})
    return base
