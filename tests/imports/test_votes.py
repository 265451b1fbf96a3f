import json
import uuid

import pytest

from arena.errors import BadInput, BadRow
from arena.models import AuditEntry, Battle, Contestant, Prompt, Response, Slot, Vote, Voter
from arena.services.data_sets import data_set_folder, request_data_set, write_data_set
from arena.services.imports import import_votes
from arena.services.leaderboards import current_leaderboard
from tests import factories

PAIR = {"model_a": "Ann", "model_b": "Bob", "winner": "model_a"}


def said(*texts: str) -> list[dict]:
    """A conversation in the 140k form: the user begins."""
    roles = ["user", "assistant"] * len(texts)
    return [
        {"role": role, "content": [{"type": "text", "text": text, "image": None, "mimeType": None}]}
        for role, text in zip(roles, texts, strict=False)
    ]


def nothing_was_imported() -> bool:
    tables = (Vote, Battle, Slot, Response, Prompt, Contestant, Voter, AuditEntry)
    return not any(table.objects.exists() for table in tables)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_pairs_in_lmarena_s_words_become_votes(arena, write, ending):
    words = ["model_a", "model_b", "tie", "both_bad", "tie (bothbad)"]
    file = write(f"votes.{ending}", [PAIR | {"winner": word} for word in words])

    report = import_votes(arena=arena, file=file)

    assert (report.rows, report.added) == (5, 5)
    assert [(vote.kind, vote.ranks) for vote in Vote.objects.all()] == [
        ("ranking", [1, 2]),
        ("ranking", [2, 1]),
        ("ranking", [1, 1]),
        ("all_bad", None),
        ("all_bad", None),
    ]
    assert {one.name: one.backend for one in Contestant.objects.all()} == {
        "Ann": "uploaded",
        "Bob": "uploaded",
    }
    assert not Battle.objects.open().exists()


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_rankings_of_k_become_votes(arena, write, ending):
    file = write(
        f"votes.{ending}",
        [
            {"models": ["Ann", "Bob", "Cy"], "ranks": [1, 3, 3]},
            {"models": ["Cy", "Ann", "Bob"], "ranks": [None, 1, None]},
            {"models": ["Cy", "Ann", "Bob"], "ranks": [2, 1, None]},
        ],
    )

    import_votes(arena=arena, file=file)

    assert [(vote.kind, vote.ranks) for vote in Vote.objects.all()] == [
        ("ranking", [1, 2, 2]),
        ("best", [None, 1, None]),
        ("ranking", [2, 1, None]),
    ]
    names = Slot.objects.filter(battle__votes=Vote.objects.all()[1]).order_by("position")
    assert [slot.contestant.name for slot in names] == ["Cy", "Ann", "Bob"]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_the_140k_form_brings_prompt_responses_and_session(arena, write, ending):
    file = write(
        f"votes.{ending}",
        [
            PAIR
            | {
                "id": "b-1",
                "evaluation_session_id": "session-7",
                "evaluation_order": 2,
                "conversation_a": said("Why?", "Because."),
                "conversation_b": said("Why?", "So."),
                "language": "en",
                "is_code": False,
                "timestamp": "2025-06-01T10:00:00",
            }
        ],
    )

    import_votes(arena=arena, file=file)

    vote = Vote.objects.get()
    slots = list(vote.battle.slots.order_by("position"))
    assert vote.battle.prompt.messages == [{"role": "user", "content": "Why?"}]
    assert [slot.response.text for slot in slots] == ["Because.", "So."]
    assert vote.details["voted_at"] == "2025-06-01T10:00:00+00:00"
    assert str(vote.details["file"]["evaluation_order"]) == "2"
    assert vote.voter.kind == "imported"
    assert "session-7" not in vote.voter.pseudonym


