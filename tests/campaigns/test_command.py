"""`manage.py campaign`: from a file of settings to the file of answers."""

import csv
import json

import pytest
from django.core.management import CommandError, call_command

from annotation.models import Campaign
from tests.campaigns.conftest import annotator_of, answer, judge_all, leased

pytestmark = pytest.mark.django_db
SETTINGS = {"name": "Weeding", "k": 2, "overlap": 2, "open_link": True, "prompt_filter": {"most": 3}}


def run(capsys, *words):
    call_command("campaign", *words, "--arena", "garden")
    return capsys.readouterr().out


@pytest.fixture
def settings_file(tmp_path):
    def made(**changes):
        file = tmp_path / "campaign.json"
        file.write_text(json.dumps({**SETTINGS, **changes}))
        return file

    return made


def test_from_settings_to_answers(open_arena, settings_file, tmp_path, capsys):
    assert "There is no campaign" in run(capsys, "list")
    made = run(capsys, "create", "--file", str(settings_file()))
    campaign = Campaign.objects.get()
    assert f"/campaigns/weeding/join/{campaign.token}/" in made
    assert "3 battles on 3 prompts, 6 votes" in run(capsys, "preview", "weeding")
    assert "weeding is running: 0 of 6 votes" in run(capsys, "start", "weeding")

    campaign.refresh_from_db()
    judge_all(annotator_of(campaign))
    status = json.loads(run(capsys, "status", "weeding", "--json"))
    assert (status["votes"], status["wanted"]) == (3, 6)
    file = tmp_path / "answers.jsonl"
    run(capsys, "answers", "weeding", "--to", str(file))

    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == 3
    assert {row["annotator"] for row in rows} == {"A1"}
    assert set(rows[0]["ranks"]) == set(rows[0]["shown"])
    assert "weeding is paused" in run(capsys, "pause", "weeding")
    assert "weeding is finished" in run(capsys, "finish", "weeding")


def test_questions_and_contestants_can_come_with_the_settings(open_arena, settings_file, capsys):
    better, worse = open_arena.prompts.first().responses.values_list("id", flat=True)[:2]
    question = {"purpose": "gold", "responses": [better, worse], "expected": {"above": [[better, worse]]}}
    names = list(open_arena.contestants.values_list("name", flat=True)[:3])
    file = settings_file(questions=[question], contestants=names, gold_every=4)

    out = run(capsys, "create", "--file", str(file), "--start")

    assert "is running" in out
    campaign = Campaign.objects.get()
    assert campaign.items.filter(purpose="gold").count() == 1
    assert len(campaign.contestants) == 3


def test_payments_go_to_the_terminal_as_csv(open_arena, settings_file, capsys):
    run(capsys, "create", "--file", str(settings_file(pay_per_battle="0.5", currency="EUR")), "--start")
    answer(leased(annotator_of(Campaign.objects.get())))

    rows = list(csv.DictReader(run(capsys, "payments", "weeding").splitlines()))

    assert [(row["judged"], row["earned"]) for row in rows] == [("1", "0.500")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["status", "nothing"], 'There is no campaign "nothing" in garden'),
        (["create"], "Name the file"),
        (["create", "--file", "/nowhere.json"], "cannot be read"),
    ],
)
def test_what_cannot_be_ends_with_one_sentence(open_arena, words, says):
    with pytest.raises(CommandError, match=says):
        call_command("campaign", *words, "--arena", "garden")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"colour": "red"}, "no setting colour"),
        ({"overlap": "many"}, "overlap"),
        ({"overlap": 0}, "overlap"),
        ({"contestants": ["nobody"]}, 'no contestant "nobody"'),
        ({"prompt_filter": {"most": -1}}, "whole number"),
        ({"name": " "}, '"name"'),
    ],
)
def test_settings_that_cannot_be_make_no_campaign(open_arena, settings_file, changes, says):
    with pytest.raises(CommandError, match=says):
        call_command("campaign", "create", "--file", str(settings_file(**changes)), "--arena", "garden")

    assert Campaign.objects.count() == 0
