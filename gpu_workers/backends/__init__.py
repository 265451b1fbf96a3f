"""Where responses come from: a checkpoint on this machine, or an endpoint that speaks OpenAI's protocol."""

from collections.abc import Sequence

from arena.outbound import Rules
from gpu_workers.backends.base import (
    Backend,
    BackendError,
    ContestantSpec,
    GenerationRequest,
    GenerationResult,
    Sampling,
)

__all__ = [
    "Backend",
    "BackendError",
    "ContestantSpec",
    "GenerationRequest",
    "GenerationResult",
    "Sampling",
    "open_backend",
]


def open_backend(spec: ContestantSpec, *, hosts: Rules | Sequence[str] = ()) -> Backend:
    """The backend of a contestant, ready to generate.

    `hosts` are those that an endpoint may live on, "*" for every public one, or whole rules. Loads torch
    only for a checkpoint. Raises BackendError.
    """
    if spec.backend == "transformers":
        from gpu_workers.backends.checkpoint import CheckpointBackend

        return CheckpointBackend(spec)
    if spec.backend == "openai":
        from gpu_workers.backends.endpoint import EndpointBackend

        return EndpointBackend(spec, hosts=hosts)
    if spec.backend == "custom":
        from gpu_workers.backends.custom import CustomBackend

        return CustomBackend(spec, hosts=hosts)
    raise BackendError(f"No worker runs a contestant of the backend {spec.backend!r}.")
