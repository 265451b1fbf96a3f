import uuid

import pytest
from django.urls import reverse

from arena.models import Arena, Battle, Vote, Voter
from tests import factories

pytestmark = pytest.mark.django_db


# Starting a battle


def test_a_battle_is_blind(anonymous, open_arena):
    battle = anonymous.start("garden")

    assert set(battle) == {"id", "arena", "k", "prompt", "slots"}
    assert set(battle["prompt"]) == {"messages"}
    shown = {"token", "position", "text", "html", "file", "prompt"}
    assert all(set(slot) == shown for slot in battle["slots"])
    assert [slot["position"] for slot in battle["slots"]] == [0, 1, 2, 3]
    assert battle["k"] == 4


def test_a_battle_may_have_another_number_of_responses(anonymous, open_arena):
    assert len(anonymous.start("garden", k=2)["slots"]) == 2


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_battles_are_posted(anonymous, open_arena, method):
    answer = getattr(anonymous, method)("/api/v1/battles/")

    assert answer.status_code == 405
    assert list(answer.json()) == ["error"]
    assert not Battle.objects.exists()


def test_a_closed_arena_asks_for_a_sign_in(anonymous, closed_arena):
    answer = anonymous.post("/api/v1/battles/", {"arena": "cellar"}, format="json")

    assert answer.status_code == 401
    assert "Sign in" in answer.json()["error"]
    assert not Voter.objects.exists()  # nobody is made for a refusal


def test_to_an_outsider_a_closed_arena_does_not_exist(api, closed_arena, mallory):
    there = api(mallory).post("/api/v1/battles/", {"arena": "cellar"}, format="json")
    nowhere = api(mallory).post("/api/v1/battles/", {"arena": "attic"}, format="json")

    assert there.status_code == nowhere.status_code == 404
    assert there.json()["error"].replace("cellar", "attic") == nowhere.json()["error"]


def test_a_viewer_may_not_vote(api, closed_arena, mallory):
    factories.make_member(closed_arena, mallory, "viewer")

    answer = api(mallory).post("/api/v1/battles/", {"arena": "cellar"}, format="json")

    assert answer.status_code == 403
    assert not Battle.objects.exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "arena: This field is required."),
        ({"arena": "garden", "k": "many"}, "k: A valid integer is required."),
        ({"arena": "garden", "k": 1}, "A battle has 2 to 8 responses, not 1."),
        ({"arena": "garden", "k": 9}, "A battle has 2 to 8 responses, not 9."),
        ([1, 2], "Send a JSON object"),
    ],
)
def test_a_bad_body_is_explained(anonymous, open_arena, body, said):
    answer = anonymous.post("/api/v1/battles/", body, format="json")

    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert not Battle.objects.exists()


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b'{"arena": NaN'])
def test_what_is_not_json_is_said_to_be_none(anonymous, open_arena, body):
    answer = anonymous.post("/api/v1/battles/", body, content_type="application/json")

    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


def test_a_body_of_another_kind_is_refused(anonymous, open_arena):
    answer = anonymous.post("/api/v1/battles/", "arena=garden", content_type="text/plain")

    assert answer.status_code == 415
    assert list(answer.json()) == ["error"]


def test_more_responses_than_contestants_says_the_numbers(anonymous, open_arena):
    answer = anonymous.post("/api/v1/battles/", {"arena": "garden", "k": 6}, format="json")

    assert answer.status_code == 409
    assert "6" in answer.json()["error"]
    assert "5" in answer.json()["error"]
    assert not Battle.objects.exists()


def test_asking_twice_serves_the_same_battle(anonymous, open_arena):
    first = anonymous.start("garden")

    assert anonymous.start("garden") == first
    assert anonymous.start("garden", k=2) == first  # another K is no way to fish
    assert Battle.objects.count() == 1


def test_two_sessions_are_two_voters(open_arena, anonymous, api, ada):
    first, second = anonymous.start("garden"), api(ada).start("garden")

    assert first["id"] != second["id"]
    assert Voter.objects.filter(user=ada).count() == 1
    assert Voter.objects.filter(user=None).count() == 1


def test_starting_a_battle_takes_few_queries_whatever_the_size(anonymous, django_assert_max_num_queries):
    factories.make_pool("large", contestants=10, prompts=40)
    anonymous.start("large", k=8)
    anonymous.vote(anonymous.start("large")["id"], {"all_bad": True})

    with django_assert_max_num_queries(22):
        anonymous.start("large")


