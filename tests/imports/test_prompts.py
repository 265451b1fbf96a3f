import pytest

from arena.errors import BadInput, BadRow
from arena.models import AuditEntry, Contestant, Prompt, Response
from arena.services.imports import import_prompts, import_responses
from tests import factories


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_prompts_come_with_their_key_tags_and_split(arena, write, ending):
    file = write(
        f"prompts.{ending}",
        [
            {"key": "a", "text": "Why is the sky blue?", "tags": ["nature", "short"], "split": "train"},
            {"key": "b", "text": "Tell a story.", "tags": ["story"], "split": "held_out"},
        ],
    )

    report = import_prompts(arena=arena, file=file)

    assert (report.rows, report.added, report.there_already) == (2, 2, 0)
    first, second = Prompt.objects.order_by("key")
    assert (first.key, first.text, first.tags, first.split) == (
        "a",
        "Why is the sky blue?",
        ["nature", "short"],
        "train",
    )
    assert second.split == "held_out"
    assert AuditEntry.objects.get().action == "prompts imported"


def test_messages_are_taken_as_they_are(arena, write):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Bye"},
    ]

    import_prompts(arena=arena, file=write("prompts.jsonl", [{"messages": messages}]))

    assert Prompt.objects.get().messages == messages


def test_the_same_file_twice_adds_nothing(arena, write):
    file = write("prompts.jsonl", [{"text": "One?"}, {"text": "Two?"}])
    import_prompts(arena=arena, file=file)

    report = import_prompts(arena=arena, file=file)

    assert (report.added, report.there_already) == (0, 2)
    assert Prompt.objects.count() == 2


def test_a_share_is_held_out_and_the_draw_is_by_content(arena, write):
    file = write("prompts.jsonl", [{"text": f"Question {number}?"} for number in range(1000)])

    import_prompts(arena=arena, file=file, held_out=0.15)
    import_prompts(arena=factories.make_arena("other"), file=file, held_out=0.15)

    held_out = set(Prompt.objects.filter(arena=arena, split="held_out").values_list("key", flat=True))
    assert 110 <= len(held_out) <= 190
    other = Prompt.objects.filter(arena__slug="other", split="held_out").values_list("key", flat=True)
    assert set(other) == held_out


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"key": "x"}, "Line 2: It has no text: give it a column text, or messages. Nothing was imported."),
        ({"text": " \n "}, "Line 2: The prompt is empty."),
        ({"text": ["a"]}, "Line 2: text is ['a']; it must be a text."),
        ({"text": "x", "split": "dev"}, "Line 2: Its split is 'dev'; it must be train or held_out."),
        ({"text": "x", "tags": [1]}, "Line 2: Its tags are not a list of words."),
        ({"text": "x", "key": "k" * 121}, "Line 2: Its key is longer than 120 characters."),
        ({"text": "x", "key": "first"}, "Line 2: Its key first stands for another prompt in line 1."),
        ({"messages": []}, "Line 2: messages must be a list with at least one message."),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "Line 2: The last message must be from"),
        ({"messages": [{"role": "wizard", "content": "Hi"}]}, "Line 2: The role is 'wizard'"),
        ({"messages": "[{"}, "Line 2: messages is '[{'; it must be JSON."),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_half_imported(arena, write, row, sentence):
    file = write("prompts.jsonl", [{"text": "Good?", "key": "first"}, row])

    with pytest.raises(BadRow) as caught:
        import_prompts(arena=arena, file=file)

    assert str(caught.value).startswith(sentence)
    assert not Prompt.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_key_of_the_arena_keeps_its_prompt(arena, write):
    factories.make_prompt(arena, "Old?", key="a")

    with pytest.raises(BadInput, match="another prompt with the key a already"):
        import_prompts(arena=arena, file=write("prompts.jsonl", [{"text": "New?", "key": "a"}]))

    assert Prompt.objects.get().text == "Old?"


def test_an_empty_file_is_refused(arena, write):
    with pytest.raises(BadInput, match="holds no prompts"):
        import_prompts(arena=arena, file=write("prompts.jsonl", []))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_responses_of_models_made_elsewhere(arena, write, ending):
    factories.make_prompt(arena, "Why?", key="q1")
    import_prompts(arena=arena, file=write("prompts.jsonl", [{"text": "By its text?"}]))
    file = write(
        f"responses.{ending}",
        [
            {"prompt": "q1", "model": "Ann", "text": "**Because**", "sample": 0},
            {"prompt": "q1", "model": "Ann", "text": "So", "sample": 1},
            {"prompt": "By its text?", "model": "Bob", "text": "Yes", "sample": 0},
        ],
    )

    report = import_responses(arena=arena, file=file)
    again = import_responses(arena=arena, file=file)

    assert (report.added, again.added, again.there_already) == (3, 0, 3)
    assert {one.name: one.backend for one in Contestant.objects.all()} == {
        "Ann": "uploaded",
        "Bob": "uploaded",
    }
    first = Response.objects.get(contestant__name="Ann", sample=0)
    assert first.html == "<p><strong>Because</strong></p>\n"


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"prompt": "q9", "model": "Ann", "text": "x"}, "Line 2: There is no prompt 'q9' in the arena."),
        ({"model": "Ann", "text": "x"}, "Line 2: It names no prompt."),
        ({"prompt": "q1", "text": "x"}, "Line 2: It names no model."),
        ({"prompt": "q1", "model": "Ann", "text": " "}, "Line 2: Its text is empty."),
        ({"prompt": "q1", "model": "Ann", "text": "other"}, "Line 2: Ann has another text for this prompt"),
        ({"prompt": "q1", "model": "Ann", "text": "x", "sample": "b"}, "Line 2: Its sample is 'b'"),
        ({"prompt": "q1", "model": "Own", "text": "x"}, "Line 2: Own makes its own responses here"),
        ({"prompt": "q1", "model": "n" * 121, "text": "x"}, "Line 2: The name nnn"),
    ],
)
def test_a_bad_response_is_named_and_nothing_is_half_imported(arena, write, row, sentence):
    factories.make_prompt(arena, "Why?", key="q1")
    factories.make_contestant(
        arena, "Own", backend="openai", endpoint="http://127.0.0.1/v1", endpoint_model="m"
    )
    file = write("responses.jsonl", [{"prompt": "q1", "model": "Ann", "text": "Because"}, row])

    with pytest.raises(BadRow) as caught:
        import_responses(arena=arena, file=file)

    assert str(caught.value).startswith(sentence)
    assert not Response.objects.exists()
    assert [one.name for one in Contestant.objects.all()] == ["Own"]
