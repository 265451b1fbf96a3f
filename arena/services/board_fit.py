"""From counted votes to the rows of a leaderboard: the rule by which a board is fitted.

Strengths have a normal prior whose spread the votes tell: battles are drawn where they teach most, which
biases maximum likelihood while votes are few. Intervals are widened for repeated voters as soon as
there are enough voters to know how much they differ; before, they are the posterior's.
docs/methods.md says how often such intervals hold.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from arena.services.vote_log import LoggedVote
from ranking import Fit, Votes, fit
from ranking.result import METHOD_VERSION

LEVEL = 0.95
SEED = 0
PRIOR = "estimated"
# With fewer voters the spread between them is known too badly to widen intervals by it.
VOTERS_TO_CLUSTER = 20


def settings_for(
    contestants: Sequence[dict[str, Any]], counted: Sequence[LoggedVote], sources: Sequence[str]
) -> dict[str, Any]:
    """All that a fit is given beside the votes; with it and the log the board can be made again."""
    voters = len({vote.voter for vote in counted})
    return {
        "method_version": METHOD_VERSION,
        "level": LEVEL,
        "seed": SEED,
        "prior": PRIOR,
        "cluster": "voter" if voters >= VOTERS_TO_CLUSTER else None,
        "sources": list(sources),
        "contestants": list(contestants),
    }


def counted_votes(log: Sequence[LoggedVote], out: Collection[int]) -> list[LoggedVote]:
    """The votes that order somebody and were not ruled out."""
    return [vote for vote in log if vote.ranks is not None and vote.id not in out]


def engine_votes(
    contestants: Sequence[dict[str, Any]], counted: Sequence[LoggedVote], **columns: Any
) -> Votes:
    """The votes as the ranking engine takes them, over those contestants that somebody voted on.

    One without votes would tell nothing but its prior, and widen every interval around the board's mean.
    `columns` go to Votes.from_rankings.
    """
    seen = {one for vote in counted for one in vote.group}
    met = [one for one in contestants if one["id"] in seen]
    place = {one["id"]: index for index, one in enumerate(met)}
    weighted = any(vote.weight != 1.0 for vote in counted)
    return Votes.from_rankings(
        [one["name"] for one in met],
        [[place[each] for each in vote.group] for vote in counted],
        [vote.ranks or () for vote in counted],
        voters=[vote.voter for vote in counted],
        weights=[vote.weight for vote in counted] if weighted else None,
        **columns,
    )


def fit_by(settings: dict[str, Any], votes: Votes) -> Fit:
    """The fit that the settings describe."""
    # A board from before there was a rule for the prior was fitted without one where that was possible.
    prior = settings.get("prior", "auto")
    return fit(
        votes,
        prior=prior,
        cluster=settings["cluster"],
        covariance="model" if prior == PRIOR else "sandwich",
        level=settings["level"],
        seed=settings["seed"],
    )


def board_rows(
    fitted: Fit, contestants: Sequence[dict[str, Any]], *, seed: int = SEED
) -> list[dict[str, Any]]:
    """The rows, best first. Those nobody voted on come last, as "new", without rating and rank."""
    by_name = {one["name"]: one for one in contestants}
    rows = []
    for row in fitted.table(seed=seed):
        one = by_name.pop(row.model)
        rows.append({"contestant": one["id"], **asdict(row), "new": False, "retired": one["retired"]})
    unknown = dict.fromkeys(("rating", "lower", "upper", "rank", "rank_lower", "rank_upper"))
    for name, one in by_name.items():
        rows.append(
            {
                "contestant": one["id"],
                "model": name,
                **unknown,
                "votes": 0,
                "new": True,
                "retired": one["retired"],
            }
        )
    return rows
