"""Consent and questions: asked once, kept apart from the votes, deleted on request."""

import pytest
from django.test import Client

from arena.errors import BadInput, ConsentNeeded
from arena.models import Battle, SurveyAnswer, Vote, Voter
from arena.services.battles import start_battle
from arena.services.data_sets import request_data_set, write_data_set
from arena.services.surveys import (
    answer_survey,
    parse_questions,
    revise_survey,
    survey_counts,
    waiting_survey,
)
from tests import factories

QUESTIONS = [
    {"key": "age", "label": "How old are you?", "kind": "one", "choices": ["under 30", "30 or more"]},
    {"key": "tongues", "label": "Languages", "kind": "several", "choices": ["English", "German"]},
    {"key": "work", "label": "Your work", "kind": "text"},
]


@pytest.fixture
def survey(open_arena):
    return revise_survey(arena=open_arena, consent="We keep **votes**.", questions=QUESTIONS, by=None)


def test_the_survey_comes_before_the_first_battle_and_never_again(client, survey, open_arena):
    page = client.get("/arenas/garden/").content.decode()
    assert "We keep <strong>votes</strong>." in page
    assert "How old are you?" in page
    assert not Battle.objects.exists()

    form = {"agree": "yes", "q-age": "under 30", "q-tongues": ["English", "German"], "q-work": " baker "}
    answer = client.post("/arenas/garden/survey/", form, follow=True)

    assert 'id="battle"' in answer.content.decode()
    kept = SurveyAnswer.objects.get()
    assert kept.answers == {"age": "under 30", "tongues": ["English", "German"], "work": "baker"}
    assert kept.agreed_at is not None
    assert 'id="battle"' in client.get("/arenas/garden/").content.decode()


def test_without_consent_there_is_no_battle(client, survey):
    client.get("/arenas/garden/")
    answer = client.post("/arenas/garden/survey/", {"q-age": "under 30"})

    assert answer.status_code == 400
    assert "Without your consent" in answer.content.decode()
    assert not SurveyAnswer.objects.exists()
    assert 'id="survey"' in client.get("/arenas/garden/").content.decode()


def test_questions_can_be_passed_over(client, survey):
    client.get("/arenas/garden/")
    client.post("/arenas/garden/survey/", {"agree": "yes", "q-age": "under 30", "answer": "pass"})

    assert SurveyAnswer.objects.get().answers == {}


def test_the_api_says_where_to_answer(client, survey):
    answer = client.post("/api/v1/battles/", {"arena": "garden"}, content_type="application/json")

    assert answer.status_code == 403
    assert "Open its voting page." in answer.json()["error"]


def test_a_new_text_of_consent_is_asked_again_and_new_questions_are_not(survey, open_arena):
    voter = factories.make_voter()
    answer_survey(survey=survey, voter=voter, agreed=True, answers={})

    revise_survey(arena=open_arena, consent=survey.consent, questions=QUESTIONS[:1], by=None)
    assert waiting_survey(arena=open_arena, voter=voter) is None
    revise_survey(arena=open_arena, consent="Something else.", questions=[], by=None)
    assert waiting_survey(arena=open_arena, voter=voter).number == 3
    revise_survey(arena=open_arena, consent="", questions=[], by=None)
    assert waiting_survey(arena=open_arena, voter=voter) is None


def test_programs_are_not_asked(survey, open_arena):
    start_battle(arena=open_arena, voter=factories.make_voter(kind=Voter.Kind.JUDGE))

    with pytest.raises(ConsentNeeded):
        start_battle(arena=open_arena, voter=factories.make_voter())


def test_answers_are_deleted_on_request_and_votes_stay(client, survey, open_arena):
    client.get("/arenas/garden/")
    client.post("/arenas/garden/survey/", {"agree": "yes", "q-work": "baker"})
    voter = Voter.objects.get()
    factories.make_vote(open_arena, [1, 2, 3, 4], voter=voter)
    assert "My answers" in client.get("/arenas/garden/").content.decode()

    page = client.post("/arenas/garden/my-answers/", follow=True).content.decode()

    kept = SurveyAnswer.objects.get()
    assert (kept.answers, kept.deleted_at is None) == ({}, False)
    assert kept.agreed_at is not None
    assert "Your answers are deleted." in page
    assert Vote.objects.count() == 1
    assert 'id="battle"' in client.get("/arenas/garden/").content.decode()  # and nobody asks again


def test_nobody_sees_or_deletes_the_answers_of_another(client, survey):
    client.get("/arenas/garden/")
    client.post("/arenas/garden/survey/", {"agree": "yes", "q-work": "baker"})

    stranger = Client()
    page = stranger.post("/arenas/garden/my-answers/", follow=True).content.decode()

    assert "Nothing about you is kept" in page
    assert SurveyAnswer.objects.get().answers == {"work": "baker"}


def test_small_counts_and_texts_are_not_shown(survey, open_arena):
    for number in range(5):
        chosen = "under 30" if number < 3 else "30 or more"
        answers = {"age": chosen, "work": f"secret {number}"}
        answer_survey(survey=survey, voter=factories.make_voter(), agreed=True, answers=answers)

    rows = survey_counts(survey)

    assert rows[0]["choices"] == [{"choice": "under 30", "count": 3}, {"choice": "30 or more", "count": None}]
    assert rows[2]["answered"] == 5
    assert "secret" not in str(rows)


def test_answers_are_not_in_an_export(survey, open_arena, tmp_path, settings):
    settings.DATA_SETS_DIR = tmp_path
    voter = factories.make_voter()
    answer_survey(survey=survey, voter=voter, agreed=True, answers={"work": "a-very-rare-trade"})
    factories.make_vote(open_arena, [1, 2, 3, 4], voter=voter)
    write_data_set(request_data_set(arena=open_arena, formats=("kwise",)))

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 2
    assert not any(b"a-very-rare-trade" in path.read_bytes() for path in files)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("none", "Questions are a list"),
        ([{"key": "a b", "label": "x"}], "The key of a question is a word"),
        ([{"key": "a", "label": " "}], "Each question has a text"),
        ([{"key": "a", "label": "Age", "kind": "slider"}], "one of one, several, text"),
        ([{"key": "a", "label": "Age", "choices": ["one"]}], "at least two different choices"),
        ([{"key": "a", "label": "A", "kind": "text"}] * 2, "Two questions are the same"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(data, says):
    with pytest.raises(BadInput) as refusal:
        parse_questions(data)

    assert says in str(refusal.value)


@pytest.mark.parametrize("answers", [{"age": "17"}, {"tongues": ["Klingon"]}, {"work": "x" * 501}])
def test_answers_that_were_not_offered_are_refused(survey, answers):
    with pytest.raises(BadInput):
        answer_survey(survey=survey, voter=factories.make_voter(), agreed=True, answers=answers)
    assert not SurveyAnswer.objects.exists()


def test_a_refused_form_comes_back_as_it_was_filled_in(client, survey):
    client.get("/arenas/garden/")
    form = {"q-age": "30 or more", "q-tongues": ["German"], "q-work": "<baker>"}
    page = client.post("/arenas/garden/survey/", form).content.decode()

    assert 'name="q-age" value="30 or more" checked>' in page
    assert 'name="q-age" value="under 30">' in page
    assert 'name="q-tongues" value="German" checked>' in page
    assert 'name="q-tongues" value="English">' in page
    assert 'value="&lt;baker&gt;"' in page
    assert 'name="agree" value="yes">' in page

    page = client.post("/arenas/garden/survey/", {"agree": "yes", "q-age": "ancient"}).content.decode()
    assert 'name="agree" value="yes" checked>' in page
