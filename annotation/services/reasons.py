"""Why a voter may need help, or a second look: figures, and the sentence that they become on the screen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

# What a reason asks of the lead: a talk with the person, or a look at the votes.
HELP, LOOK = "help", "look"

SENTENCES: Mapping[str, Callable[[], str]] = {
    "gold": lambda: _(
        "Answers %(value)s of the gold questions as expected, and at best %(upper)s: fewer than %(limit)s."
    ),
    "repeats": lambda: _("Answers the same battle again in the same way only %(value)s of the time."),
    "fast": lambda: _(
        "%(value)s of the votes took less than %(seconds)s s, faster than the responses can be read."
    ),
    "agreement": lambda: _(
        "Agrees with others on the same responses no more than chance would (alpha %(value)s)."
    ),
    "favour": lambda: _("Puts %(contestant)s higher than others do, by %(z)s standard errors."),
    "disfavour": lambda: _("Puts %(contestant)s lower than others do, by %(z)s standard errors."),
    "likelihood": lambda: _("The votes go against everybody else's order, by %(z)s standard errors."),
    "position": lambda: _(
        "Names response %(slot)s the best in %(value)s of the battles; by chance it is %(expected)s."
    ),
    "skips": lambda: _("Leaves %(value)s of the battles without a judgement."),
    "length": lambda: _(
        "Prefers the longest response in %(value)s of the battles; from the ratings one expects %(expected)s."
    ),
}


@dataclass(frozen=True)
class Reason:
    key: str
    kind: str  # HELP or LOOK
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """In the language of whoever reads."""
        return SENTENCES[self.key]() % self.figures


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
