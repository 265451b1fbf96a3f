"""The catalogues are complete, fit the texts they translate, and are compiled where nobody has gettext."""

import threading
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from django.utils import translation
from django.utils.translation import gettext, ngettext

from arena import catalogues, translations
from arena.translations import Text

LANGUAGES = translations.languages()
PO = """\
msgid ""
msgstr ""
"Language: de\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

"""


def test_there_are_two_languages_beside_english():
    assert LANGUAGES == ["de", "zh-hans"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated_and_none_is_stale(language):
    assert translations.faults(language) == [], "run `manage.py translations` and fill in what is empty"


@pytest.mark.parametrize(
    ("language", "said", "many"), [("de", "Rangliste", "3 Stimmen"), ("zh-hans", "排行榜", "3 票")]
)
def test_the_compiled_catalogue_is_what_django_speaks(language, said, many):
    with translation.override(language):
        assert gettext("Leaderboard") == said
        assert ngettext("%(number)s vote", "%(number)s votes", 3) % {"number": 3} == many


# --- what the check finds ------------------------------------------------------------------


@pytest.fixture
def written(tmp_path, monkeypatch):
    """`written(po, texts)`: the faults of this catalogue beside these texts of the product."""

    def faults(po: str, *texts: Text) -> list[str]:
        file = tmp_path / "django.po"
        file.write_text(PO + po)
        monkeypatch.setattr(translations, "catalogue_file", lambda language: file)
        monkeypatch.setattr(translations, "texts", lambda: list(texts))
        return translations.faults("de")

    return faults


@pytest.mark.parametrize(
    ("po", "text", "fault"),
    [
        ("", Text("a.py", "Vote"), "Not in the catalogue: 'Vote'"),
        ('msgid "Vote"\nmsgstr ""', Text("a.py", "Vote"), "Not translated: 'Vote'"),
        ('#, fuzzy\nmsgid "Vote"\nmsgstr "Stimme"', Text("a.py", "Vote"), "Fuzzy: 'Vote'"),
        ('msgid "Hi %(name)s"\nmsgstr "Hallo"', Text("a.py", "Hi %(name)s"), "Other placeholders"),
        ('msgid "Hi %(name)s"\nmsgstr "Hallo %(nmae)s"', Text("a.py", "Hi %(name)s"), "Other placeholders"),
        ('msgid "Hi %s"\nmsgstr "Hallo"', Text("a.py", "Hi %s"), "Other placeholders"),
        ('msgid "Vote"\nmsgstr "Stimme "', Text("a.py", "Vote"), "White space"),
        (
            'msgid "%(n)s vote"\nmsgid_plural "%(n)s votes"\nmsgstr[0] "%(n)s Stimme"\nmsgstr[1] ""',
            Text("a.py", "%(n)s vote", "%(n)s votes"),
            "Not translated",
        ),
    ],
)
def test_a_fault_of_a_catalogue_is_named(written, po, text, fault):
    [said] = written(po, text)

    assert said.startswith(fault)


def test_a_text_that_is_gone_from_the_product_is_named(written):
    assert written('msgid "Vote"\nmsgstr "Stimme"\n') == ["No longer used: 'Vote'"]


def test_a_good_catalogue_has_no_fault(written):
    plural = 'msgid "One of %(all)s"\nmsgid_plural "%(n)s of %(all)s"\nmsgstr[0] "Eins von %(all)s"\n'

    assert (
        written(plural + 'msgstr[1] "%(n)s von %(all)s"', Text("a", "One of %(all)s", "%(n)s of %(all)s"))
        == []
    )


# --- finding the texts ---------------------------------------------------------------------


def test_texts_are_found_in_templates_however_they_are_marked(tmp_path, monkeypatch):
    (tmp_path / "arena/templates").mkdir(parents=True)
    page = """{% load i18n %}{% if a %}<p>{% translate "Plain" %}</p>{% else %}{% translate 'At 95 %' as x %}
        {% blocktranslate trimmed %}
          Over
          two lines of {{ name }}
        {% endblocktranslate %}{% endif %}
      {% blocktranslate context "card" count n=n %}{{ n }} one{% plural %}{{ n }} more{% endblocktranslate %}
        {{ a|default:_("None") }}{% translate variable %}"""
    (tmp_path / "arena/templates/page.html").write_text(page)
    monkeypatch.setattr(translations, "ROOT", tmp_path)
    file = "arena/templates/page.html"

    assert set(translations.texts()) == {
        Text(file, "Plain"),
        Text(file, "At 95 %%"),
        Text(file, "Over two lines of %(name)s"),
        Text(file, "%(n)s one", "%(n)s more", "card"),
        Text(file, "None"),
    }


def test_texts_are_found_in_python_however_they_are_marked(tmp_path, monkeypatch):
    (tmp_path / "arena/migrations").mkdir(parents=True)
    (tmp_path / "arena/migrations/0001.py").write_text('_("Not this one")')
    (tmp_path / "arena/code.py").write_text(
        'a = _("Plain") + gettext_lazy("Lazy " "in two parts") + gettext_noop("Stored")\n'
        'b = ngettext("%(n)s one", "%(n)s many", n) + pgettext("a card", "Best") + _(variable)\n'
    )
    monkeypatch.setattr(translations, "ROOT", tmp_path)
    file = "arena/code.py"

    assert set(translations.texts()) == {
        Text(file, "Plain"),
        Text(file, "Lazy in two parts"),
        Text(file, "Stored"),
        Text(file, "%(n)s one", "%(n)s many"),
        Text(file, "Best", context="a card"),
    }


# --- compiling -----------------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path) -> Path:
    file = tmp_path / "locale/de/LC_MESSAGES/django.po"
    file.parent.mkdir(parents=True)
    file.write_text(PO + 'msgid "Vote"\nmsgstr "Stimme"\n')
    return tmp_path / "locale"


def test_catalogues_are_compiled_once_and_anew_when_a_text_changes(sources, tmp_path):
    first = catalogues.compiled(sources, tmp_path / "out")
    mo = first / "de/LC_MESSAGES/django.mo"
    made = mo.stat().st_mtime_ns

    assert catalogues.compiled(sources, tmp_path / "out") == first
    assert mo.stat().st_mtime_ns == made

    (sources / "de/LC_MESSAGES/django.po").write_text(PO + 'msgid "Vote"\nmsgstr "Votum"\n')
    second = catalogues.compiled(sources, tmp_path / "out")

    assert second != first
    assert b"Votum" in (second / "de/LC_MESSAGES/django.mo").read_bytes()


def test_old_compiled_catalogues_go_but_the_last_stays_for_whoever_still_reads_it(sources, tmp_path):
    made = []
    for number in range(4):
        (sources / "de/LC_MESSAGES/django.po").write_text(PO + f'msgid "Vote"\nmsgstr "Stimme {number}"\n')
        made.append(catalogues.compiled(sources, tmp_path / "out"))

    assert sorted((tmp_path / "out").iterdir()) == sorted(made[-2:])


def test_processes_that_start_together_compile_the_same_folder(sources, tmp_path):
    found: list[Path] = []
    starters = [
        threading.Thread(target=lambda: found.append(catalogues.compiled(sources, tmp_path / "out")))
        for _ in range(6)
    ]
    for one in starters:
        one.start()
    for one in starters:
        one.join()

    assert len(found) == 6
    assert [found[0]] == list((tmp_path / "out").iterdir())  # no draft is left over


def test_no_compiled_catalogue_lies_among_the_sources():
    assert list(catalogues.SOURCES.rglob("*.mo")) == []
    for file in catalogues.SOURCES.rglob("*.po"):
        with file.open("rb") as text:
            assert read_po(text).num_plurals in (1, 2)
