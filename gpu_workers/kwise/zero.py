"""A model that DeepSpeed shares out among the processes of a run (ZeRO), asked for by `accelerate launch
--use_deepspeed`.

Its engine has the gradients, the clipping and the step; torch's AdamW is the optimiser inside, so nothing
needs to be compiled. Checkpoints stay the run's own: whole tensors, which any number of processes go on
from, with or without DeepSpeed. Only a run that is launched so imports this module.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._pytree import tree_leaves

from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.launching import Sharding
from gpu_workers.kwise.optimiser import Remembered
from gpu_workers.kwise.sharding import Gathering

if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
with redirect_stdout(sys.stderr):  # standard output has the run's own lines, and DeepSpeed would log there
    import deepspeed
    from deepspeed.utils import (
        safe_get_full_fp32_param,
        safe_get_full_optimizer_state,
        safe_set_full_fp32_param,
        safe_set_full_optimizer_state,
        safe_set_local_fp32_param,
        safe_set_local_optimizer_state,
    )

Result = TypeVar("Result")

MOMENTS = ("exp_avg", "exp_avg_sq")


class Engine:
    """DeepSpeed's engine around the model: gathers its weights while work is done, and is its optimiser."""

    def __init__(self, model: Any, device: torch.device, sharding: Sharding, config: TrainingConfig) -> None:
        self.device, self.of_weights = device, sharding.of_weights
        settings = settings_of_engine(sharding, config)
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        # On CPUs it would compile an operation of its own to talk by shared memory; gloo does.
        vars(deepspeed.ops)["__compatible_ops__"] = {}
        warnings.filterwarnings("ignore", "`torch.distributed.*is deprecated", FutureWarning)
        deepspeed.init_distributed(dist_init_required=False)
        work = _Working(model)
        if self.of_weights:
            _leave_parts(work, device, settings)
        inside = torch.optim.AdamW(
            self.trained.values(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.engine: Any = deepspeed.initialize(model=work, optimizer=inside, config=settings)[0]

    def __call__(self, work: Callable[[], Result]) -> Result:
        # DeepSpeed switches off the caller's autocast: it is switched on again inside.
        kind = self.device.type
        wanted = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind)

        def inside() -> Result:
            with torch.autocast(kind, dtype=dtype, enabled=wanted, cache_enabled=False):
                return work()

        with torch.autocast(kind, enabled=False):
            found: Result = self.engine(inside)
        return found

    def clear(self) -> None:
        self.engine.optimizer.zero_grad()

    def step(self, rate: float) -> float:
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        self.engine.step()
        # A gradient that is no number is passed over.
        return float(self.engine.get_global_grad_norm()) if self.engine.was_step_applied() else float("nan")

    def values(self, *, keep: bool) -> dict[str, Tensor]:
        found = {}
        for name, parameter in self.trained.items():
            whole = safe_get_full_fp32_param(parameter).detach()
            if keep:
                found[name] = whole.cpu()
        return found

    def remembered(self, *, keep: bool) -> Remembered:
        state = self._state()
        # Without a part of its own a process cannot tell, but all have taken the same steps.
        if not state:
            return {}
        step = next(iter(state.values()))["step"].detach().cpu()
        found: Remembered = {}
        for name, parameter in self.trained.items():
            known = {key: safe_get_full_optimizer_state(parameter, key) for key in MOMENTS}
            if keep:
                found[name] = {"step": step.clone(), **{key: value.cpu() for key, value in known.items()}}
        return found

    def take(self, values: Mapping[str, Tensor], remembered: Remembered) -> None:
        self._put(values)
        for name, value in values.items():
            self._set(self.trained[name], value, None)
        if not remembered:
            return
        self._make_state(next(iter(remembered.values()))["step"])
        for name, known in remembered.items():
            for key in MOMENTS:
                self._set(self.trained[name], known[key], key)

    @contextmanager
    def lent(self, values: Mapping[str, Tensor]) -> Iterator[None]:
        """What the optimiser has of the weights is not touched: they come back from there."""
        try:
            self._put(values)
            yield
        finally:
            for name, parameter in self.trained.items():
                self._put({name: safe_get_full_fp32_param(parameter).detach()})

    def _put(self, values: Mapping[str, Tensor]) -> None:
        """Give the model these weights."""
        for name, value in values.items():
            parameter = self.trained[name]
            with torch.no_grad(), deepspeed.zero.GatheredParameters([parameter], modifier_rank=0):
                parameter.copy_(value)

    def _set(self, parameter: torch.nn.Parameter, value: Tensor, key: str | None) -> None:
        """Give the optimiser its part of a whole tensor: of the parameter, or of what it keeps of it."""
        value = value.to(self.device, torch.float32)
        if not self.of_weights and key is None:
            safe_set_full_fp32_param(parameter, value)
        elif not self.of_weights:
            safe_set_full_optimizer_state(parameter, value, key)
        elif key is None:
            safe_set_local_fp32_param(parameter, _part(parameter, value))
        else:
            safe_set_local_optimizer_state(parameter, _part(parameter, value), key)

    def _flat(self) -> list[Tensor]:
        """The tensors, of many parameters each, that the optimiser inside steps."""
        zero = self.engine.optimizer
        found: list[Tensor] = (
            zero.fp32_partitioned_groups_flat if self.of_weights else zero.single_partition_of_fp32_groups
        )
        return found

    def _state(self) -> dict[Tensor, dict[str, Tensor]]:
        state: dict[Tensor, dict[str, Tensor]] = self.engine.optimizer.optimizer.state
        return state

    def _make_state(self, step: Tensor) -> None:
        """What AdamW makes at its first step, as if `step` were done."""
        for flat in self._flat():
            self._state()[flat] = {
                "step": step.clone().to(flat.device),
                **{key: torch.zeros_like(flat) for key in MOMENTS},
            }
        if not self.of_weights:
            self.engine.optimizer._lazy_init_hp_params_optimizer_state()


class _Working(Gathering):
    """Its outputs' gradients are sums of the processes, where DeepSpeed takes their mean."""

    def forward(self, work: Callable[[], Result]) -> Result:
        found: Result = super().forward(work)
        for value in tree_leaves(found):
            if isinstance(value, Tensor) and value.requires_grad:
                value.register_hook(lambda slope: slope * dist.get_world_size())
        return found


def settings_of_engine(sharding: Sharding, config: TrainingConfig) -> dict[str, Any]:
    """DeepSpeed's configuration for a run."""
    return {
        "train_micro_batch_size_per_gpu": 1,  # it counts nothing here
        "managed_gradient_accumulation": False,  # a step is a step, after as many passes as there were
        "gradient_clipping": config.max_grad_norm,
        "zero_force_ds_cpu_optimizer": False,  # that one would be compiled
        # It would put an operation of its own in the place of torch's, for all models.
        "zero_optimization": {**sharding.zero, "stage": sharding.stage, "memory_efficient_linear": False},
    }


def _leave_parts(work: Gathering, device: torch.device, settings: dict[str, Any]) -> None:
    """Share the weights out one after the other, so that the device need not hold them all."""
    deepspeed.zero.Init(module=work, config_dict_or_path=settings, dtype=torch.float32)
    for buffer in work.buffers():
        buffer.data = buffer.data.to(device)
    model: Any = work.model
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    # The head is read outside of its own module (head.py).
    for parameter in plain.get_output_embeddings().parameters():
        deepspeed.zero.register_external_parameter(work, parameter)


def _part(parameter: Any, value: Tensor) -> Tensor:
    """This process's part of a whole tensor, with the padding behind the last."""
    size = parameter.ds_tensor.numel()
    flat = torch.nn.functional.pad(value.flatten(), (0, size * dist.get_world_size() - value.numel()))
    return flat[dist.get_rank() * size :][:size]
