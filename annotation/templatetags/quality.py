"""How figures of the lead's pages are written."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext, gettext_noop

register = template.Library()

# Why a measure is undefined: the engine's sentences, which know no languages.
SENTENCES = [
    gettext_noop("No pair of responses was judged by two people."),
    gettext_noop("Everybody gave the same answer everywhere, so chance agreement is not defined."),
    gettext_noop("An interval needs 5 prompts that several people judged."),
    gettext_noop("An interval needs 5 prompts judged by others too."),
]


@register.filter
def percent(share: float | None) -> str:
    """A share as "37 %"; a dash for none."""
    return "–" if share is None else f"{100 * share:.0f} %"


@register.filter
def money(sum_: Decimal | None) -> str:
    """A sum as the reader writes it: two decimals, a third only where it is not 0; a dash for none."""
    if sum_ is None:
        return "–"
    return number_format(sum_, decimal_pos=2 if sum_ == round(sum_, 2) else 3, force_grouping=True)


@register.filter
def sentence(reason: str | None) -> str:
    """The engine's sentence in the reader's language."""
    return gettext(reason) if reason else ""


@register.filter
def of(values: Mapping[Any, Any], key: Any) -> Any:
    """The entry of that key, or None."""
    return values.get(key)
