"""From the fields of the voting form to an answer and its details, and back to the fields of an answer."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from arena.errors import BadBallot
from arena.models import Vote
from arena.services import passages
from arena.services.details import LETTERS
from arena.services.judgement import Criterion, Judgement

SKIP_REASONS = (
    gettext_noop("I do not know the subject"),
    gettext_noop("The prompt is unclear"),
    gettext_noop("The responses are too alike"),
    gettext_noop("Something is not shown properly"),
    gettext_noop("Another reason"),
)
NO_DIFFERENCE = "none"
# Not of the answer: what belongs to one sending of the form, or is kept elsewhere.
PASSING = (
    "csrfmiddlewaretoken",
    "idempotency_key",
    "active_ms",
    "timing",
    "battle",
    "home",
    "answer",
    "best",
)
MARK = re.compile(r"([\w-]{1,32}):(good|bad):(\d{1,7}):(\d{1,7})(?::(.*))?", re.DOTALL)

Blind = Mapping[str, Any]
Fields = MultiValueDict[str, str]


def answer_in(form: Fields, blind: Blind, asked: Judgement) -> dict[str, Any]:
    """The answer in the words of `Ballot.parse`, by the button that was pressed.

    Raises BadBallot where no button's name came along, or a slot is not of this battle.
    """
    tokens = tokens_of(blind)
    if "best" in form:
        return {"best": _place(form.get("best") or "", tokens)}
    answer = form.get("answer")
    if answer == "all_bad":
        return {"all_bad": True}
    if answer == "skip":
        return {"skip": form.get("skip_reason") or SKIP_REASONS[-1]}
    if answer == "best":
        picked = form.get("pick")
        if not picked:
            raise BadBallot(_("Choose the best response first."))
        return {"best": _place(picked, tokens)}
    if answer == "strength":
        strength = _number(form.get("strength"))
        if strength is None:
            raise BadBallot(_("Say how much better one response is. Nothing is chosen yet."))
        return {"strength": strength}
    if answer == "rank":
        return {"ranks": _ranks(form, tokens)}
    raise BadBallot(_("Nothing was chosen. Rank the responses, or press one of the other buttons."))


def details_in(form: Fields, blind: Blind, asked: Judgement) -> dict[str, Any]:
    """What was filled in beside the order, in the words of the API. Raises BadBallot."""
    whole = form.get("answer") not in ("all_bad", "skip")
    found: dict[str, Any] = {
        "criteria": {
            one.key: value
            for one in asked.criteria
            if (value := _criterion(form, one, tokens_of(blind), whole)) is not None
        },
        "confidence": _number(form.get("confidence")) if form.get("confidence") else None,
        "reason": {"tags": form.getlist("tag"), "text": form.get("reason") or ""},
        "spans": _spans(form, blind) if asked.spans else [],
        "parts": _parts(form, tokens_of(blind), asked),
        "rewrite": _rewrite(form, tokens_of(blind)),
        "timing": _timing(form.get("timing")),
    }
    return {name: value for name, value in found.items() if value}


def tokens_of(blind: Blind) -> list[str]:
    return [slot["token"] for slot in blind["slots"]]


def active_ms(form: Fields) -> int | None:
    value = form.get("active_ms") or ""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None


def guidelines_number(form: Fields) -> int | None:
    number = _number(form.get("guidelines"))
    return number if number and number > 0 else None


def kept_fields(form: Fields) -> dict[str, list[str]]:
    """The fields worth keeping as a draft."""
    return {name: values for name, values in form.lists() if name not in PASSING and any(values)}


def fields_of(vote: Vote, tokens: Sequence[str]) -> dict[str, list[str]]:
    """The fields of a form that would give this vote, on slots of these tokens: to fill it in again."""
    details = vote.details
    found: dict[str, list[str]] = {}
    if vote.kind == Vote.Kind.BEST and vote.ranks:
        found["pick"] = [tokens[vote.ranks.index(1)]]
    elif "strength" in details and vote.ranks:
        sign = {(1, 1): 0, (1, 2): -1, (2, 1): 1}[tuple(vote.ranks)]
        found["strength"] = [str(sign * details["strength"])]
    elif vote.ranks:
        found |= {f"rank-{token}": [str(rank)] for token, rank in zip(tokens, vote.ranks, strict=True)}
    for key, judged in details.get("criteria", {}).items():
        found |= _criterion_fields(key, judged, tokens)
    if "confidence" in details:
        found["confidence"] = [str(details["confidence"])]
    reason = details.get("reason", {})
    found |= {"tag": reason.get("tags", []), "reason": [reason.get("text", "")]}
    found["mark"] = [
        f"{tokens[one['slot']]}:{one['label']}:{one['start']}:{one['end']}"
        for one in details.get("spans", [])
    ]
    for part in details.get("parts", []):
        if "label" in part:
            found[f"part-{tokens[part['slot']]}-{part['part']}"] = [part["label"]]
        else:
            best = part["best"]
            found[f"part-{part['part']}"] = [NO_DIFFERENCE if best is None else tokens[best]]
    if "rewrite" in details:
        found |= {
            "rewrite": [details["rewrite"]["text"]],
            "rewrite_of": [tokens[details["rewrite"]["slot"]]],
        }
    return {name: values for name, values in found.items() if any(values)}


def _criterion_fields(key: str, judged: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, list[str]]:
    values = judged.get("scores") or judged["ranks"]
    found = {
        f"c-{key}-{token}": [str(value)]
        for token, value in zip(tokens, values, strict=True)
        if value is not None
    }
    best = [token for token, rank in zip(tokens, judged["ranks"], strict=True) if rank == 1]
    return {**found, f"c-{key}": best if len(best) == 1 else [NO_DIFFERENCE]}


def _place(token: str, tokens: Sequence[str]) -> int:
    if token not in tokens:
        raise BadBallot(_("The response you chose is not of this battle. Reload the page and choose again."))
    return tokens.index(token)


def _ranks(form: Fields, tokens: Sequence[str]) -> list[int | None]:
    ranks = [_number(form.get(f"rank-{token}")) for token in tokens]
    missing = _letters(ranks)
    if missing:
        raise BadBallot(
            ngettext(
                "Give every response a rank: %(letters)s has none yet. Equal ranks are ties.",
                "Give every response a rank: %(letters)s have none yet. Equal ranks are ties.",
                len(missing),
            )
            % {"letters": ", ".join(missing)}
        )
    return ranks


def _letters(values: Sequence[Any]) -> list[str]:
    """The letters of the responses that have nothing yet."""
    return [LETTERS[place] for place, value in enumerate(values) if value is None]


def _criterion(form: Fields, criterion: Criterion, tokens: Sequence[str], whole: bool) -> Any:
    """None: not judged. A half that is filled in is refused, or with `whole` off left out."""
    name = f"c-{criterion.key}"
    if criterion.kind == "choice":
        chosen = form.get(name)
        if not chosen:
            return None
        return {"best": None if chosen == NO_DIFFERENCE else _place(chosen, tokens)}
    values = [_number(form.get(f"{name}-{token}")) for token in tokens]
    missing = _letters(values)
    if len(missing) == len(tokens) or (missing and not whole):
        return None
    if missing:
        raise BadBallot(
            _("“%(label)s” is not judged yet for %(letters)s.")
            % {"label": criterion.label, "letters": ", ".join(missing)}
        )
    return values


def _spans(form: Fields, blind: Blind) -> list[dict[str, Any]]:
    """Marked passages, as offsets in the source, as offsets in what is shown, or by sentence."""
    tokens = tokens_of(blind)
    found = []
    for value in form.getlist("mark"):
        match = MARK.fullmatch(value)
        if match is None:
            raise BadBallot(_("A marked passage could not be read. Mark it again."))
        found.append(_span(match, tokens))
    for value in form.getlist("shown-mark"):
        match = MARK.fullmatch(value)
        if match is None:
            raise BadBallot(_("A marked passage could not be read. Mark it again."))
        found.append(_from_shown(_span(match, tokens), match[5] or "", blind))
    for place, token in enumerate(tokens):
        for start, end in passages.sentences(blind["slots"][place]["text"]):
            label = form.get(f"s-{token}-{start}-{end}")
            if label:
                found.append({"slot": place, "start": start, "end": end, "label": label})
    return found


def _span(match: re.Match[str], tokens: Sequence[str]) -> dict[str, Any]:
    return {
        "slot": _place(match[1], tokens), "start": int(match[3]), "end": int(match[4]), "label": match[2],
    }  # fmt: skip


def _from_shown(mark: dict[str, Any], quote: str, blind: Blind) -> dict[str, Any]:
    """A mark on what the browser shows, moved to the source. The quote tells whether it shows the same."""
    slot = blind["slots"][mark["slot"]]
    shown = passages.shown_text(slot["html"])
    start, end = mark["start"], mark["end"]
    if quote and shown[start:end] != quote:
        # The page showed the text in another way: what was marked is looked for by its words.
        start = shown.find(quote)
        end = start + len(quote)
    span = passages.source_span(slot["text"], shown, start, end) if 0 <= start < end else None
    if span is None:
        raise BadBallot(
            _("A passage you marked in response %(letter)s could not be found in it. Mark it again.")
            % {"letter": LETTERS[mark["slot"]]}
        )
    return {**mark, "start": span[0], "end": span[1]}


def _parts(form: Fields, tokens: Sequence[str], asked: Judgement) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, values in form.lists():
        pieces = name.split("-", 1)
        if pieces[0] != "part" or len(pieces) < 2 or not values[-1]:
            continue
        token, _dash, part = pieces[1].rpartition("-")
        if asked.parts == "good_bad" and token in tokens and part.isdigit():
            found.append({"slot": tokens.index(token), "part": int(part[:6]), "label": values[-1]})
        elif asked.parts == "preference" and pieces[1].isdigit():
            best = None if values[-1] == NO_DIFFERENCE else _place(values[-1], tokens)
            found.append({"part": int(pieces[1][:6]), "best": best})
    return found


def _rewrite(form: Fields, tokens: Sequence[str]) -> dict[str, Any] | None:
    text, of = form.get("rewrite") or "", form.get("rewrite_of")
    if not text.strip():
        return None
    return {"text": text, "slot": _place(of, tokens) if of else None}


def _timing(value: str | None) -> Any:
    if not value or len(value) > 4000:
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _number(value: str | None) -> int | None:
    """A whole number in ASCII digits, with a sign; None where it is anything else."""
    text = (value or "").strip().replace("−", "-")
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 5 else None
