"""What comes with a vote beside the order, checked against the arena's form: `Vote.details`.

The stored form is described in docs/data-format.md; `SCHEMA` numbers it. The page and the API
send the same names, so that both are read here.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from django.utils.translation import gettext as _

from arena.errors import BadBallot
from arena.models import Battle, Vote
from arena.services import passages
from arena.services.ballots import Ballot, best_ranks, checked_ranks, competition_ranks
from arena.services.judgement import LONGEST_REASON, Criterion, Judgement
from arena.services.rendering import normalise_text
from arena.services.timing import read_timing

SCHEMA = 1
NAMES = ("criteria", "confidence", "reason", "spans", "parts", "rewrite", "timing")
LABELS = ("good", "bad")
CONFIDENCES = (1, 2, 3, 4)
MOST_SPANS = 200
LONGEST_REWRITE = 64 * 1024
LETTERS = "ABCDEFGH"
Details = dict[str, Any]


def check_answer(*, form: Judgement, ballot: Ballot) -> None:
    """Raises BadBallot where the arena does not take an answer of this kind."""
    if ballot.kind == Vote.Kind.ALL_BAD and not form.all_bad:
        raise BadBallot(_('This arena does not take "all bad". Say which response is better.'))
    if ballot.kind == Vote.Kind.SKIP and not form.skip:
        raise BadBallot(_("This arena does not take skips. Say which response is better."))
    if form.ask == "best" and ballot.kind == Vote.Kind.RANKING:
        raise BadBallot(_("This arena asks for the best response only."))
    if form.ask == "strength" and ballot.kind in (Vote.Kind.RANKING, Vote.Kind.BEST):
        if ballot.strength is None:
            raise BadBallot(_("Say how much better one response is, from −3 to 3."))
    elif ballot.strength is not None:
        raise BadBallot(_("This arena does not ask how much better a response is."))


def read_details(
    *, form: Judgement, battle: Battle, ballot: Ballot, given: Mapping[str, Any], complete: bool = True
) -> Details:
    """The details as they are stored, or BadBallot with the sentence that says what to put right.

    Only what the arena asks for is taken. With `complete` what it requires must be there.
    A skip needs nothing and keeps its times alone; "all bad" needs no criteria.
    """
    for name in given:
        if name not in NAMES:
            near = get_close_matches(str(name), NAMES, n=1)
            hint = (
                _("Did you mean %(near)s?") % {"near": near[0]}
                if near
                else _("Known are: %(known)s.") % {"known": ", ".join(NAMES)}
            )
            raise BadBallot(_("There is no detail “%(name)s”. %(hint)s") % {"name": name, "hint": hint})
    details: Details = {}
    if ballot.kind != Vote.Kind.SKIP:
        reader = _Reader(form, battle, ballot, complete)
        details = {
            "strength": None if ballot.strength is None else abs(ballot.strength),
            "criteria": reader.criteria(given.get("criteria")),
            "confidence": reader.confidence(given.get("confidence")),
            "reason": reader.reason(given.get("reason")),
            "spans": reader.spans(given.get("spans")),
            "parts": reader.parts(given.get("parts")),
            "rewrite": reader.rewrite(given.get("rewrite")),
        }
    details["timing"] = read_timing(given.get("timing"), battle.k)
    kept = {name: value for name, value in details.items() if value not in (None, {}, [])}
    return {"schema": SCHEMA, **kept} if kept else {}


class _Reader:
    """Reads one part after the other; each returns nothing where nothing was given."""

    def __init__(self, form: Judgement, battle: Battle, ballot: Ballot, complete: bool) -> None:
        self.form, self.battle, self.ballot = form, battle, ballot
        self.complete = complete
        self._texts: list[str] | None = None

    @property
    def texts(self) -> list[str]:
        """The responses' texts by position, read only where a passage is marked."""
        if self._texts is None:
            slots = self.battle.slots.select_related("response").order_by("position")
            self._texts = [slot.response.text if slot.response else "" for slot in slots]
        return self._texts

    def criteria(self, given: Any) -> Details:
        given = _object(given, "criteria")
        known = [one.key for one in self.form.criteria]
        for key in given:
            if key not in known:
                raise BadBallot(
                    _("This arena has no criterion “%(key)s”. It asks for: %(known)s.")
                    % {"key": key, "known": ", ".join(known) or "–"}
                )
        found = {}
        for criterion in self.form.criteria:
            value = given.get(criterion.key)
            if value is not None:
                found[criterion.key] = read_criterion(criterion, value, self.battle.k)
            elif self.complete and self.ballot.kind != Vote.Kind.ALL_BAD:
                raise BadBallot(_("“%(label)s” is not judged yet.") % {"label": criterion.label})
        return found

    def confidence(self, given: Any) -> int | None:
        if given is None:
            if self.complete and self.form.confidence == "required":
                raise BadBallot(_("Say how sure you are."))
            return None
        self._asked(self.form.confidence != "off", "confidence")
        if isinstance(given, bool) or given not in CONFIDENCES:
            raise BadBallot(_("The confidence is a whole number from 1 (guessing) to 4 (certain)."))
        return int(given)

    def reason(self, given: Any) -> Details:
        asked = self.form.reason
        given = {"text": given} if isinstance(given, str) else _object(given, "reason")
        tags, text = given.get("tags") or [], given.get("text") or ""
        if not isinstance(tags, list) or not isinstance(text, str) or set(given) - {"tags", "text"}:
            raise BadBallot(_('A reason is an object such as {"tags": [], "text": "…"}.'))
        text = normalise_text(text)
        if tags or text:
            self._asked(asked.need != "off", "reason")
        self._check_reason(tags, text)
        if not tags and not text:
            return {}
        return {"tags": [tag for tag in asked.tags if tag in tags], "text": text}

    def _check_reason(self, tags: list[Any], text: str) -> None:
        asked = self.form.reason
        for tag in tags:
            if tag not in asked.tags:
                raise BadBallot(
                    _("“%(tag)s” is none of the reasons to tick: %(known)s.")
                    % {"tag": str(tag)[:80], "known": ", ".join(asked.tags) or "–"}
                )
        if text and not asked.text:
            raise BadBallot(_("Tick a reason: this arena takes no text."))
        if len(text) > LONGEST_REASON:
            raise BadBallot(_("The reason is longer than %(n)s characters.") % {"n": LONGEST_REASON})
        if not self.complete or asked.need != "required":
            return
        if asked.text and len(text) < asked.min_length:
            raise BadBallot(
                _("Say why in at least %(least)s characters; there are %(n)s so far.")
                % {"least": asked.min_length, "n": len(text)}
            )
        if not tags and not text:
            raise BadBallot(_("Say why: tick a reason.") if asked.tags else _("Say why in a few words."))

    def spans(self, given: Any) -> list[Details]:
        rows = _rows(given, "spans", MOST_SPANS)
        if rows:
            self._asked(self.form.spans, "spans")
        found = []
        for row in rows:
            slot = self._slot(row.get("slot"))
            start, end, label = row.get("start", -1), row.get("end", -1), _label(row.get("label"))
            whole = all(isinstance(one, int) and not isinstance(one, bool) for one in (start, end))
            if not whole or not 0 <= start < end <= len(self.texts[slot]):
                raise BadBallot(
                    _("A marked passage lies outside response %(letter)s. Mark it again.")
                    % {"letter": LETTERS[slot]}
                )
            found.append({"slot": slot, "start": start, "end": end, "label": label})
        unique = {tuple(one.items()): one for one in found}  # the same passage twice is once
        return sorted(unique.values(), key=lambda one: (one["slot"], one["start"], one["end"], one["label"]))

    def parts(self, given: Any) -> list[Details]:
        rows = _rows(given, "parts", MOST_SPANS * self.battle.k)
        if not rows:
            return []
        self._asked(self.form.parts != "off", "parts")
        cut = [passages.parts(text, self.form.split) for text in self.texts]
        read = self._judged_part if self.form.parts == "good_bad" else self._preferred_part
        return [read(row, cut) for row in rows]

    def _judged_part(self, row: Mapping[str, Any], cut: Sequence[list[passages.Span]]) -> Details:
        slot = self._slot(row.get("slot"))
        part = _index(row.get("part"), len(cut[slot]))
        start, end = cut[slot][part]
        return {
            "slot": slot, "part": part, "start": start, "end": end, "label": _label(row.get("label")),
        }  # fmt: skip

    def _preferred_part(self, row: Mapping[str, Any], cut: Sequence[list[passages.Span]]) -> Details:
        part = _index(row.get("part"), max(len(one) for one in cut))
        spans = [list(one[part]) if part < len(one) else None for one in cut]
        best = row.get("best")
        if best is not None and spans[self._slot(best)] is None:
            raise BadBallot(_("Response %(letter)s has no part %(n)s.") % {
                "letter": LETTERS[best], "n": part + 1,
            })  # fmt: skip
        return {"part": part, "spans": spans, "best": best}

    def rewrite(self, given: Any) -> Details:
        given = _object(given, "rewrite")
        text = given.get("text") or ""
        if not isinstance(text, str):
            raise BadBallot(_("A rewrite is a text."))
        text = normalise_text(text)
        if not text:
            return {}
        self._asked(self.form.rewrite, "rewrite")
        if len(text) > LONGEST_REWRITE:
            raise BadBallot(_("The rewrite is longer than %(n)s characters.") % {"n": LONGEST_REWRITE})
        slot = self._rewritten(given.get("slot"))
        if text == self.texts[slot].strip():
            return {}  # as it was: nothing was rewritten
        return {"slot": slot, "text": text}

    def _rewritten(self, slot: Any) -> int:
        ranks = self.ballot.ranks
        best = [position for position, rank in enumerate(ranks or ()) if rank == 1]
        if slot is None:
            if not best:
                raise BadBallot(_("Say which response your rewrite is of."))
            return best[0]
        place = self._slot(slot)
        if best and place not in best:
            raise BadBallot(
                _("Your rewrite is of %(letter)s, but you judged %(best)s best. Rewrite the best one.")
                % {"letter": LETTERS[place], "best": LETTERS[best[0]]}
            )
        return place

    def _slot(self, value: Any) -> int:
        return _index(value, self.battle.k)

    def _asked(self, asked: bool, name: str) -> None:
        if not asked:
            raise BadBallot(_("This arena does not ask for “%(name)s”.") % {"name": name})


