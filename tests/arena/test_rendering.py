import html
import re
from html.parser import HTMLParser

import pytest

from arena.models import Response
from arena.services import rendering
from arena.services.battles import blind_view
from arena.services.markup.sanitiser import TAGS
from arena.services.rendering import (
    LONGEST_TEXT,
    html_of,
    normalise_text,
    render_conversation,
    render_markdown,
)
from arena.views.outputs import shown
from tests import factories
from tests.hostile import ATTACKS

FROM_US = {
    ("a", "href"),
    ("a", "title"),
    ("a", "rel"),
    ("ol", "start"),
    *((tag, "dir") for tag in ("blockquote", "code", "ol", "pre", "table", "ul")),
    *((tag, "class") for tag in ("code", "div", "li", "span")),
    *((tag, "tabindex") for tag in ("div", "span")),
}
CLASSES = {"formula", "scroll", "task", "hb", "hc", "hd", "hf", "hi", "hk", "hn", "hs"}


class Strict(HTMLParser):
    """Fails on any tag, attribute, class or address that is not on the list."""

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS, tag
        for name, value in attrs:
            if tag[0] == "m" or tag == "none":
                assert name == "alttext" or re.fullmatch(r"[\w.+ %-]*", value), (tag, name, value)
                assert not name.startswith("on"), name
                assert name not in ("href", "style", "class", "id", "mathcolor", "mathbackground"), name
                continue
            assert (tag, name) in FROM_US, (tag, name)
            if name == "class":
                assert value in CLASSES, value
            if name == "href":
                assert re.match(r"(https?|mailto):", value) or not re.match(r"[\w+.-]*:", value), value

    def handle_comment(self, data):
        raise AssertionError(f"A comment: {data}")

    handle_decl = handle_pi = handle_comment


def test_the_corpus_is_there():
    assert len(set(ATTACKS)) >= 150


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_becomes_harmless(attack):
    for text in (attack, f"> {attack}", f"- {attack}", f"*{attack}*", f"a\n\n{attack}\n\nb"):
        Strict(convert_charrefs=True).feed(render_markdown(text))


def test_markdown_looks_as_it_was_meant():
    shown = render_markdown("# Title\n\n**bold** `code`\n\n1. one\n2. two\n\n|a|b|\n|-|-|\n|1|2|\n")

    for part in (
        "<h3>Title</h3>",
        "<strong>bold</strong>",
        '<code dir="auto">code</code>',
        '<ol dir="auto">',
        "<td>2</td>",
    ):
        assert part in shown


def test_headings_stay_below_those_of_the_page():
    shown = render_markdown("\n\n".join(f"{'#' * level} h" for level in range(1, 7)))

    assert re.findall(r"<h(\d)>", shown) == ["3", "4", "5", "6", "6", "6"]


def test_links_lead_away_without_a_trace():
    shown = render_markdown("[x](https://example.org) <mailto:a@example.org>")

    assert shown.count('rel="nofollow noopener noreferrer ugc"') == 2
    assert 'href="https://example.org"' in shown


def test_an_image_is_told_in_words_and_not_fetched():
    shown = render_markdown("see ![a cat](https://example.org/cat.png) and ![](https://example.org/x.png)")

    assert shown == "<p>see [image: a cat] and [image]</p>\n"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\x00b\x07c\x9bd", "abcd"),
        ("tab\there", "tab\there"),
        ("left\u202eright\u2066x", "leftrightx"),
        ("half \ud83d a character", "half  a character"),
        ("a" + "\u0301" * 50, "a" + "\u0301" * 8),
        ("  around  ", "around"),
        ("שלום\u200f family 👨‍👩‍👧", "שלום\u200f family 👨‍👩‍👧"),
    ],
)
def test_text_is_cleaned_of_what_cannot_be_shown(text, clean):
    assert normalise_text(text) == clean
    assert normalise_text(clean) == clean  # once is enough


def test_endless_text_is_cut_and_says_so():
    cut = normalise_text("é" * 10_000_000)

    assert len(cut.encode()) <= LONGEST_TEXT
    assert cut.endswith("longer than 256 KiB.]")
    assert "\ufffd" not in cut


@pytest.mark.parametrize(
    "text",
    [
        "`" * 10**6,
        ">" * 10**5,
        "- " * 10**5,
        "[" * 10**5,
        "[a](" * 50_000,
        "*a" * 10**5,
        "\\[\n" * 10**5,
        "$a " * 10**5,
        "|a" * 50_000,
        "<" * 10**6,
    ],
)
def test_text_made_to_exhaust_the_reader_is_shown_as_it_is(text):
    shown = render_markdown(text)

    assert shown.startswith("<pre>")
    Strict(convert_charrefs=True).feed(shown)


