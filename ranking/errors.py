"""What the ranking engine refuses, said in one sentence each."""

from __future__ import annotations


class BadVotes(ValueError):
    """The votes, or what is asked of them, have no answer. The message is one sentence for a person.

    Where one vote is at fault, `vote` is its position (from 0) and `fault` what is wrong with it, so
    that a file reader can name the line instead.
    """

    def __init__(self, fault: str, *, vote: int | None = None) -> None:
        self.fault = fault
        self.vote = vote
        super().__init__(fault if vote is None else f"Vote {vote} {fault}")