def read_criterion(criterion: Criterion, value: Any, k: int) -> Details:
    """{"ranks": …} of one criterion, with the "scores" where it is a scale. A bare list will do too."""
    label = criterion.label
    if isinstance(value, list | tuple):
        value = {"scores" if criterion.kind == "scale" else "ranks": list(value)}
    if not isinstance(value, Mapping):
        raise BadBallot(_("“%(label)s” is an object or a list.") % {"label": label})
    try:
        if criterion.kind == "scale":
            scores = _scores(value.get("scores"), k, label)
            return {"ranks": list(competition_ranks([-score for score in scores])), "scores": scores}
        if criterion.kind == "choice" and "ranks" not in value:
            best = value.get("best")
            return {"ranks": [1] * k if best is None else list(best_ranks(best, k))}
        ranks = value.get("ranks")
        if criterion.kind == "choice" and isinstance(ranks, list) and ranks.count(None) == k - 1:
            return {"ranks": list(best_ranks(ranks.index(1), k))}
        return {"ranks": list(competition_ranks(checked_ranks(ranks, k)))}
    except (BadBallot, ValueError) as error:
        reason = str(error) if isinstance(error, BadBallot) else _("one response is 1, the others null.")
        raise BadBallot(f"{label}: {reason}") from None


def _scores(value: Any, k: int, label: str) -> list[int]:
    if not isinstance(value, list | tuple) or len(value) != k:
        raise BadBallot(_("Give each of the %(k)s responses a number from 0 to 100.") % {"k": k})
    for place, score in enumerate(value):
        if isinstance(score, bool) or not isinstance(score, int) or not 0 <= score <= 100:
            raise BadBallot(
                _("Response %(letter)s needs a whole number from 0 to 100.") % {"letter": LETTERS[place]}
            )
    return list(value)


def _object(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadBallot(_("%(name)s is an object.") % {"name": name})
    return dict(value)


def _rows(value: Any, name: str, most: int) -> list[Mapping[str, Any]]:
    rows = value or []
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise BadBallot(_("%(name)s is a list of objects.") % {"name": name})
    if len(rows) > most:
        raise BadBallot(_("%(name)s has more than %(most)s entries.") % {"name": name, "most": most})
    return rows


def _index(value: Any, length: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < length:
        raise BadBallot(
            _("A place is a whole number from 0 to %(most)s, not %(value)r.")
            % {"most": length - 1, "value": value}
        )
    return int(value)


def _label(value: Any) -> str:
    if value not in LABELS:
        raise BadBallot(_("A passage is good or bad, not %(value)r.") % {"value": value})
    return str(value)
