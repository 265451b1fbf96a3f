"""What a model wrote, made safe to show: hostile input becomes clean text and sanitised HTML.

The order matters: Markdown is rendered with raw HTML off, and the sanitiser has the last
word. Images are dropped, since fetching one would tell a stranger who reads what.
"""

import html
import re

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore

LONGEST_TEXT = 256 * 1024
# Above this length Markdown could take seconds to read ("[" a hundred thousand times).
LONGEST_RENDERED = 32 * 1024
HEADINGS_SHIFTED_BY = 2  # the page has its own h1 and h2
TRUNCATED = "\n\n[The rest was cut off: the text is longer than 256 KiB.]"

TAGS = {
    "a", "blockquote", "br", "code", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto"}

# Control characters but tab and newline, marks that reorder the text around them, halves of
# characters. PostgreSQL refuses the first of them, and no browser shows the rest.
UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
COMBINING = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
STACKED_MARKS = re.compile(f"([{COMBINING}]{{8}})[{COMBINING}]+")


def normalise_text(text: str) -> str:
    """The text with line ends as \\n and without what cannot or must not be shown, at most 256 KiB."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = STACKED_MARKS.sub(r"\1", UNSAFE.sub("", text)).strip()
    if len(text.encode()) <= LONGEST_TEXT:
        return text
    room = LONGEST_TEXT - len(TRUNCATED.encode())
    return text.encode()[:room].decode(errors="ignore") + TRUNCATED


def render_markdown(text: str) -> str:
    """Sanitised HTML of Markdown (CommonMark and tables). Very long text is shown as it is."""
    text = normalise_text(text)
    if len(text) > LONGEST_RENDERED:
        return f"<pre>{html.escape(text)}</pre>"
    return nh3.clean(
        _markdown.render(text),
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="nofollow noopener noreferrer ugc",
        strip_comments=True,
    )


def _shift_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + HEADINGS_SHIFTED_BY)}"


def _image_as_words(state: StateCore) -> None:
    """An image becomes its description in brackets, so that the voter knows one was meant."""
    for token in state.tokens:
        for child in token.children or []:
            if child.type == "image":
                child.type, child.tag = "text", ""
                child.content = f"[image: {child.content}]" if child.content else "[image]"
                child.children, child.attrs = None, {}


def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table")
    reader.core.ruler.push("shift_headings", _shift_headings)
    reader.core.ruler.push("image_as_words", _image_as_words)
    return reader


# Reading keeps no state between texts, so one reader serves all threads.
_markdown = _reader()
