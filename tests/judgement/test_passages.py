"""Where a passage of what is shown stands in the text, in code points."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.services.passages import parts, sentences, shown_span, shown_text, source_span
from arena.services.rendering import render_markdown

TEXT = """# Title one

Hello *world* and **bold words** with `code` & <b>tags</b> 🌍 after.

1. First [link](https://example.com/a_very_long_address) item
2. Second \\* star item, done in 2024. Then more.

```python
x = 1
print("hi")
```

| a | b |
|---|---|
| one | two |
"""


@pytest.mark.parametrize(
    ("words", "source"),
    [
        ("world", "world"),
        ("bold words", "bold words"),
        ("world and bold", "world* and **bold"),
        ("code", "code"),
        ("<b>tags</b>", "<b>tags</b>"),
        ("🌍 after", "🌍 after"),
        ("after", "after"),
        ("First link item", "First [link](https://example.com/a_very_long_address) item"),
        ("* star", "* star"),
        ('print("hi")', 'print("hi")'),
        ("two", "two"),
        ("Title", "Title"),
    ],
)
def test_words_that_are_shown_are_found_in_the_markdown(words, source):
    shown = shown_text(render_markdown(TEXT))
    at = shown.index(words)

    start, end = source_span(TEXT, shown, at, at + len(words))

    assert TEXT[start:end] == source
    assert shown_span(TEXT, shown, start, end) == (at, at + len(words))


WORDS = st.lists(st.text("abcdefghij", min_size=3, max_size=9), min_size=3, max_size=30)
DRESSED = st.sampled_from(
    ["{}", "**{}**", "*{}*", "`{}`", "[{}](https://e.example/x)", "{} 🌍", "{}\n\n", "- {}\n"]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(WORDS, st.data())
def test_any_word_of_any_markdown_is_found_where_it_was_written(words, data):
    """Each word is another one, so that there is one right place for it."""
    words = [f"{word}{number:02d}" for number, word in enumerate(words)]
    text = " ".join(data.draw(DRESSED).format(word) for word in words)
    shown = shown_text(render_markdown(text))

    for word in words:
        at = shown.index(word)
        assert source_span(text, shown, at, at + len(word)) == (
            text.index(word),
            text.index(word) + len(word),
        )


def test_what_is_from_nowhere_is_between_its_neighbours():
    text, shown = "before $$x^2$$ after", "before ⟦formula⟧ after"

    start, end = source_span(text, shown, 7, 16)

    assert text[start:end] == "$$x^2$$"


def test_nothing_but_space_is_no_passage():
    assert source_span("one two", "one two", 3, 4) is None


def test_sentences_are_whole_and_code_is_by_line():
    found = [TEXT[start:end] for start, end in sentences(TEXT)]

    assert found[:2] == [
        "# Title one",
        "Hello *world* and **bold words** with `code` & <b>tags</b> 🌍 after.",
    ]
    assert "2. Second \\* star item, done in 2024." in found
    assert "Then more." in found
    assert 'print("hi")' in found
    assert "```python" not in found


def test_paragraphs_keep_a_block_of_code_whole():
    text = "One\nline.\n\n```\na\n\nb\n```\nafter\n\n\nLast."

    assert [text[start:end] for start, end in parts(text, "paragraph")] == [
        "One\nline.", "```\na\n\nb\n```\nafter", "Last.",
    ]  # fmt: skip


def test_steps_are_what_is_numbered_and_else_paragraphs():
    text = "Plan:\n1. Look.\n   Well.\n2. Leap."

    assert [text[start:end] for start, end in parts(text, "step")] == [
        "Plan:", "1. Look.\n   Well.", "2. Leap.",
    ]  # fmt: skip
    assert parts("No list.\n\nHere.", "step") == parts("No list.\n\nHere.", "paragraph")


@pytest.mark.parametrize(
    "cut", [sentences, lambda text: parts(text, "paragraph"), lambda text: parts(text, "step")]
)
def test_a_long_text_has_at_most_two_hundred_passages(cut):
    text = "1. A sentence.\n\n" * 1000
    found = cut(text)

    assert len(found) == 200
    assert found[-1][1] == len(text.rstrip())


@settings(deadline=None, max_examples=100)
@given(st.text("ab.! \n`*#🌍1-", max_size=80))
def test_passages_of_any_text_are_in_order_and_hold_something(text):
    for found in (sentences(text), parts(text, "paragraph"), parts(text, "step")):
        ends = [0, *[place for span in found for place in span]]
        assert ends == sorted(ends)
        assert all(text[start:end].strip() for start, end in found)
