"""What an arena asks of its voters: the form of the judgement, read from `Arena.judgement`.

Without anything there it is a ranking, all bad and cannot judge. Each part is switched on by
itself; docs/judgements.md lists them all.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any

from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena

ASKS = ("ranking", "best", "strength")
KINDS = ("rank", "scale", "choice")
NEEDS = ("off", "optional", "required")
PARTS = ("off", "good_bad", "preference")
SPLITS = ("paragraph", "step")

MOST_CRITERIA, MOST_TAGS = 8, 20
LONGEST_LABEL, LONGEST_GUIDELINE, LONGEST_REASON = 80, 2000, 5000
KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Criterion:
    """One thing to judge by. `kind`: ranks of all, 0 to 100 for each, or the choice of one (or none)."""

    key: str
    label: str
    guideline: str = ""
    kind: str = "rank"
    weight: float = 1.0


@dataclass(frozen=True)
class Reason:
    """Why: tags to tick and a text. `min_length` counts the characters of a required text."""

    need: str = "off"
    tags: tuple[str, ...] = ()
    text: bool = True
    min_length: int = 0


@dataclass(frozen=True)
class Judgement:
    """The form of an arena. Its defaults are a ranking and nothing else."""

    ask: str = "ranking"
    all_bad: bool = True
    skip: bool = True
    report: bool = False
    criteria: tuple[Criterion, ...] = ()
    confidence: str = "off"
    reason: Reason = Reason()
    spans: bool = False
    parts: str = "off"
    split: str = "paragraph"
    rewrite: bool = False
    rewrites_compete: bool = False
    undo: bool | None = None

    @property
    def quick(self) -> bool:
        """Whether one press is a whole answer, since nothing is asked beside the order."""
        asked = (self.criteria, self.spans, self.rewrite, self.confidence != "off")
        return not any(asked) and self.reason.need == "off" and self.parts == "off"

    def undo_for(self, arena: Arena) -> bool:
        """Whether a vote can be taken back: where the lead does not say, where names are never told."""
        return arena.reveal == Arena.Reveal.NEVER if self.undo is None else self.undo

    def criterion(self, key: str) -> Criterion:
        """Raises BadInput with the nearest name."""
        for one in self.criteria:
            if one.key == key:
                return one
        raise BadInput(_unknown(_("criterion"), key, [one.key for one in self.criteria]))


def judgement_of(arena: Arena) -> Judgement:
    """The form of this arena. What is stored was checked when it was stored."""
    return parse_judgement(arena.judgement)


def judgement_data(form: Judgement) -> dict[str, Any]:
    """As it is stored and as the API gives it: what `parse_judgement` reads."""
    data = asdict(form)
    data["criteria"] = [dict(one) for one in data["criteria"]]
    data["reason"]["tags"] = list(form.reason.tags)
    return data


def parse_judgement(data: Any) -> Judgement:
    """Read a form, or raise BadInput with the sentence that says what to put right."""
    data = _object(data, Judgement, _("judgement"))
    form = Judgement(
        ask=_one_of(data, "ask", ASKS),
        criteria=_criteria(data.get("criteria", [])),
        confidence=_one_of(data, "confidence", NEEDS, "off"),
        reason=_reason(data.get("reason", {})),
        parts=_one_of(data, "parts", PARTS),
        split=_one_of(data, "split", SPLITS),
        undo=None if data.get("undo") is None else _switch(data, "undo", False),
        **{name: _switch(data, name, default) for name, default in SWITCHES.items()},
    )
    if form.rewrites_compete and not form.rewrite:
        raise BadInput(_("Rewrites cannot compete where nobody is asked for one. Switch rewrites on too."))
    return form


def check_for_arena(form: Judgement, arena: Arena) -> None:
    """Raises BadInput where the form does not go with the arena's battles."""
    if form.ask == "strength" and arena.k != 2:
        raise BadInput(
            _("Strength compares two responses, and this arena shows %(k)s a battle. Set that to 2 first.")
            % {"k": arena.k}
        )


SWITCHES: dict[str, bool] = {
    "all_bad": True, "skip": True, "report": False, "spans": False, "rewrite": False,
    "rewrites_compete": False,
}  # fmt: skip


