"""The last word on what a browser gets: an allow-list of tags, attributes, values and addresses."""

import nh3

from arena.services.markup import formulas
from arena.services.markup.code import CLASS_NAMES

TEXT_TAGS = {
    "a", "blockquote", "br", "code", "div", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p",
    "pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
TAGS = TEXT_TAGS | formulas.TAGS
ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    **{tag: set(formulas.ATTRIBUTES) for tag in formulas.TAGS},
}
CLASSES = {
    "span": CLASS_NAMES | {"formula"},
    "div": {"formula", "scroll"},
    "code": {"formula"},
    "li": {"task"},
}
VALUES = {
    **{tag: {"dir": {"auto"}} for tag in ("blockquote", "code", "ol", "table", "ul")},
    "pre": {"dir": {"ltr"}},
    "div": {"tabindex": {"0"}},
    "span": {"tabindex": {"0"}},
}
SCHEMES = {"http", "https", "mailto"}


def sanitised(markup: str) -> str:
    return nh3.clean(
        markup,
        tags=TAGS,
        attributes=ATTRIBUTES,
        tag_attribute_values=VALUES,
        allowed_classes=CLASSES,
        url_schemes=SCHEMES,
        link_rel="nofollow noopener noreferrer ugc",
        strip_comments=True,
    )
