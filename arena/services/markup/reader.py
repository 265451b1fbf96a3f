"""Markdown to HTML, not yet sanitised: CommonMark, tables, strikethrough, task lists, code, formulas."""

import html
import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from arena.services.markup.code import highlighted
from arena.services.markup.formulas import formula
from arena.services.markup.math_rules import formulas

HEADINGS_SHIFTED_BY = 2  # the page has its own h1 and h2
WIDE_TABLE = 4  # columns; such a table scrolls by itself
# In one text: reading formulas and code costs most, so a text of nothing else is limited too.
MOST_IN_FORMULAS, MOST_IN_CODE = 16_000, 24_000
ADDRESS = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
TASK = re.compile(r"\[([ xX])\][ \t]+")


class Writer(RendererHTML):
    """Formulas, code and tables in our own words; all else as markdown-it writes it."""

    def math_inline(self, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[place]
        inline_display = token.meta["display"]
        written = _formula(token.content, bool(inline_display), env)
        # A paragraph holds no block: its own line is made by the style.
        return written.replace("<div", "<span").replace("</div>\n", "</span>") if inline_display else written

    def math_block(self, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType) -> str:
        return _formula(tokens[place].content, True, env)

    def fence(self, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[place]
        words = token.info.split(maxsplit=1)
        language = words[0] if words and _within(env, "code", len(token.content), MOST_IN_CODE) else ""
        return f'<pre dir="ltr"><code>{highlighted(token.content, language)}</code></pre>\n'

    def code_block(self, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType) -> str:
        return f'<pre dir="ltr"><code>{html.escape(tokens[place].content, quote=False)}</code></pre>\n'

    def code_inline(self, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType) -> str:
        return f'<code dir="auto">{html.escape(tokens[place].content, quote=False)}</code>'


def _formula(source: str, display: bool, env: EnvType) -> str:
    if _within(env, "formulas", len(source), MOST_IN_FORMULAS):
        return formula(source, display=display)
    written = html.escape(source, quote=False)
    return f"<pre>{written}</pre>\n" if display else f'<code class="formula">{written}</code>'


def _within(env: EnvType, what: str, length: int, most: int) -> bool:
    env[what] = env.get(what, 0) + length
    return bool(env[what] <= most)


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


def _direct(state: StateCore) -> None:
    """Lists, quotes and tables take the direction of their first letter; style.css does so for lines."""
    for token in state.tokens:
        if token.type in ("bullet_list_open", "ordered_list_open", "blockquote_open", "table_open"):
            token.attrSet("dir", "auto")


def _tick_tasks(state: StateCore) -> None:
    """`- [x] done` begins with a ticked box: a letter, since a control would ask to be pressed."""
    for item, paragraph, inline in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if item.type != "list_item_open" or paragraph.type != "paragraph_open" or not inline.children:
            continue
        first = inline.children[0]
        found = TASK.match(first.content) if first.type == "text" else None
        if found:
            first.content = ("☐ " if found[1] == " " else "☑ ") + first.content[found.end() :]
            item.attrSet("class", "task")


def _let_wide_tables_scroll(state: StateCore) -> None:
    tokens: list[Token] = []
    wide = False
    for place, token in enumerate(state.tokens):
        if token.type == "table_open":
            wide = _columns(state.tokens, place) >= WIDE_TABLE
            if wide:
                opening = Token("scroll_open", "div", 1, block=True)
                opening.attrs = {"class": "scroll", "tabindex": 0}
                tokens.append(opening)
        tokens.append(token)
        if token.type == "table_close" and wide:
            tokens.append(Token("scroll_close", "div", -1, block=True))
    state.tokens = tokens


def _columns(tokens: Sequence[Token], place: int) -> int:
    columns = 0
    for token in tokens[place:]:
        if token.type == "tr_close":
            return columns
        columns += token.type == "th_open"
    return columns


def reader() -> MarkdownIt:
    """A reader of its own. It keeps no state between texts: one serves all threads."""
    made = MarkdownIt("commonmark", {"html": False, "linkify": False}, renderer_cls=Writer)
    made.enable(["table", "strikethrough"])
    # A link without an address of its own would lead into this site: it stays text, as other schemes do.
    made.validateLink = lambda url: bool(ADDRESS.match(url))  # type: ignore[method-assign]
    formulas(made)
    for rule in (_shift_headings, _image_as_words, _direct, _tick_tasks, _let_wide_tables_scroll):
        made.core.ruler.push(rule.__name__.strip("_"), rule)
    return made
