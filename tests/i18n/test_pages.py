"""Every page in every language: it renders, and nothing on it is still English."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.test import Client
from django.utils import translation
from django.utils.translation import gettext

from arena import translations
from tests.members.test_authorization import ALL_ROUTES, address, browser_of, cellar, row_of

__all__ = ["cellar"]  # a fixture: one of everything

ROOT = translations.ROOT
LANGUAGES = translations.languages()
SPOKEN = ("aria-label", "title", "placeholder", "alt", "data-label", "aria-description")
SILENT = {"script", "style", "code", "kbd", "pre", "bdi", "math"}
EMPTY = {"meta", "link", "input", "br", "img", "hr", "path", "rect", "line", "circle", "source"}
HEADINGS = {"h1", "h2", "h3", "th", "legend", "label", "summary", "button", "caption"}
# Names and signs that are the same in every language.
NAMES = re.compile(
    r"Preference Arena|SHA-256|Markdown|JSON|CSV|API|LMArena|TRL|DPO|Plackett|Bradley|Terry|Luce|KL|SFT"
    r"|K-Sort|English|Deutsch|Elo|Prolific|Webhook|[a-z_]+(-[a-z]+)+|\b[A-H]\b|https?://\S+|[\w.]+@[\w.]+|[A-Z_]{4,}"
)


class Words(HTMLParser):
    """The texts of a page, each with the element it is in; without those of another language."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, bool]] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        foreign = ("lang" in given and tag != "html") or tag in SILENT
        foreign = foreign or given.get("dir") == "auto" or "output" in (given.get("class") or "").split()
        self.texts += [(tag, given[name] or "") for name in SPOKEN if given.get(name)]
        if tag not in EMPTY:
            self.open.append((tag, foreign))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and not any(foreign for _tag, foreign in self.open):
            self.texts.append((self.open[-1][0] if self.open else "", text))


def is_page(route: str) -> bool:
    row = row_of(route)
    return (row is None or row.method == "get") and not route.startswith("api/")


def words_of(html: str) -> list[tuple[str, str]]:
    parser = Words()
    parser.feed(html)
    return parser.texts


@cache
def still_english(language: str) -> set[str]:
    """The English texts that this language says otherwise."""
    plain = {one.text for one in translations.texts() if "%" not in one.text}
    with translation.override(language):
        return {text for text in plain if gettext(text) != text}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("who", ["anonymous", "owner"])
def test_no_page_shows_a_text_that_was_not_translated(who, language, cellar, closed_arena, open_arena):
    """Neither a text of ours in English, nor, in Chinese, a heading, label or button in Latin letters."""
    arena = open_arena if who == "anonymous" else closed_arena
    client = browser_of(who, closed_arena)
    english, named, wrong, pages = still_english(language), names_in(arena), set(), 0
    for route in filter(is_page, ALL_ROUTES):
        path = address(route, {**cellar, "slug": arena.slug})
        answer = client.get(path, headers={"accept-language": language})
        if "text/html" not in answer.headers.get("Content-Type", "") or answer.status_code == 302:
            continue
        pages += 1
        assert answer.status_code < 500, route
        for tag, text in words_of(answer.content.decode()):
            latin = language == "zh-hans" and tag in HEADINGS and text not in named and is_latin(text)
            if text in english or latin:
                wrong.add(f"{route}: <{tag}> {text}")
    assert pages > 10
    assert not wrong, "\n".join(sorted(wrong))


def is_latin(text: str) -> bool:
    """What was never marked for translation shows so: a word in it, and no Chinese."""
    word = re.search(r"[a-z]{3}", NAMES.sub("", text.replace("&", "")))
    return bool(word) and not re.search(r"[一-鿿]", text)


def names_in(arena) -> set[str]:
    """What people have named: never translated."""
    names = {arena.name, "Tuned", "Export"}
    names |= set(arena.contestants.values_list("name", flat=True))
    return names | set(arena.memberships.values_list("user__username", flat=True))


def test_dates_on_a_page_are_in_the_reader_s_order(cellar, closed_arena):
    client = browser_of("owner", closed_arena)
    path = address("jobs/<int:pk>/", cellar)

    german = client.get(path, headers={"accept-language": "de"}).content.decode()
    chinese = client.get(path, headers={"accept-language": "zh-hans"}).content.decode()

    assert re.search(r"\d{1,2}\. [A-ZÄ][a-zä]+ \d{4}, \d\d:\d\d:\d\d", german)
    assert re.search(r"\d{4}年\d{1,2}月\d{1,2}日 \d\d:\d\d:\d\d", chinese)


# --- nothing is left unmarked --------------------------------------------------------------

TEMPLATES = sorted(
    path for package in translations.PACKAGES for path in (ROOT / package / "templates").rglob("*.html")
)
MARKED = re.compile(
    r"\{#.*?#\}|\{% comment.*?endcomment %\}|\{% blocktranslate.*?endblocktranslate %\}"
    r"|<(script|style|code|kbd|svg|pre)\b.*?</\1>|\{%.*?%\}|\{\{.*?\}\}",
    re.DOTALL,
)


def unmarked(source: str) -> list[str]:
    """The words between tags, and in the attributes that are read aloud, which no tag translates."""
    bare = MARKED.sub(" ", source)
    said = re.findall(r">([^<>]*[A-Za-z]{2}[^<>]*)<", "<x>" + re.sub(r"<!.*?>", "", bare) + "<x>")
    spoken = re.findall(rf'\b(?:{"|".join(SPOKEN)})="([^"]*)"', bare)
    said += [text for text in spoken if not re.fullmatch("[a-z]+", text)]  # data-label="good" is a key
    # Attributes that a block leaves among the words are no words.
    ours = (re.sub(r'[\w-]+="[^"]*"', "", NAMES.sub("", one)) for one in said)
    return [" ".join(one.split()) for one in ours if re.search("[A-Za-z]{2}", one)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_word_of_a_template_is_marked_for_translation(path):
    assert unmarked(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "<h1>Hello there</h1>",
        '<a title="Go on">{{ x }}</a>',
        "{% if a %}Some words{% endif %}",
        "<p>{{ n }} votes</p>",
    ],
)
def test_an_unmarked_word_is_seen(source):
    assert unmarked(source)


SCRIPTS = sorted(
    path for package in translations.PACKAGES for path in (ROOT / package / "static").rglob("*.js")
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_holds_no_sentences(path):
    """They would stay English: a script takes its words from the page."""
    code = re.sub(r"^\s*//.*$|/\*.*?\*/|(?<=[;{,)])\s*//.*$", "", path.read_text(), flags=re.MULTILINE)
    strings = re.findall(r'"([^"\n]*)"|`([^`]*)`', code)

    assert [a or b for a, b in strings if re.match(r"[A-Z][a-z]+ [a-z]", a or b)] == []


def test_there_are_templates_and_scripts_to_look_at():
    assert len(TEMPLATES) > 40
    assert any(path.name == "vote.js" for path in SCRIPTS)


def test_pages_of_faults_are_translated(client: Client, db):
    page = client.get("/no/such/page", headers={"accept-language": "zh-hans"})

    assert page.status_code == 404
    assert "<h1>未找到</h1>" in page.content.decode()


def test_the_locale_folder_has_one_catalogue_a_language():
    files = {str(Path(file).relative_to(translations.SOURCES)) for file in translations.SOURCES.rglob("*.po")}

    assert files == {"de/LC_MESSAGES/django.po", "zh_Hans/LC_MESSAGES/django.po"}