# Voting


def test_a_vote_is_answered_with_the_names(anonymous, open_arena):
    battle = anonymous.start("garden")

    answer = anonymous.vote(battle["id"], {"ranks": [2, 1, 2, 4], "active_ms": 10**12})

    assert answer.status_code == 201
    told = answer.json()
    assert [slot["rank"] for slot in told["slots"]] == [2, 1, 2, 4]
    names = set(open_arena.contestants.values_list("name", flat=True))
    assert {slot["contestant"] for slot in told["slots"]} < names
    assert all(slot["lower"] < slot["rating"] < slot["upper"] for slot in told["slots"])
    vote = Vote.objects.get()
    assert vote.ranks == [2, 1, 2, 4]
    assert vote.active_ms <= vote.wall_ms  # a client's clock is hearsay


@pytest.mark.parametrize(
    ("body", "kind", "ranks"),
    [
        ({"ranks": [1, 1, 1, 1]}, "ranking", [1, 1, 1, 1]),
        ({"ranks": [4, 2, 2, 1]}, "ranking", [4, 2, 2, 1]),
        ({"ranks": [3, 2, 2, 1]}, "ranking", [4, 2, 2, 1]),
        ({"best": 2}, "best", [None, None, 1, None]),
        ({"all_bad": True}, "all_bad", None),
        ({"skip": "I cannot read French"}, "skip", None),
    ],
)
def test_each_way_to_answer_is_kept_as_it_is(anonymous, open_arena, body, kind, ranks):
    answer = anonymous.vote(anonymous.start("garden")["id"], body)

    assert answer.status_code == 201
    vote = Vote.objects.get()
    assert (vote.kind, vote.ranks) == (kind, ranks)


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_votes_are_posted(anonymous, open_arena, method):
    battle = anonymous.start("garden")

    answer = getattr(anonymous, method)(f"/api/v1/battles/{battle['id']}/vote/")

    assert answer.status_code == 405
    assert not Vote.objects.exists()


def test_nobody_votes_on_the_battle_of_another(anonymous, api, ada, open_arena):
    battle = api(ada).start("garden")

    for stranger in (anonymous, api(factories.make_user("eve"))):
        answer = stranger.vote(battle["id"], {"best": 0})
        assert answer.status_code == 403
        assert list(answer.json()) == ["error"]

    assert not Vote.objects.exists()
    assert Battle.objects.get().closed_at is None


def test_who_lost_the_right_to_vote_cannot_finish(api, ada, closed_arena):
    battle = api(ada).start("cellar")
    closed_arena.memberships.filter(user=ada).delete()

    assert api(ada).vote(battle["id"], {"best": 0}).status_code == 403
    assert not Vote.objects.exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "exactly one way"),
        ({"best": 0, "all_bad": True}, "exactly one way"),
        ({"all_bad": False}, "exactly one way"),
        ({"all_bad": "yes"}, "only be true"),
        ({"ranks": [1, 2, 3]}, "There are 4 responses but 3 ranks"),
        ({"ranks": [1, 2, 3, 5]}, "ranks go from 1 (best) to 4"),
        ({"ranks": [0, 1, 2, 3]}, "ranks go from 1 (best) to 4"),
        ({"ranks": [1, 2, 3, None]}, "Response 4 of 4 has no rank"),
        ({"ranks": [1, 2, 3, 1.5]}, "not a whole number"),
        ({"ranks": [1, 2, 3, True]}, "not a whole number"),
        ({"ranks": "1234"}, '"ranks" is a list'),
        ({"ranks": {}}, '"ranks" is a list'),
        ({"best": 4}, "from 0 to 3"),
        ({"best": -1}, "from 0 to 3"),
        ({"best": "0"}, "from 0 to 3"),
        ({"skip": ""}, "the reason"),
        ({"skip": "x" * 201}, "200 characters"),
        ({"skip": 7}, "the reason"),
        ({"best": 0, "active_ms": -5}, "active_ms"),
        ({"best": 0, "active_ms": "long"}, "active_ms"),
        ([1, 2, 3, 4], "Send a JSON object"),
        ("best", "Send a JSON object"),
    ],
)
def test_a_bad_ballot_is_explained_and_leaves_the_battle_open(anonymous, open_arena, body, said):
    battle = anonymous.start("garden")

    answer = anonymous.vote(battle["id"], body)

    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert not Vote.objects.exists()
    assert anonymous.start("garden") == battle


