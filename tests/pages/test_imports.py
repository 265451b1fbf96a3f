"""Importing in the browser, and the pages of an arena in which there is nothing yet."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from arena.models import Arena, Contestant, Prompt, Response, Vote
from arena.services import uploads
from tests import factories

PROMPTS = '{"text": "Why is the sky blue?", "key": "sky"}\n{"text": "What is rain?"}\n'
RESPONSES = '{"prompt": "sky", "model": "Aurora", "text": "Air scatters blue light."}\n'
VOTES = '{"model_a": "Aurora", "model_b": "Boreas", "winner": "model_a"}\n'


@pytest.fixture
def bare_arena(grace) -> Arena:
    """New: nothing in it but its lead, Grace."""
    arena = factories.make_arena("bare")
    factories.make_member(arena, grace, "lead")
    return arena


def send(client, kind: str, text: str, name: str = "rows.jsonl", **more):
    file = SimpleUploadedFile(name, text.encode())
    return client.post("/arenas/bare/manage/import/", {"kind": kind, "file": file, **more}, follow=True)


PAGES = [
    "", "leaderboard/", "leaderboard/behind/", "data-sets/", "training-runs/", "manage/", "manage/dashboard/",
    "manage/dashboard.json", "manage/annotators.csv", "manage/quality/", "manage/review/", "manage/import/",
    "manage/members/", "manage/campaigns/", "manage/new-campaign/", "manage/judgement/",
    "manage/judgement/preview/", "manage/survey/", "manage/reports/", "manage/judges/", "manage/webhooks/",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_each_page_of_a_new_arena_opens(grace_in, bare_arena, page):
    assert grace_in.get(f"/arenas/bare/{page}").status_code == 200


def test_a_new_arena_says_how_to_begin_until_it_has_begun(grace_in, bare_arena):
    assert "/arenas/bare/manage/import/" in grace_in.get("/arenas/bare/manage/").content.decode()
    assert b'id="set-up-title"' in grace_in.get("/arenas/bare/manage/").content

    send(grace_in, "prompts", PROMPTS)
    send(grace_in, "responses", RESPONSES)

    assert b'id="set-up-title"' not in grace_in.get("/arenas/bare/manage/").content


def test_prompts_responses_and_votes_come_from_files(grace_in, bare_arena):
    told = send(grace_in, "prompts", PROMPTS).content.decode()
    assert "rows.jsonl: 2 rows, 2 of them new." in told
    assert Prompt.objects.filter(arena=bare_arena).count() == 2

    send(grace_in, "responses", RESPONSES)
    assert Response.objects.get(prompt__arena=bare_arena).text == "Air scatters blue light."
    assert Contestant.objects.get(arena=bare_arena).name == "Aurora"

    send(grace_in, "votes", VOTES)
    assert Vote.objects.filter(battle__arena=bare_arena).count() == 1

    told = send(grace_in, "prompts", PROMPTS).content.decode()
    assert "rows.jsonl: 2 rows, 0 of them new." in told


@pytest.mark.parametrize(
    ("kind", "text", "name", "sentence"),
    [
        ("prompts", PROMPTS + '{"text": ""}\n', "rows.jsonl", "Line 3:"),
        ("prompts", PROMPTS, "rows.txt", "rows.txt ends in .txt"),
        ("responses", '{"prompt": "sky", "model": "A", "file": "../../db.sqlite3"}\n', "r.jsonl", "Line 1:"),
        ("votes", "model_a,winner\nAurora,model_a\n", "rows.csv", "Line"),
        ("secrets", PROMPTS, "rows.jsonl", "Select a valid choice"),
        ("prompts", "", "rows.jsonl", "empty"),
    ],
)
def test_a_bad_file_imports_nothing_and_says_why(grace_in, bare_arena, kind, text, name, sentence):
    answer = send(grace_in, kind, text, name)

    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert not Prompt.objects.filter(arena=bare_arena).exists()
    assert not Response.objects.filter(prompt__arena=bare_arena).exists()


def test_a_name_with_folders_in_it_stays_a_name(grace_in, bare_arena):
    assert (
        "passwd.jsonl: 2 rows"
        in send(grace_in, "prompts", PROMPTS, "../../etc/passwd.jsonl").content.decode()
    )


def test_a_large_file_is_sent_to_the_command_line(grace_in, bare_arena, monkeypatch):
    monkeypatch.setattr(uploads, "LARGEST", 20)

    answer = send(grace_in, "prompts", PROMPTS)

    assert answer.status_code == 400
    assert "manage.py import_prompts" in answer.content.decode()
    assert not Prompt.objects.filter(arena=bare_arena).exists()


def test_home_offers_a_new_arena_to_who_may_make_one(sign_in, grace_in, staff, bare_arena):
    assert b'href="/new-arena/"' in sign_in(staff).get("/").content
    assert b'href="/new-arena/"' not in grace_in.get("/").content
