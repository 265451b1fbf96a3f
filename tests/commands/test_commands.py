import csv
import io
import json

import pytest
from django.core.management import CommandError, call_command

from arena.management.command import ArenaCommand
from arena.management.progress import ProgressLine
from arena.models import DataSet, Job, Prompt, Response, TrainingRun, Vote
from arena.services.data_sets import data_set_folder, verify_data_set
from tests import factories

COMMANDS = [
    "import_prompts",
    "import_responses",
    "import_votes",
    "generate",
    "leaderboard",
    "export_dataset",
    "train",
    "seed_demo",
]
FILE = {name: ["file.jsonl"] for name in COMMANDS if name.startswith("import")} | {"train": ["--base", "x"]}


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out, no_color=True)
    return out.getvalue()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_that_names_the_command(name, capsys):
    with pytest.raises(SystemExit) as ended:
        call_command(name, "--help")

    assert ended.value.code == 0
    assert f"Example: python manage.py {name} " in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "seed_demo"])
def test_an_unknown_arena_is_one_sentence(open_arena, name):
    with pytest.raises(CommandError) as caught:
        run(name, "--arena", "nowhere", *FILE.get(name, []))

    assert str(caught.value) == 'There is no arena "nowhere". Known are: garden.'


def test_a_bad_row_is_one_sentence_and_imports_nothing(open_arena, tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"text": "Good?"}\n{"text": ""}\n')
    before = Prompt.objects.count()

    with pytest.raises(CommandError, match=r"^Line 2: It has no text.* Nothing was imported\.$"):
        run("import_prompts", "--arena", "garden", str(file))

    assert Prompt.objects.count() == before


def test_imports_say_what_was_new_and_what_was_there(db, tmp_path):
    factories.make_arena("study")
    prompts, responses, votes = (tmp_path / f"{name}.jsonl" for name in ("p", "r", "v"))
    prompts.write_text('{"text": "Why?", "key": "q"}\n{"text": "Who?"}\n')
    responses.write_text('{"prompt": "q", "model": "Ann", "text": "So."}\n')
    votes.write_text('{"model_a": "Ann", "model_b": "Bob", "winner": "tie"}\n')

    assert run("import_prompts", "--arena", "study", str(prompts)) == "2 prompts imported.\n"
    assert (
        run("import_prompts", "--arena", "study", str(prompts))
        == "0 prompts imported, 2 were there already.\n"
    )
    assert run("import_responses", "--arena", "study", str(responses)) == "1 responses imported.\n"
    assert (
        run("import_votes", "--arena", "study", str(votes))
        == "1 votes imported.\n1 votes without texts: no text in the file.\n"
    )
    assert Vote.objects.count() == 1


def test_the_leaderboard_is_printed_as_a_table_json_or_csv(open_arena):
    for _ in range(3):
        factories.make_vote(open_arena)
    names = [one.name for one in open_arena.contestants.order_by("id")]

    table = run("leaderboard", "--arena", "garden")
    rows = json.loads(run("leaderboard", "--arena", "garden", "--format", "json"))["leaderboard"]
    cells = list(csv.DictReader(io.StringIO(run("leaderboard", "--arena", "garden", "--format", "csv"))))

    assert rows[0]["model"] == cells[0]["model"] == names[0]
    assert all(name in table for name in names)
    assert "95 % interval" in table


@pytest.mark.django_db(transaction=True)
def test_a_data_set_is_exported_without_a_worker():
    arena = factories.make_pool("study")
    factories.make_vote(arena)

    said = run("export_dataset", "--arena", "study", "--format", "openai-dpo")

    data_set = DataSet.objects.get()
    verify_data_set(data_set)
    assert f"Data set 1 is in {data_set_folder(data_set)}" in said
    assert "openai-dpo: 6 rows to train on, 0 held out" in said
    assert Job.objects.get().state == "done"