def test_imported_prompts_are_not_drawn_nor_answered_unless_shown(arena, write):
    row = PAIR | {"conversation_a": said("Why?", "Because."), "conversation_b": said("Why?", "*So.*")}
    import_votes(arena=arena, file=write("votes.jsonl", [row]))
    shown = factories.make_arena("shown")
    import_votes(arena=shown, file=write("votes.jsonl", [row]), show=True)

    assert Prompt.objects.active().get().arena == shown
    assert Response.objects.filter(prompt__arena=shown, text="*So.*").get().html == "<p><em>So.</em></p>\n"


def test_turns_that_both_sides_share_belong_to_the_prompt(arena, write):
    row = PAIR | {
        "conversation_a": said("Hi", "Hello", "Why?", "Because."),
        "conversation_b": said("Hi", "Hello", "Why?", "So."),
    }

    import_votes(arena=arena, file=write("votes.jsonl", [row]))

    assert [message["content"] for message in Prompt.objects.get().messages] == ["Hi", "Hello", "Why?"]
    assert sorted(Response.objects.values_list("text", flat=True)) == ["Because.", "So."]


def test_the_same_answer_of_both_sides_is_two_responses(arena, write):
    row = PAIR | {"conversation_a": said("Why?", "So."), "conversation_b": said("Why?", "So.")}

    import_votes(arena=arena, file=write("votes.jsonl", [row]))

    assert Prompt.objects.get().text == "Why?"
    assert list(Response.objects.values_list("text", "contestant__name").order_by("id")) == [
        ("So.", "Ann"),
        ("So.", "Bob"),
    ]


def test_several_turns_of_their_own_are_kept_as_a_transcript_and_not_trained_on(arena, write):
    row = PAIR | {
        "conversation_a": said("Hi", "Hello", "Why?", "Because."),
        "conversation_b": said("Hi", "Hey", "Why?", "So."),
    }
    import_votes(arena=arena, file=write("votes.jsonl", [row, PAIR]))

    response = Response.objects.get(contestant__name="Bob")
    assert response.text == "**Assistant:** Hey\n\n**User:** Why?\n\n**Assistant:** So."
    assert json.loads(response.raw)[1] == {"role": "user", "content": "Why?"}
    with pytest.raises(BadInput, match=r"1 \(several turns, each side its own\), 1 \(no text\)"):
        write_data_set(request_data_set(arena=arena))
    assert current_leaderboard(arena).counts


def test_the_55k_form_is_read(arena, write):
    row = {
        "id": 30192,
        "model_a": "Ann",
        "model_b": "Bob",
        "prompt": json.dumps(["Why?"]),
        "response_a": json.dumps(["Because."]),
        "response_b": json.dumps(["So."]),
        "winner_model_a": 0,
        "winner_model_b": 1,
        "winner_tie": 0,
    }

    import_votes(arena=arena, file=write("votes.csv", [row]))

    assert Vote.objects.get().ranks == [2, 1]
    assert Prompt.objects.get().text == "Why?"
    assert set(Response.objects.values_list("text", flat=True)) == {"Because.", "So."}


def test_a_question_put_to_many_pairs_and_judges_is_many_votes(arena, write):
    rows = [
        PAIR | {"question_id": 81, "judge": "expert_0", "turn": 1},
        PAIR | {"question_id": 81, "judge": "expert_1", "turn": 1},
        PAIR | {"question_id": 81, "judge": "expert_1", "turn": 2},
    ]

    import_votes(arena=arena, file=write("votes.jsonl", rows))

    assert Vote.objects.count() == 3
    assert Voter.objects.count() == 2


@pytest.mark.parametrize(
    ("texts", "note"),
    [
        ({"conversation_a": said(" ", "x"), "conversation_b": said(" ", "y")}, "an empty prompt"),
        ({"conversation_a": said("Why?", ""), "conversation_b": said("Why?", "y")}, "an empty response"),
        (
            {
                "conversation_a": [{"role": "user", "content": [{"type": "image", "image": "x"}]}],
                "conversation_b": said("Why?", "y"),
            },
            "a message that is not text",
        ),
    ],
)
def test_a_vote_whose_texts_cannot_be_used_still_counts(arena, write, texts, note):
    report = import_votes(arena=arena, file=write("votes.jsonl", [PAIR | texts]))

    assert report.notes == {f"without texts: {note}": 1}
    assert Vote.objects.count() == 1
    assert not Response.objects.exists()


