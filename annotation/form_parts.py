"""What the template of the battle needs to draw each part of the form, filled in as it was."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from annotation.ballot_form import MARK, NO_DIFFERENCE, SKIP_REASONS, Fields, tokens_of
from arena.services import passages
from arena.services.details import LETTERS
from arena.services.judgement import Judgement
from arena.services.reports import TAGS
from arena.views.outputs import shown, shown_file

LONGEST_SNIPPET = 300
Part = dict[str, Any]
Blind = Mapping[str, Any]


def empty_form() -> Fields:
    return MultiValueDict()


def cards(blind: Blind, asked: Judgement, form: Fields) -> list[Part]:
    """One for each response, with all that is asked about it alone."""
    return [
        {
            **face(slot),
            "choices": _choices(form.get(f"rank-{slot['token']}"), blind["k"]),
            "picked": form.get("pick") == slot["token"],
            "criteria": [_on_card(one, slot["token"], blind["k"], form) for one in asked.criteria],
            "sentences": _sentences(slot, form) if asked.spans else [],
            "marks": _marks(slot, form) if asked.spans else [],
            "parts": _judged_parts(slot, asked, form) if asked.parts == "good_bad" else [],
            "reported": form.getlist(f"r-{slot['token']}"),
        }
        for slot in blind["slots"]
    ]


def face(slot: Mapping[str, Any]) -> Part:
    letter = LETTERS[slot["position"]]
    return {
        "letter": letter,
        "token": slot["token"],
        "html": shown_file(slot["file"], letter) if slot.get("file") else shown(slot["text"], slot["html"]),
        "prompt": slot.get("prompt"),
    }


def overall(blind: Blind, asked: Judgement, form: Fields) -> Part:
    """What is asked about the battle as a whole."""
    letters = list(zip(tokens_of(blind), LETTERS, strict=False))
    return {
        "strengths": _strengths(form) if asked.ask == "strength" else [],
        "choices": [
            {
                "criterion": one,
                "name": f"c-{one.key}",
                "options": _options(letters, form.get(f"c-{one.key}"), none=True),
            }
            for one in asked.criteria
            if one.kind == "choice"
        ],
        "confidences": _confidences(form) if asked.confidence != "off" else [],
        "tags": [{"value": tag, "checked": tag in form.getlist("tag")} for tag in asked.reason.tags],
        "reason": form.get("reason") or "",
        "part_rows": _preferred_parts(blind, form, asked) if asked.parts == "preference" else [],
        "rewrite": form.get("rewrite") or "",
        "rewrite_of": _options(letters, form.get("rewrite_of")),
        "rewrite_preview": shown(form.get("rewrite") or "") if asked.rewrite and form.get("rewrite") else "",
        "skip_reasons": [
            {"value": reason, "selected": form.get("skip_reason") == reason} for reason in SKIP_REASONS
        ],
        "report_tags": TAGS.items() if asked.report else [],
        "guided": [one for one in asked.criteria if one.guideline],
    }


def _choices(value: str | None, k: int) -> list[Part]:
    return [{"value": rank, "checked": value == str(rank)} for rank in range(1, k + 1)]


def _options(letters: Sequence[tuple[str, str]], chosen: str | None, *, none: bool = False) -> list[Part]:
    options = [{"value": token, "label": letter, "checked": token == chosen} for token, letter in letters]
    if none:
        options.append(
            {"value": NO_DIFFERENCE, "label": _("No difference"), "checked": chosen == NO_DIFFERENCE}
        )
    return options


def _on_card(criterion: Any, token: str, k: int, form: Fields) -> Part:
    name = f"c-{criterion.key}-{token}"
    return {
        "criterion": criterion,
        "name": name,
        "choices": _choices(form.get(name), k),
        "value": form.get(name) or "",
    }


def _strengths(form: Fields) -> list[Part]:
    labels = {
        -3: _("A is much better"),
        -2: _("A is better"),
        -1: _("A is slightly better"),
        0: _("About the same"),
        1: _("B is slightly better"),
        2: _("B is better"),
        3: _("B is much better"),
    }
    return [
        {"value": value, "label": label, "checked": form.get("strength") == str(value)}
        for value, label in labels.items()
    ]


def _confidences(form: Fields) -> list[Part]:
    labels = [_("Guessing"), _("Somewhat sure"), _("Quite sure"), _("Certain")]
    return [
        {"value": value, "label": label, "checked": form.get("confidence") == str(value)}
        for value, label in enumerate(labels, start=1)
    ]


def _sentences(slot: Mapping[str, Any], form: Fields) -> list[Part]:
    token, text = slot["token"], slot["text"]
    return [
        _row(f"s-{token}-{start}-{end}", text[start:end], form) for start, end in passages.sentences(text)
    ]


def _judged_parts(slot: Mapping[str, Any], asked: Judgement, form: Fields) -> list[Part]:
    token, text = slot["token"], slot["text"]
    return [
        _row(f"part-{token}-{number}", text[start:end], form)
        for number, (start, end) in enumerate(passages.parts(text, asked.split))
    ]


def _row(name: str, text: str, form: Fields) -> Part:
    return {"name": name, "text": snippet(text), "value": form.get(name) or ""}


def _preferred_parts(blind: Blind, form: Fields, asked: Judgement) -> list[Part]:
    """One row for each part number; a response that has no such part cannot be chosen there."""
    cut = [passages.parts(slot["text"], asked.split) for slot in blind["slots"]]
    rows = []
    for number in range(max(len(spans) for spans in cut)):
        chosen = form.get(f"part-{number}")
        there = [
            {
                "value": slot["token"],
                "label": LETTERS[slot["position"]],
                "checked": chosen == slot["token"],
                "text": snippet(slot["text"][slice(*spans[number])]),
            }
            for slot, spans in zip(blind["slots"], cut, strict=True)
            if number < len(spans)
        ]
        if len(there) > 1:
            none = {"value": NO_DIFFERENCE, "label": _("No difference"), "checked": chosen == NO_DIFFERENCE}
            rows.append({"number": number + 1, "name": f"part-{number}", "options": [*there, none]})
    return rows


def _marks(slot: Mapping[str, Any], form: Fields) -> list[Part]:
    """The passages marked so far, each with its words and where they are shown."""
    text, plain = slot["text"], passages.shown_text(slot["html"])
    found = []
    for name in ("mark", "shown-mark"):
        for value in form.getlist(name):
            match = MARK.fullmatch(value)
            if match is None or match[1] != slot["token"]:
                continue
            start, end = int(match[3]), int(match[4])
            place = (start, end) if name == "shown-mark" else passages.shown_span(text, plain, start, end)
            quote = (plain if name == "shown-mark" else text)[start:end]
            found.append(
                {"name": name, "value": value, "label": match[2], "quote": snippet(quote), "place": place}
            )
    return found


def snippet(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LONGEST_SNIPPET else words[:LONGEST_SNIPPET] + "…"