def test_an_arena_without_votes_exports_nothing(open_arena):
    with pytest.raises(CommandError, match="has no votes to export yet"):
        run("export_dataset", "--arena", "garden")

    assert not DataSet.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_missing_responses_are_generated_here(echo_worker):
    arena = factories.make_arena("study")
    for text in ("One?", "Two?", "Three?"):
        factories.make_prompt(arena, text)
    for name in ("Ann", "Bob"):
        factories.make_contestant(
            arena, name, backend="openai", endpoint="http://127.0.0.1/v1", endpoint_model="m"
        )

    said = run("generate", "--arena", "study", "--contestant", "Ann", "--samples", "2", "--here")

    assert said == "Responses of Ann: 6 of 6.\n"
    texts = Response.objects.filter(contestant__name="Ann").values_list("text", flat=True)
    assert sorted(texts) == ["One? (0)", "One? (1)", "Three? (0)", "Three? (1)", "Two? (0)", "Two? (1)"]
    assert not Response.objects.filter(contestant__name="Bob").exists()
    assert run("generate", "--arena", "study", "--contestant", "Ann", "--here") == "Nothing is missing.\n"


@pytest.mark.django_db(transaction=True)
def test_generation_can_be_left_to_a_worker(echo_worker):
    arena = factories.make_pool("study", contestants=0)
    factories.make_contestant(arena, backend="openai", endpoint="http://127.0.0.1/v1", endpoint_model="m")

    assert run("generate", "--arena", "study", "--no-wait") == "1 jobs are queued.\n"

    assert Job.objects.get().state == "queued"


def test_a_contestant_that_is_not_there_is_named(open_arena):
    with pytest.raises(CommandError, match='There is no contestant "Zed" in garden'):
        run("generate", "--arena", "garden", "--contestant", "Zed")


def test_an_uploaded_contestant_cannot_generate(open_arena):
    name = open_arena.contestants.first().name

    with pytest.raises(CommandError, match="are made elsewhere: import them"):
        run("generate", "--arena", "garden", "--contestant", name)
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_job_that_fails_fails_the_command_with_its_sentence(monkeypatch, echo_worker):
    arena = factories.make_pool("study", contestants=0)
    factories.make_contestant(
        arena, "Ann", backend="openai", endpoint="http://127.0.0.1/v1", endpoint_model="m"
    )
    monkeypatch.setattr("tests.commands.conftest.next_requests", _out_of_order)

    with pytest.raises(CommandError, match=r"^Responses of Ann: The endpoint is down\.$"):
        run("generate", "--arena", "study", "--here")

    assert Job.objects.get().state == "failed"


def _out_of_order(**_: object) -> None:
    from arena.errors import BadInput

    raise BadInput("The endpoint is down.")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--base", "Zed"], 'There is no contestant "Zed"'),
        (["--base", "Ann"], "garden has no data set. Export one"),
        (["--base", "Ann", "--data-set", "7"], "garden has no data set 7."),
    ],
)
def test_training_that_cannot_be_is_one_sentence(open_arena, words, sentence):
    factories.make_contestant(open_arena, "Ann")

    with pytest.raises(CommandError) as caught:
        run("train", "--arena", "garden", *words)

    assert str(caught.value).startswith(sentence)
    assert not TrainingRun.objects.exists()


def test_a_setting_that_is_none_is_refused(open_arena):
    factories.make_contestant(open_arena, "Ann")
    factories.make_vote(open_arena)
    DataSet.objects.create(arena=open_arena, number=1)

    with pytest.raises(CommandError, match="'epochs' is not a setting; write NAME=VALUE"):
        run("train", "--arena", "garden", "--base", "Ann", "--set", "epochs")


def test_no_bar_is_drawn_where_nobody_looks():
    class Terminal(io.StringIO):
        def __init__(self, tty: bool) -> None:
            super().__init__()
            self.tty = tty

        def isatty(self) -> bool:
            return self.tty

        def write(self, text: str, ending: str = "\n") -> int:
            return super().write(text + ending)

    drawn = {}
    for tty in (True, False):
        with ProgressLine(Terminal(tty)) as line:
            line.show(5, 10, "going")
            drawn[tty] = line._stream.getvalue()

    assert drawn == {True: f"\r[{'#' * 15}{'.' * 15}] 5 of 10 going", False: ""}


def test_every_command_with_an_arena_shares_one_way_to_say_what_went_wrong():
    from django.core.management import load_command_class

    for name in COMMANDS:
        if name != "seed_demo":
            assert isinstance(load_command_class("arena", name), ArenaCommand)


def test_a_reward_model_is_named_by_its_run(open_arena):
    factories.make_contestant(open_arena, "Ann")
    factories.make_vote(open_arena)
    DataSet.objects.create(arena=open_arena, number=1)

    with pytest.raises(CommandError, match='no reward model "taste" in garden'):
        run("train", "--arena", "garden", "--base", "Ann", "--set", "reward_model=taste")
