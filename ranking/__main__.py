"""python -m ranking FILE: a leaderboard from a file of votes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranking.covariance import CLUSTERS
from ranking.covariates import Effect, effects
from ranking.errors import BadVotes
from ranking.files import STYLES, read_votes
from ranking.fitting import COVARIANCES, MODELS, fit
from ranking.fragility import Flip, fragility
from ranking.online import ONLINE_MODELS
from ranking.plot import board_svg
from ranking.prior import PRIORS
from ranking.result import ELO, LOG_ODDS, Fit, Row, Scale
from ranking.votes import Votes

# Votes a voter or prompt has on average before the board says that they are not independent.
REPEATED = 3

EXAMPLES = """\
FILE is .jsonl, .json, .csv or .parquet, with one vote a line, also LMArena's releases as they are:
  {"model_a": "ada", "model_b": "bob", "winner": "model_a"}      model_a, model_b, tie or both_bad
  {"models": ["ada", "bob", "cat"], "ranks": [1, 2, 2]}          1 is best, equal is tied, null is unranked
or a row of a K-wise data set, whose responses name their contestants.
Each may carry weight, voter, prompt, and style columns that sway votes beside quality:
  style_length_a and style_length_b, or style_length for a minus b; for rankings a list.

how to read the board:
  rating   400 points more are odds of 10 to 1 to win a vote, 100 points 64 to 36; only differences count
  95 %     the interval of the rating beside the others' mean
  range    the places that each may truly have: with 95 % probability all ranges hold at once
           (so they are wide, and two whose ranges overlap are not told apart)
  Warning  who has never lost or won, who is not connected, what was left out

models:
  davidson, plackett-luce, bradley-terry    fitted to all votes at once: what a board should publish.
           Ties have a strength of their own, are left to chance, or are half a win each.
  elo, glicko, trueskill, thurstone, openskill, ksort, ksort-trueskill
           one vote after the other, so that their order counts; to compare with boards made so

examples:
  python -m ranking votes.jsonl
  python -m ranking votes.csv --cluster both --plot board.svg     people who vote often, prompts seen often
  python -m ranking votes.parquet --model bradley-terry --json    ties as half a win each
  python -m ranking arena.parquet --style lmarena                 LMArena's style control
  python -m ranking votes.jsonl --prior estimated --cluster voter as an arena's leaderboard is fitted
  python -m ranking votes.jsonl --fragility                       how few votes decide
  python -m ranking votes.jsonl --log-odds --prior none           maximum likelihood, natural logs
