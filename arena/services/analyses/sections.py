"""The parts of an analysis, each computed by itself from the votes behind a board.

A part that cannot be computed says why by a word, `{"missing": "few_votes"}`; the page has the sentence.
Contestants go by the names they had at that moment, as in the board's rows.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from arena.models import Arena, Contestant, Leaderboard, Prompt
from arena.services import board_fit, leaderboards
from arena.services.analyses.style import COUNTED, style_of
from arena.services.vote_log import LoggedVote
from ranking import Votes
from ranking.context import fit_contexts
from ranking.covariates import effects
from ranking.errors import BadVotes
from ranking.fragility import fragility
from ranking.matchmaking import Posterior
from ranking.matchmaking.stopping import Goal, votes_needed
from ranking.preference import compare_preference, cycles, fit_preference, win_table
from ranking.raters import fit_with_raters
from ranking.result import ELO

Part = dict[str, Any]

# What "settled" asks for: the top and the share of pairs with this probability, intervals of this half-width.
SURE = 0.95
HALF_WIDTH = 50.0
# How far ahead the view looks: a goal beyond is said to be out of reach.
LOOK_AHEAD = 100_000
LEAST_VOTES = 20
LEAST_VOTES_OF_TAG = 20
MOST_TAGS = 12
LEAST_VOTERS = 5
# Beyond these many votes single votes are not walked one by one again and again.
MOST_VOTES_WALKED = 300_000
MOST_PAIRS = 30
MOST_IN_TABLE = 100
# With fewer votes of their own nothing can be held out.
LEAST_VOTES_FOR_CIRCLES = 200


@dataclass(frozen=True)
class Evidence:
    """What every part is computed from."""

    board: Leaderboard
    contestants: list[dict[str, Any]]
    counted: list[LoggedVote]
    votes: Votes

    @property
    def arena(self) -> Arena:
        return self.board.arena


def analyse(
    board: Leaderboard, progress: Callable[[int, str], None] = lambda done, part: None
) -> dict[str, Part]:
    """All parts, by name. `progress` hears how many are done and which comes next."""
    contestants = board.settings["contestants"]
    counted = leaderboards.votes_behind(board)
    evidence = Evidence(board, contestants, counted, board_fit.engine_votes(contestants, counted))
    results = {}
    for done, (name, part) in enumerate(SECTIONS.items()):
        progress(done, name)
        try:
            results[name] = part(evidence) if len(counted) >= LEAST_VOTES else {"missing": "few_votes"}
        except BadVotes as error:
            results[name] = {"missing": "error", "error": str(error)}
    return results


def outlook(evidence: Evidence) -> Part:
    """How many more votes until the top, the intervals and the order are settled.

    Contestants that nobody has voted on are left out: anything may be true of one of them, and that alone
    would be the answer to every question.
    """
    drawable = set(
        Contestant.objects.filter(arena=evidence.arena, retired_at=None, weight__gt=0).values_list(
            "pk", flat=True
        )
    )
    unmet = {row["contestant"] for row in evidence.board.rows if row["new"]}
    new = [one["name"] for one in evidence.contestants if one["id"] in drawable & unmet]
    part = [place for place, one in enumerate(evidence.contestants) if one["id"] in drawable - unmet]
    k = min(evidence.arena.k, len(part))
    if k < 2:
        return {"missing": "few_contestants"}
    posterior = _posterior(evidence, part)
    goals = []
    for goal in Goal.__args__:  # type: ignore[attr-defined]  # Literal's values
        found = votes_needed(
            posterior,
            k,
            np.random.default_rng(board_fit.SEED),
            goal=goal,
            probability=SURE,
            half_width=HALF_WIDTH / ELO.per_unit,
            strategy=evidence.arena.strategy,
            aim="order",
            limit=LOOK_AHEAD,
        )
        reached = found.reached * (ELO.per_unit if goal == "width" else 1.0)
        goals.append({**asdict(found), "reached": reached})
    return {"k": k, "probability": SURE, "half_width": HALF_WIDTH, "goals": goals, "new": new}


def _posterior(evidence: Evidence, part: list[int]) -> Posterior:
    """What the votes say of the contestants `part` that can still be drawn."""
    place = {one["id"]: index for index, one in enumerate(evidence.contestants)}
    whole = Posterior.refit(
        len(place),
        [[place[one] for one in vote.group] for vote in evidence.counted],
        [vote.ranks or () for vote in evidence.counted],
        weights=[vote.weight for vote in evidence.counted],
    )
    among = np.ix_(part, part)
    return replace(
        whole,
        mean=whole.mean[part],
        covariance=whole.covariance[among],
        together=whole.counts[among],
        since=(),
        shown=whole.shown[part],
    )


def fragile(evidence: Evidence) -> Part:
    """The fewest votes that turn rank 1 and each adjacent pair."""
    if len(evidence.counted) > MOST_VOTES_WALKED:
        return {"missing": "many_votes"}
    flips = fragility(evidence.votes, pairs=MOST_PAIRS)
    return {
        "votes": len(evidence.counted),
        "flips": [
            {"ahead": flip.ahead, "behind": flip.behind, "votes": flip.votes, "share": flip.share}
            for flip in flips
        ],
    }


def style(evidence: Evidence) -> Part:
    """The board if all responses were equally long, formatted alike and shown at the same place."""
    columns = style_of(evidence.arena, evidence.counted)
    votes = board_fit.engine_votes(evidence.contestants, evidence.counted, covariates=columns)
    fitted = board_fit.fit_by(evidence.board.settings, votes)
    found = effects(fitted, relative_names=frozenset(COUNTED))
    return {"effects": [asdict(effect) for effect in found], "rows": _rows(evidence, fitted)}


def raters(evidence: Evidence) -> Part:
    """The board with every voter weighed by how far they agree with the others."""
    if len({vote.voter for vote in evidence.counted}) < LEAST_VOTERS:
        return {"missing": "few_voters"}
    if len(evidence.counted) > MOST_VOTES_WALKED:
        return {"missing": "many_votes"}
    found = fit_with_raters(evidence.votes)
    return {
        "voters": len(found.honest),
        "doubted": len(found.suspects()),
        "lapse": float(found.lapse.mean()),
        "rows": _rows(evidence, found.fit),
    }


def _rows(evidence: Evidence, fitted: Any) -> list[Part]:
    rows = board_fit.board_rows(fitted, evidence.contestants)
    kept = ("contestant", "model", "rating", "lower", "upper", "rank", "rank_lower", "rank_upper")
    return [{name: row[name] for name in kept} for row in rows if not row["new"]]


def tags(evidence: Evidence) -> Part:
    """For each tag, how every contestant's rating on its prompts differs from that on the others, shrunk."""
    by_prompt = dict(Prompt.objects.filter(arena=evidence.arena).values_list("id", "tags"))
    tags_of = [set(by_prompt.get(vote.prompt or 0) or ()) for vote in evidence.counted]
    given: dict[str, int] = {}
    for names in tags_of:
        for name in names:
            given[name] = given.get(name, 0) + 1
    enough = {
        name: votes
        for name, votes in given.items()
        if votes >= LEAST_VOTES_OF_TAG and len(tags_of) - votes >= LEAST_VOTES_OF_TAG
    }
    if not enough:
        return {"missing": "few_votes_of_tags" if given else "no_tags"}
    commonest = sorted(enough, key=lambda name: (-enough[name], name))[:MOST_TAGS]
    return {
        "tags": [
            {
                "tag": name,
                "votes": enough[name],
                "rows": _on_tag(evidence.votes, [name in each for each in tags_of]),
            }
            for name in commonest
        ],
        "left_out": len(given) - len(commonest),
    }