def test_the_same_file_twice_adds_nothing(arena, write):
    rows = [PAIR, PAIR, PAIR | {"id": "x", "voter": "me"}]
    file = write("votes.jsonl", rows)
    first = import_votes(arena=arena, file=file)

    second = import_votes(arena=arena, file=file)

    assert (first.added, second.added, second.there_already) == (3, 0, 3)
    assert Vote.objects.count() == 3


def test_a_file_that_grew_adds_only_its_new_ids(arena, write):
    import_votes(arena=arena, file=write("votes.jsonl", [PAIR | {"id": 1}]))

    report = import_votes(arena=arena, file=write("votes.jsonl", [PAIR | {"id": 1}, PAIR | {"id": 2}]))

    assert (report.added, report.there_already) == (1, 1)


def test_a_repeated_text_is_one_response_and_another_text_a_second_sample(arena, write):
    def row(number: int, a: str) -> dict:
        return PAIR | {
            "id": number,
            "conversation_a": said("Why?", a),
            "conversation_b": said("Why?", "So."),
        }

    import_votes(
        arena=arena, file=write("first.jsonl", [row(1, "Because."), row(2, "Because."), row(3, "Hm.")])
    )
    import_votes(arena=arena, file=write("second.jsonl", [row(4, "Hm."), row(5, "Well.")]))

    assert list(
        Response.objects.filter(contestant__name="Ann").order_by("sample").values_list("sample", "text")
    ) == [(0, "Because."), (1, "Hm."), (2, "Well.")]
    assert Response.objects.filter(contestant__name="Bob").count() == 1
    shown = Slot.objects.filter(contestant__name="Ann").order_by("battle__votes__id")
    assert [slot.response.text for slot in shown] == ["Because.", "Because.", "Hm.", "Hm.", "Well."]


def test_votes_of_many_chunks_are_all_there(arena, write, monkeypatch):
    monkeypatch.setattr("arena.services.imports.votes.CHUNK", 3)
    rows = [
        PAIR
        | {
            "voter": f"v{number % 2}",
            "conversation_a": said(f"Q{number % 4}", f"a{number}"),
            "conversation_b": said(f"Q{number % 4}", "b"),
        }
        for number in range(10)
    ]

    import_votes(arena=arena, file=write("votes.jsonl", rows))

    counts = (Vote, Slot, Prompt, Response, Voter)
    assert [table.objects.count() for table in counts] == [10, 20, 4, 14, 2]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            PAIR | {"winner": "model_c"},
            "Line 2: It has 'model_c' as its winner; known are model_a, model_b, tie",
        ),
        (PAIR | {"winner": None}, "Line 2: It has no winner; known are"),
        ({"model_a": "Ann", "winner": "tie"}, "Line 2: It has no model_b."),
        (PAIR | {"model_b": "Ann"}, "Line 2: It compares Ann with itself."),
        (PAIR | {"model_b": "  "}, "Line 2: It has a model without a name."),
        ({"models": ["Ann", "Bob"], "ranks": [1]}, "Line 2: It has 2 models but 1 ranks."),
        ({"models": ["Ann", "Bob"], "ranks": [0, 1]}, "Line 2: It has the rank 0; ranks are whole numbers"),
        ({"models": ["Ann", "Bob"], "ranks": [1.5, 1]}, "Line 2: It has the rank 1.5;"),
        ({"models": ["Ann"], "ranks": [1]}, "Line 2: It compares 1 models; a vote is on 2 to 8."),
        ({"models": "Ann", "ranks": [1]}, "Line 2: models is 'Ann'; it must be JSON."),
        (
            {"models": ["Ann", "Bob"], "ranks": [1, 2], "responses": ["x"], "prompt": "p"},
            "Line 2: responses is",
        ),
        (
            {"models": ["Ann", "Bob"], "ranks": [1, 2], "responses": ["x", "y"]},
            "Line 2: It has responses but no",
        ),
        (PAIR | {"weight": -1}, "Line 2: Its weight is -1; it must be a number from 0."),
        (PAIR | {"timestamp": "yesterday"}, "Line 2: timestamp is 'yesterday'; it must be a time"),
        (
            PAIR | {"conversation_a": "[", "conversation_b": "["},
            "Line 2: conversation_a is '['; it must be JSON.",
        ),
        (
            PAIR | {"conversation_a": {}, "conversation_b": []},
            "Line 2: conversation_a is not a list of messages.",
        ),
        (PAIR | {"id": "first"}, "Line 2: Its id first was there in line 1 already."),
        (PAIR | {"model_a": "n" * 121}, "Line 2: The name nnn"),
        ({}, "Line 2: It has no model_a."),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_half_imported(arena, write, monkeypatch, row, sentence):
    monkeypatch.setattr("arena.services.imports.votes.CHUNK", 1)  # the first row is written before

    with pytest.raises(BadRow) as caught:
        import_votes(arena=arena, file=write("votes.jsonl", [PAIR | {"id": "first"}, row]))

    assert str(caught.value).startswith(sentence)
    assert nothing_was_imported()


