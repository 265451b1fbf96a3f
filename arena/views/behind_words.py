"""The sentences of the page behind the ratings: numbers of the services turned into words."""

from collections.abc import Mapping
from typing import Any

from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from arena.models import Arena, Leaderboard, Vote
from arena.services.analyses import Analysed, Comparison

Part = Mapping[str, Any]


def state_of(analysed: Analysed) -> str:
    """Names what the page shows, so that a reload of its fragment can be spared."""
    return f"{analysed.analysis.pk if analysed.analysis else 0}-{int(analysed.job is not None)}"


def percent(share: float) -> str:
    """A probability as a reader wants it: never a rounded 0 or 100 %."""
    if share > 0.995:
        return "> 99 %"
    return "< 1 %" if share < 0.005 else f"{round(100 * share)} %"


def choose_two() -> str:
    return _("Choose two different contestants.")


def votes_since(arena: Arena, board: Leaderboard, analysed: Analysed) -> str:
    """How far the analysis is behind the board; empty where it is not."""
    if analysed.analysis is None or analysed.current:
        return ""
    new = Vote.objects.filter(
        arena=arena, id__gt=analysed.analysis.last_vote, id__lte=board.last_vote
    ).count()
    if not new:
        return _("The contestants or the votes that count have changed since.")
    return ngettext("%(number)s vote has come in since.", "%(number)s votes have come in since.", new) % {
        "number": intcomma(new)
    }


def missing(part: Part) -> str:
    """Why a part of the analysis is not there; empty where it is."""
    sentences = {
        "few_votes": _("There are too few votes for this."),
        "few_voters": _("There are too few voters for this: it takes five."),
        "few_contestants": _("It takes two contestants that can still be drawn."),
        "many_votes": _("There are too many votes to go through one by one."),
        "many_contestants": _("There are too many contestants for a table."),
        "no_tags": _("No prompt of this arena has a tag."),
        "few_votes_of_tags": _("No tag has enough votes with it and without it: it takes 20 of each."),
        "error": _("This could not be computed: %(reason)s") % {"reason": part.get("error", "")},
    }
    return sentences.get(part.get("missing", ""), "")


def outlook(part: Part | None) -> list[dict[str, Any]]:
    """For each goal: a heading, whether it is met, and a sentence on how many votes it still takes."""
    if not part or "goals" not in part:
        return []
    sure = round(100 * part["probability"])
    said = []
    for goal in part["goals"]:
        name, reached = goal["goal"], goal["reached"]
        if name == "top":
            title = _("The best contestant is known (with %(sure)s %% certainty)") % {"sure": sure}
            now = _("Certainty now: %(reached)s.") % {"reached": percent(reached)}
        elif name == "width":
            title = _("Every rating is known within ± %(points)s points") % {
                "points": round(part["half_width"])
            }
            now = _("The least known now: ± %(points)s points.") % {"points": round(reached)}
        else:
            title = _("%(sure)s %% of all pairs are in the right order") % {"sure": sure}
            now = _("Expected now: %(reached)s.") % {"reached": percent(reached)}
        said.append({"title": title, "met": goal["met"], "sentence": _still_needed(goal), "now": now})
    return said


def left_out(part: Part | None) -> str:
    """Who the outlook does not speak of; empty where it speaks of all that can be drawn."""
    new = part.get("new", []) if part else []
    if not new:
        return ""
    return ngettext(
        "%(number)s new contestant is left out: nobody has voted on it yet.",
        "%(number)s new contestants are left out: nobody has voted on them yet.",
        len(new),
    ) % {"number": intcomma(len(new))}


def _still_needed(goal: Part) -> str:
    if goal["met"]:
        return _("Reached.")
    limit = intcomma(goal["limit"])
    if goal["votes"] is None:
        return _("Probably not within %(limit)s more votes: some are too close to each other.") % {
            "limit": limit
        }
    about = ngettext("About %(number)s more vote", "About %(number)s more votes", goal["votes"]) % {
        "number": intcomma(goal["votes"])
    }
    if goal["low"] == goal["high"]:
        return f"{about}."
    high = intcomma(goal["high"]) if goal["high"] is not None else _("more than %(limit)s") % {"limit": limit}
    span = _("probably between %(low)s and %(high)s") % {"low": intcomma(goal["low"]), "high": high}
    return f"{about}, {span}."