def _on_tag(votes: Votes, tagged: list[bool]) -> list[Part]:
    found = fit_contexts(votes, tagged)
    difference, errors = found.difference(True, False)
    reach = 1.959964 * errors
    strengths = found.strengths(True)
    order = np.argsort(-strengths)
    return [
        {
            "model": votes.models[i],
            "rating": ELO.base + ELO.per_unit * float(strengths[i]),
            "difference": ELO.per_unit * float(difference[i]),
            "lower": ELO.per_unit * float(difference[i] - reach[i]),
            "upper": ELO.per_unit * float(difference[i] + reach[i]),
        }
        for i in order.tolist()
    ]


def pairs(evidence: Evidence) -> Part:
    """How often each contestant was preferred to each other one in the same battle; a tie is half."""
    if len(evidence.contestants) > MOST_IN_TABLE:
        return {"missing": "many_contestants"}
    return {"models": list(evidence.votes.models), "wins": win_table(evidence.votes).tolist()}


def circles(evidence: Evidence) -> Part:
    """Whether preference runs in circles, and whether a model that allows them predicts better."""
    if len(evidence.counted) < LEAST_VOTES_FOR_CIRCLES:
        return {"missing": "few_votes"}
    votes = evidence.votes
    found = cycles(votes)
    comparison = compare_preference(votes, seed=board_fit.SEED)
    part: Part = {
        "circles": [{"models": list(cycle.models), "z": cycle.z} for cycle in found[:10]],
        "gain": comparison.gain,
        "se": comparison.se,
        "better": bool(comparison.better),
    }
    if comparison.better:
        shares = fit_preference(votes, seed=board_fit.SEED).unbeatable()
        part["unbeatable"] = [
            {"model": votes.models[i], "share": float(shares[i])}
            for i in np.argsort(-shares).tolist()
            if shares[i] >= 0.01
        ]
    return part


SECTIONS: dict[str, Callable[[Evidence], Part]] = {
    "outlook": outlook,
    "fragility": fragile,
    "style": style,
    "raters": raters,
    "tags": tags,
    "pairs": pairs,
    "circles": circles,
}
