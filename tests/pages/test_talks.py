"""The pages of conversations, as a browser without scripts uses them."""

import re

import pytest
from django.test import Client

from arena.models import Arena, Job, Prompt, Turn, Vote
from arena.services.responses import NewResponse, record_responses
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def salon(db) -> Arena:
    arena = factories.make_arena("salon", k=2, own_prompts=True, turns=2)
    for number in range(3):
        factories.make_contestant(arena, f"model-{number}", backend="transformers", checkpoint="/nowhere")
    return arena


@pytest.fixture
def talk(salon: Arena, client: Client) -> str:
    """The address of a conversation that this browser has begun."""
    return client.post("/arenas/salon/ask/", {"text": "Why?"})["Location"]


def answer(turn: Turn) -> None:
    for pk in turn.contestants["shown"]:
        contestant = turn.conversation.arena.contestants.get(pk=pk)
        record_responses(contestant=contestant, items=[NewResponse(turn.prompt_id, 0, f"So {pk}.")])


def form_of(page: str) -> dict[str, str]:
    tokens = re.findall(r'name="best" value="([^"]+)"', page)
    battle = re.search(r'name="battle" value="([^"]+)"', page)[1]
    return {"battle": battle, "best": tokens[0], "idempotency_key": battle}


def test_from_the_question_to_the_end_by_forms_alone(salon, client, talk):
    page = client.get(talk).content.decode()
    assert "The models are answering" in page
    assert '<meta http-equiv="refresh"' in page

    answer(Turn.objects.get())
    page = client.get(talk).content.decode()
    cast = client.post(f"{talk}vote/", form_of(page))
    assert (cast.status_code, cast["Location"]) == (302, talk)
    page = client.get(talk).content.decode()
    assert "Go on from response A" in page
    token = re.search(r'name="from" value="([^"]+)"', page)[1]
    assert client.post(f"{talk}go-on/", {"text": "And?", "from": token})["Location"] == talk

    answer(Turn.objects.get(number=2))
    page = client.get(talk).content.decode()
    assert "So " in page
    client.post(f"{talk}vote/", form_of(page))

    assert "Go on" not in client.get(talk).content.decode()
    assert [vote.details["turn"] for vote in Vote.objects.order_by("pk")] == [1, 2]
    assert "Why?" in client.get("/arenas/salon/ask/").content.decode()  # and it is found again


def test_a_message_that_is_refused_comes_back_with_the_reason(salon, client):
    answered = client.post("/arenas/salon/ask/", {"text": "x" * 8001})

    assert answered.status_code == 400
    page = answered.content.decode()
    assert "8001 characters" in page
    assert "x" * 8001 in page
    assert not Prompt.objects.exists()


def test_two_questions_at_once_are_one_too_many(salon, client, talk):
    answered = client.post("/arenas/salon/ask/", {"text": "And this?"})

    assert answered.status_code == 429
    assert "And this?" in answered.content.decode()
    assert Turn.objects.count() == 1


def test_going_on_before_the_vote_is_refused_and_nothing_is_lost(salon, client, talk):
    answer(Turn.objects.get())
    client.get(talk)

    answered = client.post(f"{talk}go-on/", {"text": "And?"})

    assert answered.status_code == 400
    assert Turn.objects.count() == 1


def test_what_failed_says_so_and_is_asked_again(salon, client, talk):
    Job.objects.update(state=Job.State.FAILED)

    page = client.get(talk).content.decode()
    assert "could not answer" in page
    assert "Why?" in page
    again = client.post(f"{talk}go-on/", {"text": "Why not?"})

    assert Turn.objects.get(prompt__messages__0__content="Why not?").state == Turn.State.WAITING
    assert again.status_code == 302


def test_nobody_else_sees_the_conversation(salon, client, talk):
    answer(Turn.objects.get())
    stranger = Client()

    assert stranger.get(talk).status_code == 404
    assert stranger.get(f"{talk}next/").status_code == 404
    assert stranger.post(f"{talk}vote/", {"battle": "x"}).status_code == 404
    assert stranger.post(f"{talk}go-on/", {"text": "Mine?"}).status_code == 404
    assert Turn.objects.count() == 1


def test_where_prompts_are_given_there_is_no_such_page(open_arena, client):
    assert client.get("/arenas/garden/ask/").status_code == 404
    assert "Ask your own question" not in client.get("/arenas/garden/").content.decode()


@pytest.mark.parametrize(
    ("path", "method"), [("", "post"), ("next/", "post"), ("vote/", "get"), ("go-on/", "get")]
)
def test_another_method_is_refused(salon, client, talk, path, method):
    assert getattr(client, method)(talk + path).status_code == 405


def test_a_closed_arena_asks_for_signing_in(salon, client):
    salon.access = Arena.Access.CLOSED
    salon.save()

    assert client.get("/arenas/salon/ask/").status_code in (302, 401)
    assert client.post("/arenas/salon/ask/", {"text": "Why?"}).status_code in (302, 401)
    assert not Turn.objects.exists()


def test_waiting_costs_few_queries(salon, client, talk, django_assert_max_num_queries):
    client.get(f"{talk}next/")
    with django_assert_max_num_queries(14):
        client.get(f"{talk}next/")
