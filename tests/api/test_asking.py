"""What is asked of voters, and what they ask, over REST."""

import pytest

from arena.models import Arena, Report, SurveyAnswer, Turn
from arena.services.surveys import revise_survey
from tests import factories
from tests.arena.test_live import answer

pytestmark = pytest.mark.django_db
SURVEY = "/api/v1/arenas/garden/survey/"
QUESTIONS = [{"key": "age", "label": "How old are you?", "kind": "one", "choices": ["under 30", "more"]}]


def test_consent_is_asked_for_given_and_taken_back(anonymous, open_arena):
    assert anonymous.get(SURVEY).json()["waiting"] is False
    revise_survey(arena=open_arena, consent="We keep votes.", questions=QUESTIONS, by=None)
    asked = anonymous.get(SURVEY).json()
    assert (asked["waiting"], asked["consent"], asked["questions"]) == (True, "We keep votes.", QUESTIONS)
    assert anonymous.post("/api/v1/battles/", {"arena": "garden"}, format="json").status_code != 201

    refused = anonymous.post(SURVEY, {"answers": {"age": "more"}}, format="json")
    assert refused.status_code == 400
    assert "Without your consent" in refused.json()["error"]
    assert not SurveyAnswer.objects.exists()
    given = anonymous.post(SURVEY, {"agreed": True, "answers": {"age": "more"}}, format="json")

    assert given.json()["waiting"] is False
    assert SurveyAnswer.objects.get().answers == {"age": "more"}
    anonymous.start("garden")
    assert anonymous.delete(SURVEY).status_code == 204
    assert SurveyAnswer.objects.get().answers == {}


def test_a_report_is_of_the_voters_own_battle(anonymous, api, ada, open_arena):
    open_arena.judgement = {"report": True}
    open_arena.save()
    battle = anonymous.start("garden")
    address = f"/api/v1/battles/{battle['id']}/report/"
    body = {"token": battle["slots"][0]["token"], "tags": ["broken"], "text": "Empty."}

    assert api(ada).post(address, body, format="json").status_code == 403
    assert anonymous.post(address, {**body, "token": "other"}, format="json").status_code == 404
    assert anonymous.post(address, {**body, "tags": ["dull"]}, format="json").status_code == 400
    assert not Report.objects.exists()
    for _again in range(2):
        assert anonymous.post(address, body, format="json").status_code == 204

    assert (Report.objects.get().tags, Report.objects.get().text) == (["broken"], "Empty.")


@pytest.fixture
def salon(db) -> Arena:
    """Five contestants that a worker runs, three a battle, three turns."""
    arena = factories.make_arena("salon", k=3, own_prompts=True, turns=3)
    for number in range(5):
        factories.make_contestant(arena, f"model-{number}", backend="transformers", checkpoint="/nowhere")
    return arena


def test_a_question_of_ones_own_is_asked_judged_and_gone_on_with(anonymous, salon):
    asked = anonymous.post("/api/v1/arenas/salon/talks/", {"text": "Why is it green?"}, format="json")
    assert asked.status_code == 201
    assert (asked.json()["state"], asked.json()["battle"]) == ("waiting", None)
    address = f"/api/v1/arenas/salon/talks/{asked.json()['talk']}/"
    answer(Turn.objects.get())

    ready = anonymous.get(address).json()

    assert ready["state"] == "ready"
    assert len(ready["battle"]["slots"]) == 3
    assert "model-" not in str(
        {**ready["battle"], "slots": [slot["token"] for slot in ready["battle"]["slots"]]}
    )
    assert anonymous.post(address, {"text": "And now?"}, format="json").status_code == 400  # not judged yet
    assert anonymous.vote(ready["battle"]["id"], {"ranks": [1, 2, 3]}).status_code == 201
    judged = anonymous.get(address).json()
    assert (judged["state"], judged["battle"], judged["goes_on"]) == ("judged", None, True)
    after = anonymous.post(address, {"text": "And now?"}, format="json")
    assert (after.status_code, after.json()["number"]) == (201, 2)


def test_a_conversation_is_its_voters_alone(anonymous, api, ada, salon, open_arena):
    asked = anonymous.post("/api/v1/arenas/salon/talks/", {"text": "Why?"}, format="json").json()
    address = f"/api/v1/arenas/salon/talks/{asked['talk']}/"

    assert api(ada).get(address).status_code == 404
    assert api(ada).post(address, {"text": "And?"}, format="json").status_code == 404
    refused = anonymous.post("/api/v1/arenas/garden/talks/", {"text": "Why?"}, format="json")
    assert refused.status_code == 400
    assert "nobody asks their own" in refused.json()["error"]
    assert anonymous.post("/api/v1/arenas/salon/talks/", {"text": " "}, format="json").status_code == 400
