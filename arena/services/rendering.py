"""What a model wrote, made safe to show: hostile input becomes clean text and sanitised HTML.

The order matters: Markdown is rendered with raw HTML off, and the sanitiser has the last
word. Images are dropped, since fetching one would tell a stranger who reads what. It is
done once, on the server, and kept with the response: see docs/rendering.md.
"""

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from arena.models import Response
from arena.services.markup.reader import reader
from arena.services.markup.sanitiser import sanitised

# Add one whenever the same text would give other HTML: what was kept is then made anew when it is shown.
RENDERER = 1

LONGEST_TEXT = 256 * 1024
# Above this length Markdown could take seconds to read ("[" a hundred thousand times).
LONGEST_RENDERED, MOST_BRACKETS = 32 * 1024, 8192
TRUNCATED = "\n\n[The rest was cut off: the text is longer than 256 KiB.]"

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
    """Sanitised HTML of Markdown with tables, code and LaTeX. Very long text is shown as it is."""
    text = normalise_text(text)
    if len(text) > LONGEST_RENDERED or text.count("[") > MOST_BRACKETS:
        return f"<pre>{html.escape(text)}</pre>"
    return sanitised(_reader.render(text))


def render_conversation(messages: Iterable[Mapping[str, str]]) -> str:
    """A response of several turns: each message sanitised by itself, under the name of who speaks.

    The names are written as roles; `arena.views.outputs.shown` puts them into the voter's language.
    No text can forge one: the sanitiser leaves no class on a paragraph.
    """
    return "".join(
        f'<div class="turn {message["role"]}"><p class="role">{message["role"]}</p>'
        f'<div class="said" dir="auto">{render_markdown(message["content"])}</div></div>'
        for message in messages
        if message["role"] in ("user", "assistant")
    )


def transcript(messages: Iterable[Mapping[str, str]]) -> str:
    """The same as one text: what is searched, exported and counted."""
    return "\n\n".join(f"**{message['role'].capitalize()}:** {message['content']}" for message in messages)


def rendered(*, text: str, messages: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The columns of a response that hold its HTML."""
    return {
        "html": render_conversation(messages) if messages else render_markdown(text),
        "renderer": RENDERER,
    }


def html_of(response: Response) -> str:
    """The response's HTML, made anew and kept where an older renderer had made it."""
    if response.renderer < RENDERER:
        made = rendered(text=response.text, messages=response.messages)
        Response.objects.filter(pk=response.pk, renderer__lt=RENDERER).update(**made)
        response.html, response.renderer = made["html"], RENDERER
    return response.html


_reader = reader()
