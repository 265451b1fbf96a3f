"""The texts of the interface, found in templates and code, and the catalogues that translate them.

Kept by `manage.py translations`. GNU gettext is not needed: templates are read by Django's own
parser, Python by `ast`, catalogues by Babel. Scripts hold no texts: they read them from the page.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.template import Node, Template, engines
from django.templatetags.i18n import BlockTranslateNode, TranslateNode
from django.utils.translation import to_locale

from arena.catalogues import SOURCES

ROOT = SOURCES.parent.parent
PACKAGES = ("arena", "annotation")
# The functions that mark a text: where its arguments are (context, text, plural).
MARKERS: dict[str, tuple[int | None, int, int | None]] = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), (None, 0, None)),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (None, 0, 1)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), (0, 1, None)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), (0, 1, 2)),
}
PLACEHOLDER = re.compile(r"%\((\w+)\)[a-z]|\{(\w+)\}|(%[%s])")
IN_FILTER = re.compile(r"""\b_\((?:"([^"]*)"|'([^']*)')\)""")


@dataclass(frozen=True)
class Text:
    """A text that a reader sees, in the words of the code, and the file it is in."""

    file: str
    text: str
    plural: str = ""
    context: str = ""


def texts() -> list[Text]:
    """Every marked text of the product, file by file."""
    found: list[Text] = []
    for package in PACKAGES:
        for path in sorted((ROOT / package / "templates").rglob("*.*")):
            found += _in_template(path)
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                found += _in_python(path)
    return found


def _in_template(path: Path) -> Iterator[Text]:
    file, source = str(path.relative_to(ROOT)), path.read_text()
    template = Template(source, engine=engines["django"].engine)  # type: ignore[attr-defined]
    for node in _nodes(template):
        if isinstance(node, BlockTranslateNode):
            text = node.render_token_list(node.singular)[0]
            plural = node.render_token_list(node.plural)[0] if node.plural else ""
            if node.trimmed:
                text, plural = _trimmed(text), _trimmed(plural)
            yield Text(file, text, plural, _literal(node.message_context))
        elif isinstance(node, TranslateNode) and (text := _literal(node.filter_expression)):
            yield Text(file, text.replace("%", "%%"), context=_literal(node.message_context))
    for double, single in IN_FILTER.findall(source):
        yield Text(file, (double or single).replace("%", "%%"))


def _nodes(template: Template) -> Iterator[Node]:
    for node in template.nodelist:
        yield from node.get_nodes_by_type(Node)


def _literal(expression: object) -> str:
    """The text that a template's expression is, or nothing where it is a variable."""
    variable = getattr(expression, "var", None)
    literal = variable if isinstance(variable, str) else getattr(variable, "literal", None)
    return literal if isinstance(literal, str) else ""


def _trimmed(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _in_python(path: Path) -> Iterator[Text]:
    file = str(path.relative_to(ROOT))
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        places = MARKERS.get(node.func.id)
        if places is None:
            continue
        context, text, plural = (_argument(node, place) for place in places)
        if text:
            yield Text(file, text, plural, context)


def _argument(call: ast.Call, place: int | None) -> str:
    if place is None or len(call.args) <= place:
        return ""
    value = call.args[place]
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


# --- catalogues ----------------------------------------------------------------------------


def languages() -> list[str]:
    """The languages that need a catalogue: all but the one the code is written in."""
    return [code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]


def catalogue_file(language: str) -> Path:
    return SOURCES / to_locale(language) / "LC_MESSAGES" / "django.po"


def read(language: str) -> Catalog:
    file = catalogue_file(language)
    if not file.exists():
        return Catalog(locale=to_locale(language))
    with file.open("rb") as source:
        return read_po(source, locale=to_locale(language))


HEADER = """\
# {name} texts of Preference Arena. How to translate: docs/translating.md.
msgid ""
msgstr ""
"Language: {locale}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plurals}\\n"

"""


def update(language: str) -> None:
    """Bring the catalogue up to the texts: new ones untranslated, unused ones gone, nothing guessed."""
    kept, fresh = read(language), Catalog(locale=to_locale(language))
    for one in texts():
        text: str | tuple[str, str] = (one.text, one.plural) if one.plural else one.text
        context = one.context or None
        earlier = kept.get(text, context=context)
        fresh.add(text, earlier.string if earlier else "", locations=[(one.file, 0)], context=context)
    file = catalogue_file(language)
    file.parent.mkdir(parents=True, exist_ok=True)
    header = HEADER.format(
        name=fresh.locale.get_display_name("en"), locale=fresh.locale, plurals=fresh.plural_forms
    )
    with file.open("wb") as out:
        out.write(header.encode())
        write_po(out, fresh, width=110, sort_by_file=True, include_lineno=False, omit_header=True)


def faults(language: str) -> list[str]:
    """What is wrong with the catalogue, one sentence each; nothing where it is complete."""
    catalogue = read(language)
    wanted = {(one.context, one.text, one.plural) for one in texts()}
    # A text that is also there with a plural is one entry with it.
    wanted -= {(context, text, "") for context, text, plural in wanted if plural}
    there = {_key(message): message for message in catalogue if message.id}
    said = [f"Not in the catalogue: {text!r}" for _context, text, _plural in sorted(wanted - set(there))]
    said += [f"No longer used: {text!r}" for _context, text, _plural in sorted(set(there) - wanted)]
    for message in there.values():
        said += _faults_of(message, catalogue.num_plurals)
    return said


def _key(message: Message) -> tuple[str, str, str]:
    text, plural = message.id if isinstance(message.id, tuple | list) else (message.id, "")
    return message.context or "", text, plural


def _faults_of(message: Message, forms: int) -> Iterator[str]:
    _context, text, plural = _key(message)
    given = message.string if isinstance(message.string, tuple | list) else (message.string,)
    strings = [string or "" for string in given]
    if message.fuzzy:
        yield f"Fuzzy: {text!r}"
    if not all(strings):
        yield f"Not translated: {text!r}"
        return
    if len(strings) != (forms if plural else 1):
        yield f"{len(strings)} forms instead of {forms if plural else 1}: {text!r}"
    allowed = placeholders(text) | placeholders(plural)
    for string in strings:
        # A form for exactly one may say "one" in words; it may not invent a placeholder.
        needed = placeholders(plural or text) - ({"count", "n", "number"} if plural else set())
        if not needed <= placeholders(string) <= allowed:
            yield f"Other placeholders: {text!r} became {string!r}"
        if string.strip() != string and text.strip() == text:
            yield f"White space at an end: {text!r} became {string!r}"


def placeholders(text: str) -> set[str]:
    return {named or braced or sign for named, braced, sign in PLACEHOLDER.findall(text)}