def effects(part: Part | None) -> list[dict[str, Any]]:
    """What style is worth: in words, in points and whether it is beyond chance."""
    if not part or "effects" not in part:
        return []
    names = {
        "length": _("A response twice as long as the other"),
        "headings": _("Twice as many headings"),
        "lists": _("Twice as many list items"),
        "bold": _("Twice as many bold words"),
        "code": _("Twice as many code blocks"),
        "position": _("Shown last and not first"),
    }
    said = []
    for effect in part["effects"]:
        if effect["twice"] is not None:
            points, lower, upper = effect["twice"], effect["twice_lower"], effect["twice_upper"]
        else:
            scale = effect["unit"] / effect["typical"] if effect["typical"] else 1.0
            points, lower, upper = (scale * effect[end] for end in ("typical", "lower", "upper"))
        said.append(
            {
                "name": names.get(effect["name"], effect["name"]),
                "points": f"{points:+.0f}",
                "interval": _("%(lower)s to %(upper)s")
                % {"lower": f"{lower:+.0f}", "upper": f"{upper:+.0f}"},
                "clear": lower > 0 or upper < 0,
            }
        )
    return said


def other_boards(board: Leaderboard, results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The published rating of each contestant beside those that other ways of counting give."""
    found = {
        name: {row["contestant"]: row for row in results.get(name, {}).get("rows", [])}
        for name in ("style", "raters")
    }
    if not any(found.values()):
        return []
    return [
        {"published": row, **{name: rows.get(row["contestant"]) for name, rows in found.items()}}
        for row in board.rows
        if not row["new"]
    ]


def comparison(found: Comparison) -> dict[str, Any]:
    """Two contestants in sentences."""
    names = {"ahead": found.ahead, "behind": found.behind}
    met = ""
    if found.met is not None and found.won is not None:
        met = _("They met in %(met)s battles; %(ahead)s was preferred in %(won)s (a tie is half).") % {
            **names,
            "met": f"{found.met:g}",
            "won": f"{found.won:g}",
        }
        if not found.met:
            met = _("They never met in one battle: all is known through the others.")
    return {
        **names,
        "order": _("The votes are %(sure)s sure that %(ahead)s is better than %(behind)s.")
        % {**names, "sure": percent(found.sure)},
        "gap": _("%(points)s points apart, between %(lower)s and %(upper)s.")
        % {"points": f"{found.gap:.0f}", "lower": f"{found.lower:.0f}", "upper": f"{found.upper:.0f}"},
        "wins": _("%(ahead)s is expected to win %(share)s of votes on the two, ties left out.")
        % {**names, "share": percent(found.wins)},
        "met": met,
    }


METHODS = {
    "bradley-terry": "Bradley–Terry",
    "plackett-luce": "Plackett–Luce",
    "davidson": gettext_lazy("Davidson's model of ties, for any number of responses"),
    "elo": "Elo",
}


# The engine's words, which know no languages, as a reader's.
PRIORS = {
    "none": gettext_lazy("none"),
    "firth": "Firth",
    "ghost (0.5 won and lost each)": gettext_lazy("half a win and half a loss for each, against a ghost"),
    "the method's own": gettext_lazy("the method's own"),
}
INTERVALS = {
    "sandwich": gettext_lazy("sandwich"),
    "model": gettext_lazy("of the model"),
    "clustered by voter": gettext_lazy("clustered by voter"),
    "clustered by prompt": gettext_lazy("clustered by prompt"),
    "clustered by voter and prompt": gettext_lazy("clustered by voter and prompt"),
    "sandwich over battles": gettext_lazy("sandwich over battles"),
    "the step's wander": gettext_lazy("how far the step lets a rating wander"),
    "the method's own, no correlations": gettext_lazy("the method's own, without correlations"),
}
SOURCES = {
    "person": gettext_lazy("people"),
    "imported": gettext_lazy("files"),
    "judge": gettext_lazy("language models"),
    "simulated": gettext_lazy("simulations"),
    "adjudicated": gettext_lazy("adjudicators"),
}


def in_words(known: Mapping[str, Any], word: str) -> str:
    """The engine's word in the reader's language; one that is not known stays as it is."""
    return str(known.get(word, word))


def prior_name(word: str) -> str:
    if word.startswith("normal (sd "):
        spread = number_format(word.removeprefix("normal (sd ").rstrip(")"))
        return _("normal, with a standard deviation of %(spread)s") % {"spread": spread}
    return in_words(PRIORS, word)


def method_name(board: Leaderboard) -> str:
    return str(METHODS.get(board.method, board.method))


def method(board: Leaderboard) -> dict[str, Any]:
    """How the board was fitted, for somebody who wants to do it again."""
    fit, settings = board.fit, board.settings
    return {
        "name": method_name(board),
        "version": settings.get("method_version", ""),
        "prior": prior_name(fit.get("prior", "")),
        "intervals": in_words(INTERVALS, fit.get("intervals", "")),
        "sources": ", ".join(in_words(SOURCES, kind) for kind in settings.get("sources", [])),
        "converged": fit.get("converged", False),
        "log_likelihood": fit.get("log_likelihood", 0.0),
    }
