"""Battles that somebody beside the arena keeps: a campaign counts what its annotators answer.

`Battle.channel` is "kind:id"; whoever gives out such battles registers a keeper for its kind
(annotation/apps.py), and the services here tell it in the same transaction. So a vote follows the
same rules by whatever door it comes: the campaign's page, the API, the voting page.
"""

from functools import cache
from typing import Protocol

from django.utils.module_loading import import_string

from arena.models import Battle, Vote, Voter, VoteRuling


class Keeper(Protocol):
    """What the keeper of one kind of channel is asked and told."""

    tells: bool  # whether the names may be shown after the vote, where the arena shows them

    def check(self, *, battle: Battle, voter: Voter) -> None:
        """Raise an ArenaError where this voter may not answer this battle now. Outside transactions."""

    def voted(self, *, vote: Vote) -> None:
        """A vote was stored; raising an ArenaError takes it back."""

    def ruled(self, *, ruling: VoteRuling) -> None:
        """A vote went out of the count or came back into it."""

    def served_again(self, *, old: Battle, new: Battle) -> None:
        """The voter took the vote on `old` back and answers the same slots again in `new`."""


_paths: dict[str, str] = {}


def register(kind: str, path: str) -> None:
    """Name the class that keeps the channels of this kind. It is imported when it is first asked."""
    _paths[kind] = path


def keeper_of(battle: Battle) -> Keeper | None:
    """The keeper of the battle's channel; None for free voting and for kinds that need none."""
    return _keeper(battle.channel.partition(":")[0])


def may_tell(battle: Battle) -> bool:
    """Whether this battle's names may be shown after the vote, as far as its keeper is concerned."""
    keeper = keeper_of(battle)
    return keeper is None or keeper.tells


def served_again(*, old: Battle, new: Battle) -> None:
    """Call in the transaction that stores `new` in place of `old`."""
    keeper = keeper_of(old)
    if keeper is not None:
        keeper.served_again(old=old, new=new)


@cache
def _keeper(kind: str) -> Keeper | None:
    path = _paths.get(kind)
    keeper: Keeper | None = import_string(path)() if path else None
    return keeper
