r"""Where a formula begins and ends in Markdown: `$…$`, `$$…$$`, `\(…\)`, `\[…\]`, `\begin{…}`.

A dollar in prose is not a formula: the opening one touches what follows and nothing before,
the closing one touches what precedes and no letter or digit after (pandoc's rule and a little more).
"""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

BLOCKS = {"$$": "$$", "\\[": "\\]"}
ENVIRONMENT = re.compile(
    r"\\begin\{((?:align|aligned|equation|gather|multline|eqnarray|cases|array|[pbvBV]?matrix)\*?)\}"
)
# "$5 for the first and 3$" begins with a number and goes on in words.
PROSE = re.compile(r"\d[\d.,]*\s+[^\\^_=]*[A-Za-z]{2}")
# No closing mark is looked for further away than this, and after these many that never close, no more.
LONGEST, MOST_LINES, MOST_UNCLOSED = 2100, 60, 200


def formulas(reader: MarkdownIt) -> None:
    """Teach the reader formulas: tokens `math_inline` and `math_block`, whose `meta` says `display`."""
    reader.inline.ruler.before("escape", "math_inline", _inline)
    reader.block.ruler.before(
        "fence", "math_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )


def _inline(state: StateInline, silent: bool) -> bool:
    start, text = state.pos, state.src
    found = _delimited(text, start, state.posMax)
    if found is None:
        return False
    content, end, display = found
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content, token.meta = content, {"display": display}
    state.pos = end
    return True


def _delimited(text: str, start: int, limit: int) -> tuple[str, int, bool] | None:
    """Content, end and whether it stands on a line of its own; None where no formula starts."""
    for opening, closing, display in (("\\(", "\\)", False), ("\\[", "\\]", True), ("$$", "$$", True)):
        if text.startswith(opening, start):
            end = text.find(closing, start + 2, min(limit, start + LONGEST))
            content = text[start + 2 : end] if end >= 0 else ""
            return (content, end + 2, display) if content.strip() else None
    if not text.startswith("$", start) or (start and (text[start - 1].isalnum() or text[start - 1] in "$\\")):
        return None
    return _between_dollars(text, start, limit)


def _between_dollars(text: str, start: int, limit: int) -> tuple[str, int, bool] | None:
    if start + 1 >= limit or text[start + 1].isspace():
        return None
    end = text.find("$", start + 1, min(limit, start + LONGEST))
    while end > 0 and text[end - 1] == "\\":
        end = text.find("$", end + 1, min(limit, start + LONGEST))
    if end <= start + 1 or text[end - 1].isspace() or (end + 1 < limit and text[end + 1].isalnum()):
        return None
    content = text[start + 1 : end]
    return None if PROSE.match(content) else (content, end + 1, False)


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A formula of one or more lines that begins a line and ends one."""
    if state.is_code_block(first):
        return False
    line = _line(state, first)
    closing, start = BLOCKS.get(line[:2]), 2
    environment = ENVIRONMENT.match(line) if closing is None else None
    if environment:
        closing, start = f"\\end{{{environment[1]}}}", 0
    if closing is None:
        return False
    if state.env.get("unclosed", 0) > MOST_UNCLOSED:
        return False
    content, number = _until(state, line[start:], first, min(last, first + MOST_LINES), closing)
    if content is None:
        state.env["unclosed"] = state.env.get("unclosed", 0) + 1
        return False
    if not silent:
        token = state.push("math_block", "math", 0)
        token.content = content + (closing if environment else "")
        token.meta, token.block, token.map = {"display": True}, True, [first, number + 1]
    state.line = number + 1
    return True


def _until(state: StateBlock, rest: str, first: int, last: int, closing: str) -> tuple[str | None, int]:
    """The text up to the closing mark, which ends its line, and that line's number; None without one."""
    written, number, length = [], first, 0
    indent = min(state.blkIndent, state.sCount[first])
    while True:
        place = rest.find(closing)
        if place >= 0:
            after = rest[place + len(closing) :].strip(" .,;")
            written.append(rest[:place])
            content = "\n".join(written)
            return (content, number) if not after and content.strip() else (None, first)
        written.append(rest)
        length += len(rest) + 1
        number += 1
        if number >= last or length > LONGEST or state.sCount[number] < indent:
            return None, first
        rest = _line(state, number)


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].rstrip()