docs/methods.md states every formula, what it assumes and when not to use it.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the leaderboard; 0 when done, 2 with one sentence on bad input."""
    options = _parser().parse_args(arguments)
    try:
        anchor = _anchor(options.anchor)
        read = read_votes(options.file, style=options.style, all_bad=options.both_bad)
        found = fit(
            read.votes,
            model=options.model,
            cluster=options.cluster,
            prior=options.prior,
            covariance=options.covariance,
            level=options.level,
            seed=options.seed,
        )
        rows = found.table(LOG_ODDS if options.log_odds else ELO, seed=options.seed, anchor=anchor)
        flips = _flips(read.votes, options.model) if options.fragility else []
    except BadVotes as error:
        print(error, file=sys.stderr)
        return 2
    style = effects(found, LOG_ODDS if options.log_odds else ELO, read.relative)
    if options.plot:
        try:
            options.plot.write_text(board_svg(rows, level=found.level), encoding="utf-8")
        except OSError as error:
            print(f"{options.plot} cannot be written: {error.strerror or error}.", file=sys.stderr)
            return 2
    if options.json:
        print(
            json.dumps(
                as_json(found, rows, style, flips, log_odds=options.log_odds), indent=2, ensure_ascii=False
            )
        )
    else:
        print(as_text(found, rows, style, flips, log_odds=options.log_odds))
        if hint := _hint(read.votes, found):
            print(hint)
    return 0


def _hint(votes: Votes, found: Fit) -> str:
    """Where people or prompts come again and again, but the intervals count every vote as independent."""
    if found.covariance_kind not in ("sandwich", "model") or found.method in ONLINE_MODELS:
        return ""
    again = {
        name: len(codes) / len(np.unique(codes))
        for name, codes in (("voter", votes.voters), ("prompt", votes.prompts))
        if codes is not None and len(codes) >= REPEATED * len(np.unique(codes))
    }
    if not again:
        return ""
    often = " and ".join(f"each {name} comes {times:.0f} times" for name, times in again.items())
    cluster = "both" if len(again) == 2 else next(iter(again))
    return f"Hint: {often} on average; the intervals are too narrow unless you add --cluster {cluster}."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ranking",
        description="A leaderboard from a file of votes, with intervals, rank ranges and warnings.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="votes as .jsonl, .json, .csv or .parquet")
    add(
        "--model",
        choices=MODELS,
        metavar="MODEL",
        help="see below; without it the votes decide (ties: davidson)",
    )
    add("--json", action="store_true", help="print one JSON object in place of the table")
    add("--log-odds", action="store_true", help="natural-log strengths, mean zero, with standard errors")
    add("--cluster", choices=CLUSTERS, help="widen the intervals for repeated voters, prompts or both")
    add("--prior", choices=PRIORS, default="auto", help="auto: ghost votes where ratings would be infinite")
    add("--covariance", choices=COVARIANCES, default="sandwich", help="sandwich is the default")
    add("--level", type=float, default=0.95, help="of the intervals, 0.95 by default")
    add("--both-bad", choices=("omit", "tie"), default="omit", help="votes that all are bad: omit, or tie")
    add("--style", choices=STYLES, default="columns", help="what to control for; lmarena: conv_metadata")
    add("--anchor", metavar="MODEL=RATING", help="shift the board so that MODEL has RATING")
    add("--seed", type=int, default=0, help="of the draws behind the rank ranges")
    add("--fragility", action="store_true", help="also say how few votes, taken away, turn a pair")
    add("--plot", type=Path, metavar="FILE.svg", help="also draw the board")
    return parser


def _anchor(text: str | None) -> tuple[str, float] | None:
    if text is None:
        return None
    model, _, rating = text.rpartition("=")
    try:
        return model, float(rating)
    except ValueError:
        raise BadVotes(f"--anchor {text} is not MODEL=RATING, such as ada=1000.") from None


def _flips(votes: Votes, model: str | None) -> list[Flip]:
    if model in ONLINE_MODELS:
        raise BadVotes(f"--fragility refits the votes, and {model} has no fit; leave --model out.")
    return fragility(votes, model=model)


def as_json(
    found: Fit, rows: Sequence[Row], style: Sequence[Effect], flips: Sequence[Flip] = (), *, log_odds: bool
) -> dict[str, Any]:
    """The object that --json prints."""
    errors = dict(zip(found.models, found.standard_errors.tolist(), strict=True))
    board = []
    for row in rows:
        record = dict(vars(row))
        if log_odds:
            record = {"model": row.model, "strength": row.rating, "se": errors[row.model]} | {
                key: value for key, value in record.items() if key not in ("model", "rating")
            }
        board.append(record)
    return {
        "leaderboard": board,
        "method": found.method,
        "method_version": found.method_version,
        "prior": found.prior,
        "covariance": found.covariance_kind,
        "scale": _scale_words(LOG_ODDS if log_odds else ELO),
        "level": found.level,
        "log_likelihood": found.log_likelihood,
        "converged": found.converged,
        "iterations": found.iterations,
        "ties": {str(size): {"log_strength": tie.value, "se": tie.se} for size, tie in found.ties.items()},
        "effects": [vars(effect) for effect in style],
        "fragility": [
            {"ahead": flip.ahead, "behind": flip.behind, "votes": flip.votes, "share": flip.share}
            for flip in flips
        ],
        "warnings": list(found.warnings),
    }


def _scale_words(scale: Scale) -> str:
    if scale is LOG_ODDS:
        return "natural-log odds, mean 0"
    return "Elo-like: 400 points are odds of 10 to 1, mean 1000"


def as_text(
    found: Fit, rows: Sequence[Row], style: Sequence[Effect], flips: Sequence[Flip] = (), *, log_odds: bool
) -> str:
    """The table that is printed without --json."""
    errors = dict(zip(found.models, found.standard_errors.tolist(), strict=True))
    percent = f"{100 * found.level:g} %"
    head = (
        ["rank", "range", "model", "strength", "se"]
        if log_odds
        else ["rank", "range", "model", "rating", percent]
    )
    lines = [[*head, "votes"]]
    for row in rows:
        places = f"{row.rank_lower}-{row.rank_upper}"
        if log_odds:
            numbers = [f"{row.rating:.4f}", f"{errors[row.model]:.4f}"]
        else:
            numbers = [f"{row.rating:.0f}", f"{row.lower:.0f} to {row.upper:.0f}"]
        lines.append([str(row.rank), places, row.model, *numbers, str(row.votes)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    printed = [
        "  ".join(
            cell.ljust(width) if place == 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*printed, "", *_notes(found, style, log_odds=log_odds), *map(_flip_words, flips)])


def _flip_words(flip: Flip) -> str:
    if flip.votes is None or flip.share is None:
        return f"Even without half of the votes {flip.ahead} stays ahead of {flip.behind}."
    votes = "1 vote" if flip.votes == 1 else f"{flip.votes} votes"
    return f"Without {votes} ({flip.share:.2%}) {flip.behind} would be ahead of {flip.ahead}."


def _notes(found: Fit, style: Sequence[Effect], *, log_odds: bool) -> list[str]:
    scale = LOG_ODDS if log_odds else ELO
    notes = [
        f"Method: {found.method}; prior: {found.prior}; intervals: {found.covariance_kind}. "
        f"Scale: {_scale_words(scale)}.",
        f"Log-likelihood {found.log_likelihood:.3f}, "
        + (f"converged in {found.iterations} iterations." if found.converged else "not converged."),
    ]
    for size, tie in found.ties.items():
        line = f"Ties of {size}: log strength {tie.value:.3f} (se {tie.se:.3f})"
        if size == 2:  # Davidson: nu / (2 + nu) between equals
            line += f"; two equals tie in {np.exp(tie.value) / (2.0 + np.exp(tie.value)):.0%} of their votes"
        notes.append(line + ".")
    digits = 3 if log_odds else 1
    for effect in style:
        line = (
            f"Style {effect.name}: {effect.typical:+.{digits}f} at a typical difference "
            f"({effect.lower:+.{digits}f} to {effect.upper:+.{digits}f})"
        )
        if effect.twice is not None:
            line += (
                f"; twice as much gains {effect.twice:+.{digits}f} "
                f"({effect.twice_lower:+.{digits}f} to {effect.twice_upper:+.{digits}f})"
            )
        notes.append(line + ".")
    return notes + [f"Warning: {warning}" for warning in found.warnings]


if __name__ == "__main__":
    sys.exit(main())