def test_a_file_without_votes_is_refused(arena, tmp_path):
    file = tmp_path / "votes.csv"
    file.write_text("model_a,model_b,winner\n")

    with pytest.raises(BadInput, match=r"votes\.csv holds no votes"):
        import_votes(arena=arena, file=file)


def test_one_prompt_id_cannot_stand_for_two_prompts(arena, write):
    row = {"models": ["Ann", "Bob"], "ranks": [1, 2], "responses": ["x", "y"], "prompt_id": "q"}

    with pytest.raises(BadRow, match="Line 2: Its prompt q has another text in an earlier line"):
        import_votes(
            arena=arena, file=write("votes.jsonl", [row | {"prompt": "Why?"}, row | {"prompt": "Who?"}])
        )
    assert nothing_was_imported()


def test_a_prompt_that_is_only_named_groups_its_votes(arena, write):
    file = write("votes.csv", [PAIR | {"prompt": "q1"}, PAIR | {"prompt": "q1"}, PAIR | {"prompt": "q2"}])

    import_votes(arena=arena, file=file)

    assert list(Vote.objects.values_list("battle__prompt__key", flat=True)) == ["q1", "q1", "q2"]


def test_our_own_export_comes_back_as_it_was(arena, db):
    study = factories.make_pool("study", contestants=3, prompts=2, names=["Ann", "Bob", "Cy"], k=3)
    factories.make_vote(study, [1, 2, 2])
    factories.make_vote(study, [None, 1, None], kind=Vote.Kind.BEST)
    factories.make_vote(study, kind=Vote.Kind.ALL_BAD)
    data_set = write_data_set(request_data_set(arena=study))

    for ending in ("parquet", "jsonl"):
        file = data_set_folder(data_set) / "kwise" / f"train-00000-of-00001.{ending}"
        report = import_votes(arena=arena, file=file)
        assert report.rows == 3

    came_back, was = (
        [
            (
                vote.kind,
                vote.ranks,
                vote.battle.prompt.messages,
                [
                    (slot.contestant.name, slot.response.text)
                    for slot in vote.battle.slots.order_by("position")
                ],
            )
            for vote in Vote.objects.filter(arena=one)
        ]
        for one in (arena, study)
    )
    assert came_back == was
    assert all(isinstance(one, uuid.UUID) for one in Battle.objects.values_list("pk", flat=True))


def test_the_leaderboard_counts_imported_votes(arena, write):
    rows = [PAIR | {"id": number, "winner": "model_b" if number % 4 else "model_a"} for number in range(40)]

    import_votes(arena=arena, file=write("votes.jsonl", rows))

    board = current_leaderboard(arena)
    assert [row["model"] for row in board.rows] == ["Bob", "Ann"]
    assert [row["votes"] for row in board.rows] == [40, 40]
