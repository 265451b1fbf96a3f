"""What can go wrong in the domain, in sentences a user can act on. Their HTTP status: arena/api/errors.py."""


class ArenaError(Exception):
    """A rule of the domain was not met. Its text is shown to the user as it is."""


class NotFound(ArenaError):
    """There is no such thing, or not for this user."""


class NotAllowed(ArenaError):
    """This user may not do this."""


class SignInNeeded(NotAllowed):
    """The arena is closed and nobody is signed in."""


class NotEnoughResponses(ArenaError):
    """No prompt has enough responses, that this voter has not seen, for a battle."""


class AllSeen(NotEnoughResponses):
    """There are responses, but this voter has seen too many of them for another battle."""


class BattleClosed(ArenaError):
    """The battle has ended without this vote."""


class PlaceTaken(BattleClosed):
    """The time for this battle ran out and somebody else has judged it. The work is credited."""


class AlreadyVoted(ArenaError):
    """This voter has voted on this battle."""


class TooLate(ArenaError):
    """A vote cannot be taken back any more."""


class TooMany(ArenaError):
    """More than one voter, or all of them, may ask for in this time."""


class ConsentNeeded(NotAllowed):
    """The arena asks something of the voter before the first battle. `survey` is its number."""


class NotYourBattle(NotAllowed):
    """The battle was served to somebody else."""


class BadBallot(ArenaError):
    """The answer does not fit the battle: ranks out of range, a best slot that is not there."""


class BadInput(ArenaError):
    """A value given by the user cannot be used."""


class BadRow(BadInput):
    """A row of an imported file cannot be used. `line` is its number in the file, from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"Line {line}: {reason} Nothing was imported.")
        self.line = line
        self.reason = reason


class JobLost(ArenaError):
    """The lease of this attempt is gone: another worker has the job, or it was cancelled."""
