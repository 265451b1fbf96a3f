"""Fenced code with its words told apart: ten classes, no colours here (style.css has them)."""

import html
from functools import lru_cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token, _TokenType
from pygments.util import ClassNotFound

LONGEST_HIGHLIGHTED = 8_000  # characters of one block; longer ones are shown plain

# Only well-known readers: some of Pygments' five hundred take quadratic time on hostile text.
LANGUAGES = {
    "bash", "c", "c++", "cpp", "c#", "csharp", "css", "diff", "docker", "dockerfile", "go",
    "golang", "haskell", "hs", "html", "ini", "java", "javascript", "js", "json", "jsx", "julia",
    "kotlin", "latex", "lua", "make", "makefile", "matlab", "objective-c", "ocaml", "perl", "php",
    "powershell", "ps1", "py", "python", "python3", "r", "rb", "ruby", "rs", "rust", "scala", "sh",
    "shell", "sql", "swift", "tex", "toml", "ts", "tsx", "typescript", "vb", "xml", "yaml", "yml",
    "zsh",
}  # fmt: skip

# The first that contains the token's type wins.
CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Token.Comment, "hc"),
    (Token.Keyword, "hk"),
    (Token.Operator.Word, "hk"),
    (Token.Literal.String, "hs"),
    (Token.Literal.Number, "hn"),
    (Token.Name.Function, "hf"),
    (Token.Name.Class, "hf"),
    (Token.Name.Tag, "hk"),
    (Token.Name.Attribute, "hf"),
    (Token.Name.Decorator, "hf"),
    (Token.Name.Builtin, "hb"),
    (Token.Generic.Deleted, "hd"),
    (Token.Generic.Inserted, "hi"),
    (Token.Generic.Subheading, "hc"),
)
CLASS_NAMES = {name for _, name in CLASSES}


def highlighted(code: str, language: str) -> str:
    """HTML of the code, escaped, with spans of these classes where the language is known."""
    lexer = _lexer(language.lower()) if language and len(code) <= LONGEST_HIGHLIGHTED else None
    if lexer is None:
        return html.escape(code, quote=False)
    parts: list[str] = []
    name, run = "", ""
    for kind, text in lexer.get_tokens(code):
        found = _class_of(kind) if text.strip() else name
        if found != name:
            parts.append(_span(name, run))
            name, run = found, ""
        run += text
    parts.append(_span(name, run))
    return "".join(parts)


def _span(name: str, text: str) -> str:
    written = html.escape(text, quote=False)
    return f'<span class="{name}">{written}</span>' if name and text else written


@lru_cache(maxsize=256)
def _class_of(kind: _TokenType) -> str:
    return next((name for parent, name in CLASSES if kind in parent), "")


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    if language not in LANGUAGES:
        return None
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:  # an older Pygments
        return None