def _object(data: Any, kind: type, what: str) -> dict[str, Any]:
    """`data` as an object whose names are all fields of `kind`."""
    if not isinstance(data, Mapping):
        raise BadInput(_("A %(what)s is an object, not %(value)r.") % {"what": what, "value": data})
    names = [one.name for one in fields(kind)]
    for name in data:
        if name not in names:
            raise BadInput(_unknown(what, name, names))
    return dict(data)


def _unknown(what: str, name: Any, known: Sequence[str]) -> str:
    near = get_close_matches(str(name), known, n=1)
    if near:
        return _('There is no %(what)s "%(name)s". Did you mean "%(near)s"?') % {
            "what": what, "name": name, "near": near[0],
        }  # fmt: skip
    return _('There is no %(what)s "%(name)s". Known are: %(known)s.') % {
        "what": what, "name": name, "known": ", ".join(known) or "–",
    }  # fmt: skip


def _one_of(data: Mapping[str, Any], name: str, known: Sequence[str], default: str | None = None) -> str:
    value = data.get(name, default or known[0])
    if not isinstance(value, str) or value not in known:
        raise BadInput(_unknown(name, value, known))
    return value


def _switch(data: Mapping[str, Any], name: str, default: bool) -> bool:
    value = data.get(name, default)
    if not isinstance(value, bool):
        raise BadInput(_("%(name)s is true or false, not %(value)r.") % {"name": name, "value": value})
    return value


def _whole(data: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = data.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadInput(
            _("%(name)s is a whole number from %(least)s to %(most)s, not %(value)r.")
            % {"name": name, "least": least, "most": most, "value": value}
        )
    return value


def _words(data: Mapping[str, Any], name: str, longest: int, what: str) -> str:
    value = data.get(name, "")
    if not isinstance(value, str) or len(value) > longest or "\x00" in value:
        raise BadInput(
            _("The %(name)s of a %(what)s is a text of at most %(longest)s characters.")
            % {"name": name, "what": what, "longest": longest}
        )
    return value.strip()


def _criteria(data: Any) -> tuple[Criterion, ...]:
    if not isinstance(data, list | tuple) or len(data) > MOST_CRITERIA:
        raise BadInput(_("criteria is a list of at most %(most)s.") % {"most": MOST_CRITERIA})
    criteria = tuple(_criterion(one) for one in data)
    keys = [one.key for one in criteria]
    for key in keys:
        if keys.count(key) > 1:
            raise BadInput(_('Two criteria have the key "%(key)s". Give each its own.') % {"key": key})
    return criteria


def _criterion(data: Any) -> Criterion:
    data = _object(data, Criterion, _("part of a criterion"))
    key = data.get("key")
    if not isinstance(key, str) or not KEY.fullmatch(key) or key == "composite":
        raise BadInput(
            _("The key of a criterion is a small letter, then small letters, digits and _: not %(key)r.")
            % {"key": key}
        )
    label = _words(data, "label", LONGEST_LABEL, _("criterion"))
    weight = data.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1000:
        raise BadInput(
            _("The weight of %(key)s is a number from 0 to 1000, not %(value)r.")
            % {"key": key, "value": weight}
        )
    return Criterion(
        key=key,
        label=label or key.replace("_", " ").capitalize(),
        guideline=_words(data, "guideline", LONGEST_GUIDELINE, _("criterion")),
        kind=_one_of(data, "kind", KINDS),
        weight=float(weight),
    )


def _reason(data: Any) -> Reason:
    data = _object(data, Reason, _("part of a reason"))
    tags = data.get("tags", [])
    fits = isinstance(tags, list | tuple) and len(tags) <= MOST_TAGS
    if not fits or not all(isinstance(tag, str) and 0 < len(tag.strip()) <= LONGEST_LABEL for tag in tags):
        raise BadInput(
            _("The tags of a reason are at most %(most)s texts of 1 to %(longest)s characters.")
            % {"most": MOST_TAGS, "longest": LONGEST_LABEL}
        )
    reason = Reason(
        need=_one_of(data, "need", NEEDS),
        tags=tuple(dict.fromkeys(" ".join(tag.split()) for tag in tags)),
        text=_switch(data, "text", True),
        min_length=_whole(data, "min_length", 0, 0, LONGEST_REASON),
    )
    if reason.need != "off" and not reason.tags and not reason.text:
        raise BadInput(_("A reason needs tags to tick or a text to write. Give one of them."))
    return reason
