"""LaTeX formulas as MathML, made on the server: no script, no font, nothing fetched.

A formula that is too long, too deep, defines macros or cannot be read is shown as it was
written. The tree is rebuilt from an allow-list here, and sanitised once more with the page.
"""

import html
import re
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert_to_element

LONGEST_FORMULA = 2000  # characters
DEEPEST_FORMULA = 24
MOST_NODES = 2000
WIDE = 40  # a formula of more characters may be wider than a column: it scrolls by itself

# What defines macros could grow without end; what sets attributes is of no use here.
REFUSED = re.compile(
    r"\\(?:def|edef|gdef|xdef|let|(?:re)?newcommand|providecommand|newenvironment|DeclareMathOperator"
    r"|href|url|style|class|cssId|id|require|include|input|rule)(?![A-Za-z])"
)
# The converter reads \operatorname{…} as letters that stand for themselves.
OPERATOR_NAME = re.compile(r"\\operatorname\*?\s*(?=\{)")
# Environments in the words the converter knows; lines get no numbers, which nothing could refer to.
SAME_AS_ALIGN = re.compile(
    r"\\(begin|end)\{(?:align|aligned|split|gather|gathered|multline|multlined|eqnarray)\*?\}"
)
EQUATION = re.compile(r"\\(?:begin|end)\{(?:equation|displaymath|math)\*?\}")
CASES = re.compile(r"\\(begin|end)\{[dr]cases\*?\}")
LABEL = re.compile(r"\\(?:label|tag\*?|nonumber|notag)(?:\{[^{}]*\})?")

TAGS = {
    "math", "menclose", "merror", "mfenced", "mfrac", "mi", "mlabeledtr", "mmultiscripts", "mn",
    "mo", "mover", "mpadded", "mphantom", "mprescripts", "mroot", "mrow", "ms", "mspace", "msqrt",
    "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover",
    "none",
}  # fmt: skip
# Attributes whose values are words or small numbers; a length has at most two digits before the point.
WORDS = {
    "accent", "accentunder", "align", "columnalign", "columnlines", "display", "displaystyle",
    "fence", "form", "largeop", "linebreak", "linethickness", "mathvariant", "maxsize", "minsize",
    "movablelimits", "notation", "rowlines", "scriptlevel", "separator", "stretchy", "symmetric",
}  # fmt: skip
LENGTHS = {"width", "height", "depth", "lspace", "rspace", "columnspacing", "rowspacing", "voffset"}
ATTRIBUTES = WORDS | LENGTHS | {"alttext"}
WORD = re.compile(r"[\w.+ -]{1,60}")
LENGTH = re.compile(r"(?:[+-]?\d{0,2}(?:\.\d{1,4})?(?:em|ex|pt|px|mu|%)?\s?){1,8}")


class Unreadable(Exception):
    """The formula is shown as it was written."""


def formula(latex: str, *, display: bool) -> str:
    """HTML of one formula: MathML with the source as its alternative text, or the source."""
    source = latex.strip()
    try:
        tree = _tree(source, display)
        markup = _markup(tree, source)
    except Unreadable:
        written = html.escape(source)
        return f'<code class="formula">{written}</code>' if not display else f"<pre>{written}</pre>"
    if display:
        return f'<div class="formula"{_scrolls(source)}>{markup}</div>\n'
    return f'<span class="formula" tabindex="0">{markup}</span>' if len(source) > WIDE else markup


def _scrolls(source: str) -> str:
    return ' tabindex="0"' if len(source) > WIDE else ""


def _tree(source: str, display: bool) -> Element:
    if (
        not source
        or len(source) > LONGEST_FORMULA
        or REFUSED.search(source)
        or _depth(source) > DEEPEST_FORMULA
    ):
        raise Unreadable
    try:
        tree = convert_to_element(_in_known_words(source), display="block" if display else "inline")
    except Exception as fault:
        # The converter raises a dozen kinds for what is not a formula, IndexError and KeyError among them.
        raise Unreadable from fault
    if _unknown_command(tree):
        raise Unreadable
    return tree


def _in_known_words(source: str) -> str:
    plain = LABEL.sub("", OPERATOR_NAME.sub(r"\\mathrm", source))
    plain = CASES.sub(r"\\\1{cases}", EQUATION.sub("", plain))
    return SAME_AS_ALIGN.sub(r"\\\1{align*}", plain)


def _depth(source: str) -> int:
    """How deeply braces, \\left and environments are nested."""
    depth = deepest = 0
    for opens in re.finditer(r"\\\\|\\[{}]|(\{|\\left\b|\\begin\b)|(\}|\\right\b|\\end\b)", source):
        depth += 1 if opens[1] else -1 if opens[2] else 0
        deepest = max(deepest, depth)
    return deepest


def _unknown_command(tree: Element) -> bool:
    """The converter passes a command it does not know on as an identifier."""
    return any(node.tag == "mi" and (node.text or "").startswith("\\") for node in tree.iter())


def _markup(tree: Element, source: str) -> str:
    parts: list[str] = []
    _write(tree, parts, 0, [0])
    alternative = html.escape(source)
    return "".join(parts).replace("<math", f'<math alttext="{alternative}"', 1)


def _write(node: Element, parts: list[str], depth: int, count: list[int]) -> None:
    count[0] += 1
    if depth > 4 * DEEPEST_FORMULA or count[0] > MOST_NODES or node.tag not in TAGS:
        raise Unreadable
    attributes = "".join(
        f' {name}="{html.escape(value)}"'
        for name, value in node.attrib.items()
        if (name in WORDS and WORD.fullmatch(value)) or (name in LENGTHS and LENGTH.fullmatch(value))
    )
    parts.append(f"<{node.tag}{attributes}>{html.escape(html.unescape(node.text or ''))}")
    for child in node:
        _write(child, parts, depth + 1, count)
    parts.append(f"</{node.tag}>")
