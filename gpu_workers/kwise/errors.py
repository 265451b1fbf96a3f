class TrainingError(Exception):
    """The run cannot go on. Its text is one sentence or two for the user: what happened, what to do."""


class Stopped(Exception):
    """The run was asked to end; what it had reached is saved."""
