import pytest

from arena.services.leaderboards import leaderboard_data
from tests import factories

pytestmark = pytest.mark.django_db

ADDRESSES = ["arenas/", "arenas/{}/", "arenas/{}/leaderboard/", "arenas/{}/contestants/"]
OF_ONE = ADDRESSES[1:]
METHODS = ["post", "put", "patch", "delete"]
# Leads add contestants: tests/pages/test_contestants.py.
READ_ONLY = {(method, address) for method in METHODS for address in ADDRESSES} - {("post", OF_ONE[-1])}


@pytest.mark.parametrize(("method", "address"), sorted(READ_ONLY))
def test_these_are_read_only(anonymous, open_arena, address, method):
    answer = getattr(anonymous, method)(f"/api/v1/{address.format('garden')}")

    assert answer.status_code == 405
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("address", OF_ONE)
def test_an_open_arena_is_there_for_everybody(anonymous, open_arena, address):
    answer = anonymous.get(f"/api/v1/{address.format('garden')}")

    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("address", OF_ONE)
def test_a_closed_arena_is_there_for_its_members(anonymous, api, closed_arena, ada, mallory, address):
    address = f"/api/v1/{address.format('cellar')}"

    assert api(ada).get(address).status_code == 200
    assert anonymous.get(address).status_code == 401
    assert api(mallory).get(address).status_code == 404


def test_the_list_shows_what_one_may_see(anonymous, api, open_arena, closed_arena, ada, mallory):
    def slugs(client):
        return [arena["slug"] for arena in client.get("/api/v1/arenas/").json()]

    assert slugs(anonymous) == slugs(api(mallory)) == ["garden"]
    assert slugs(api(ada)) == ["cellar", "garden"]


def test_the_leaderboard_is_the_one_of_the_page(anonymous, open_arena):
    factories.make_vote(open_arena)

    answer = anonymous.get("/api/v1/arenas/garden/leaderboard/").json()

    assert answer == leaderboard_data(open_arena.leaderboards.get())
    assert answer["counts"]["ranking"] == 1
    ranks = [row["rank"] for row in answer["leaderboard"] if not row["new"]]
    assert ranks == sorted(ranks)


def test_contestants_come_with_their_parents_and_without_their_settings(anonymous, open_arena):
    parent = open_arena.contestants.first()
    factories.make_contestant(open_arena, "child", parent=parent, endpoint="https://secret.example/v1")

    answer = anonymous.get("/api/v1/arenas/garden/contestants/")

    child = next(one for one in answer.json() if one["name"] == "child")
    assert child["parent"] == parent.name
    assert child["retired"] is False
    assert b"secret" not in answer.content


@pytest.mark.parametrize("address", ADDRESSES)
def test_more_contestants_need_no_more_queries(anonymous, open_arena, address, django_assert_max_num_queries):
    for _ in range(20):
        factories.make_contestant(open_arena, parent=open_arena.contestants.first())
    anonymous.get(f"/api/v1/{address.format('garden')}")

    with django_assert_max_num_queries(6):
        anonymous.get(f"/api/v1/{address.format('garden')}")


def test_a_token_is_given_for_a_password_and_works(anonymous, closed_arena, ada):
    answer = anonymous.post("/api/v1/token/", {"username": "ada", "password": "open sesame"}, format="json")

    anonymous.credentials(HTTP_AUTHORIZATION=f"Token {answer.json()['token']}")
    assert anonymous.get("/api/v1/arenas/cellar/").status_code == 200


@pytest.mark.parametrize("body", [{}, {"username": "ada", "password": "wrong"}, [1]])
def test_no_token_for_anything_else(anonymous, ada, body):
    answer = anonymous.post("/api/v1/token/", body, format="json")

    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


def test_guessing_passwords_is_slow(anonymous, ada):
    guesses = [
        anonymous.post(
            "/api/v1/token/",
            {"username": "ada", "password": f"{n}"},
            format="json",
            headers={"X-Forwarded-For": f"10.0.0.{n}"},  # claiming to be another each time
        ).status_code
        for n in range(11)
    ]

    assert guesses == [400] * 10 + [429]


def test_a_wrong_token_is_refused_and_no_anonymous_visit(anonymous, open_arena):
    anonymous.credentials(HTTP_AUTHORIZATION="Token wrong")

    answer = anonymous.get("/api/v1/arenas/garden/")

    assert answer.status_code == 401
    assert answer.json() == {"error": "Invalid token."}


def test_a_session_needs_the_forgery_token(open_arena, ada):
    from rest_framework.test import APIClient

    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(ada)

    answer = browser.post("/api/v1/battles/", {"arena": "garden"}, format="json")

    assert answer.status_code == 403
    assert list(answer.json()) == ["error"]
    assert not open_arena.battles.exists()