# --- formulas -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "alternative"),
    [
        ("so $x^2$ is", "x^2"),
        (r"so \(x^2\) is", "x^2"),
        ("so $$x^2$$ is", "x^2"),
        ("$$\nx^2\n$$", "x^2"),
        ("- item\n$$\nx\n- y\n$$", "x\n- y"),
        (r"\[ x^2 \]", "x^2"),
        ("> \\[\n> x^2\n> \\]", "x^2"),
        ("\\begin{align}\nx &= y\n\\end{align}", "\\begin{align}\nx &amp;= y\n\\end{align}"),
        ("| a |\n|---|\n| $x^2$ |", "x^2"),
        ("($x$)", "x"),
        ("$x$, $y$", "x"),
    ],
)
def test_a_formula_becomes_mathml_with_its_source_beside_it(text, alternative):
    made = render_markdown(text)

    assert f'<math alttext="{alternative}"' in made
    assert "<mi>x</mi>" in made
    Strict(convert_charrefs=True).feed(made)


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $6",
        "It costs $5 for one and 3$ for two",
        "US$5 or $6",
        "$5/$6",
        "from $10-$20 a day",
        "set $HOME and $PATH",
        "`$x$`",
        "```\n$x$\n```",
        r"\$x$",
        "a $ b $ c",
        "$\n\nx$",
        "cash$x$flow",
    ],
)
def test_a_dollar_in_prose_is_no_formula(text):
    assert "<math" not in render_markdown(text)


@pytest.mark.parametrize(
    "latex",
    [
        r"\unknowncommand{x}",
        r"\frac{1}{",
        r"\left( x",
        r"\def\a{\a\a}\a",
        "x" * 2001,
        "{" * 40 + "x" + "}" * 40,
        r"\begin{matrix} 1",
        "x" + "^2" * 100,
    ],
)
def test_a_formula_that_cannot_be_read_is_shown_as_it_was_written(latex):
    made = render_markdown(f"so ${latex}$ is")

    assert "<math" not in made
    assert latex.replace("&", "&amp;") in made


def test_formulas_beyond_the_allowance_of_a_text_are_shown_as_they_were_written():
    made = render_markdown("$x_1^2$ " * 3900)

    assert 0 < made.count("<math") < 3900
    assert made.count("x_1^2") == 3900


# --- code, tables, tasks ----------------------------------------------------------------------


def test_code_has_its_words_told_apart_and_nothing_lost():
    made = render_markdown('```python\ndef f(x):  # why\n    return "<b>" + 1\n```')

    for part in ('<span class="hk">def', '<span class="hs">"&lt;b&gt;"', '<span class="hc"># why', 'hn">1'):
        assert part in made
    assert html.unescape(re.sub(r"<[^>]+>", "", made)) == 'def f(x):  # why\n    return "<b>" + 1\n\n'


def test_code_in_a_language_nobody_knows_is_plain():
    assert render_markdown("```klingon\n<x>\n```") == '<pre dir="ltr"><code>&lt;x&gt;\n</code></pre>\n'


def test_a_wide_table_scrolls_by_itself_and_by_keyboard():
    narrow, wide = (f"{'|a' * columns}|\n{'|-' * columns}|\n" for columns in (2, 5))

    assert "tabindex" not in render_markdown(narrow)
    assert render_markdown(wide).startswith('<div class="scroll" tabindex="0">')


def test_tasks_and_struck_words():
    made = render_markdown("- [ ] to do\n- [x] done\n- [y](z)\n\n~~gone~~")

    assert made.count('<li class="task">') == 2
    assert "☐ to do" in made
    assert "☑ done" in made
    assert "<s>gone</s>" in made


# --- kept, and made anew ------------------------------------------------------------------------


def test_a_conversation_names_who_speaks_and_no_text_can_forge_it():
    said = [
        {"role": "user", "content": "And *you*?"},
        {"role": "assistant", "content": '<p class="role">user</p>\n\n**Fine.**'},
    ]

    made = render_conversation(said)

    assert made.count('<p class="role">') == 2
    assert "<strong>Fine.</strong>" in made
    assert '<p class="role">User</p>' in shown("", made)


@pytest.mark.django_db
def test_html_of_an_older_renderer_is_made_anew_once(open_arena, monkeypatch, django_assert_num_queries):
    battle = factories.make_battle(open_arena)
    response = battle.slots.first().response
    Response.objects.filter(pk=response.pk).update(text="**now**", html="<p>then</p>", renderer=0)

    assert blind_view(battle)["slots"][0]["html"] == "<p><strong>now</strong></p>\n"

    kept = Response.objects.get(pk=response.pk)
    assert (kept.html, kept.renderer) == ("<p><strong>now</strong></p>\n", rendering.RENDERER)
    with django_assert_num_queries(0):
        html_of(kept)
