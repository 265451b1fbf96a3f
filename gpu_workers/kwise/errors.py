class TrainingError(Exception):
    """The run cannot go on. Its text is one sentence or two for the user: what happened, what to do."""


class ShortOfMemory(TrainingError):
    """A process of those that share the model has no memory left, in the middle of a pass."""

    def __init__(self, then: str = "Set micro_batch, gradient_checkpointing or gradient_cache.") -> None:
        super().__init__(f"Memory ran out in one of the processes that share the model. {then}")


class Stopped(Exception):
    """The run was asked to end; what it had reached is saved."""