def test_voting_twice_is_refused_and_the_first_vote_stands(anonymous, open_arena):
    battle = anonymous.start("garden")
    anonymous.vote(battle["id"], {"ranks": [1, 2, 3, 4]})

    answer = anonymous.vote(battle["id"], {"ranks": [4, 3, 2, 1]})

    assert answer.status_code == 409
    assert "first vote stands" in answer.json()["error"]
    assert Vote.objects.get().ranks == [1, 2, 3, 4]


def test_the_same_answer_with_the_same_key_is_answered_again(anonymous, open_arena):
    battle = anonymous.start("garden")
    first = anonymous.vote(battle["id"], {"ranks": [1, 2, 3, 4]}, key="k1")

    again = anonymous.vote(battle["id"], {"ranks": [1, 2, 3, 4]}, key="k1")
    other = anonymous.vote(battle["id"], {"ranks": [2, 1, 3, 4]}, key="k1")
    no_key = anonymous.vote(battle["id"], {"ranks": [1, 2, 3, 4]})

    assert (again.status_code, again.content) == (201, first.content)
    assert other.status_code == no_key.status_code == 409
    assert Vote.objects.count() == 1


def test_a_key_serves_one_battle_only(anonymous, open_arena):
    anonymous.vote(anonymous.start("garden")["id"], {"best": 0}, key="k1")
    battle = anonymous.start("garden")

    answer = anonymous.vote(battle["id"], {"best": 0}, key="k1")

    assert answer.status_code == 409
    assert "Idempotency-Key" in answer.json()["error"]
    assert Vote.objects.count() == 1
    assert anonymous.start("garden") == battle  # it is still open


def test_a_key_of_another_voter_is_no_obstacle(anonymous, api, ada, open_arena):
    anonymous.vote(anonymous.start("garden")["id"], {"best": 0}, key="k1")

    assert api(ada).vote(api(ada).start("garden")["id"], {"best": 0}, key="k1").status_code == 201


@pytest.mark.parametrize("key", ["x" * 101, "a\tb"])
def test_an_unusable_key_is_refused(anonymous, open_arena, key):
    answer = anonymous.vote(anonymous.start("garden")["id"], {"best": 0}, key=key)

    assert answer.status_code == 400
    assert not Vote.objects.exists()


def test_a_battle_that_is_not_there_is_not_found(anonymous):
    for address in (f"/api/v1/battles/{uuid.uuid4()}/vote/", "/api/v1/battles/17/vote/", "/api/v1/nothing/"):
        answer = anonymous.post(address, {"best": 0}, format="json")
        assert answer.status_code == 404
        assert list(answer.json()) == ["error"]


def test_names_stay_withheld_where_the_arena_never_tells(anonymous):
    factories.make_pool("silent", reveal=Arena.Reveal.NEVER, names=[f"secret-{n}" for n in range(5)])

    answer = anonymous.vote(anonymous.start("silent")["id"], {"ranks": [1, 2, 3, 4]})

    assert answer.json()["revealed"] is False
    assert b"secret" not in answer.content
    assert [slot["rank"] for slot in answer.json()["slots"]] == [1, 2, 3, 4]


def test_who_does_not_judge_is_not_told(anonymous, open_arena):
    told = anonymous.vote(anonymous.start("garden")["id"], {"skip": "too long"}).json()

    assert told["revealed"] is False
    assert {slot["contestant"] for slot in told["slots"]} == {None}


def test_a_vote_takes_few_queries(anonymous, open_arena, django_assert_max_num_queries):
    anonymous.vote(anonymous.start("garden")["id"], {"ranks": [1, 2, 3, 4]})
    battle = anonymous.start("garden")

    with django_assert_max_num_queries(15):
        assert anonymous.vote(battle["id"], {"ranks": [1, 2, 3, 4]}).status_code == 201


def test_the_addresses_have_names(db):
    assert reverse("api:battles") == "/api/v1/battles/"
    assert reverse("api:schema") == "/api/v1/schema/"
