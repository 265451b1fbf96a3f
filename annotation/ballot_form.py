"""From the fields of the voting form to an answer, and back to a form that lost nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from arena.errors import BadBallot

SKIP_REASONS = (
    "I do not know the subject",
    "The prompt is unclear",
    "The responses are too alike",
    "Something is not shown properly",
    "Another reason",
)


def answer_in(form: Mapping[str, str], tokens: Sequence[str]) -> dict[str, Any]:
    """The answer in the words of `Ballot.parse`, from the pressed button and the ranks by slot token.

    Raises BadBallot where no button's name came along, or a slot is not of this battle.
    """
    if "best" in form:
        if form["best"] not in tokens:
            raise BadBallot("The response you chose is not of this battle. Reload the page and choose again.")
        return {"best": tokens.index(form["best"])}
    answer = form.get("answer")
    if answer == "all_bad":
        return {"all_bad": True}
    if answer == "skip":
        return {"skip": form.get("skip_reason") or SKIP_REASONS[-1]}
    if answer == "rank":
        ranks = [_rank(form.get(f"rank-{token}")) for token in tokens]
        missing = [chr(ord("A") + place) for place, rank in enumerate(ranks) if rank is None]
        if missing:
            raise BadBallot(
                f"Give every response a rank: {', '.join(missing)} "
                f"{'have' if len(missing) > 1 else 'has'} none yet. Equal ranks are ties."
            )
        return {"ranks": ranks}
    raise BadBallot("Nothing was chosen. Rank the responses, or press one of the other buttons.")


def chosen_ranks(form: Mapping[str, str], tokens: Sequence[str]) -> list[int | None]:
    """The ranks that were filled in, to show them again."""
    return [_rank(form.get(f"rank-{token}")) for token in tokens]


def active_ms(form: Mapping[str, str]) -> int | None:
    value = form.get("active_ms", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None


def _rank(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 4 else None
