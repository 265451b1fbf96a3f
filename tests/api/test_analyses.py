import pytest

from arena.models import Job
from arena.services import analyses
from arena.services.leaderboards import current_leaderboard
from tests import factories

pytestmark = pytest.mark.django_db

HERE = "/api/v1/arenas/garden/leaderboard/"


@pytest.fixture
def voted(open_arena):
    """Twenty-four votes of six people, the first contestant mostly ahead."""
    voters = [factories.make_voter() for _ in range(6)]
    prompts = list(open_arena.prompts.order_by("id"))
    for turn in range(24):
        ranks = [1, 2, 3, 4] if turn % 3 else [2, 1, 4, 3]
        factories.make_vote(open_arena, ranks, voter=voters[turn % 6], prompt=prompts[turn % 6])
    return open_arena


@pytest.fixture
def two(voted):
    """The ids of the first two contestants of the board."""
    rows = current_leaderboard(voted).rows
    return {"a": rows[0]["contestant"], "b": rows[1]["contestant"]}


@pytest.mark.parametrize("address", ["analysis/", "compare/"])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_these_are_read_only(anonymous, open_arena, address, method):
    assert getattr(anonymous, method)(HERE + address).status_code == 405


@pytest.mark.parametrize("address", ["analysis/", "compare/?a=1&b=2"])
def test_a_closed_arena_keeps_them_to_its_members(anonymous, api, closed_arena, mallory, address):
    address = f"/api/v1/arenas/cellar/leaderboard/{address}"

    assert anonymous.get(address).status_code == 401
    assert api(mallory).get(address).status_code == 404
    assert not Job.objects.exists()


def test_asking_has_it_computed_and_then_gives_what_the_page_shows(anonymous, voted):
    first = anonymous.get(f"{HERE}analysis/").json()
    assert first == {"current": False, "computing": True}
    assert Job.objects.get().kind == Job.Kind.ANALYSIS

    board = current_leaderboard(voted)
    analyses.compute(board)

    answer = anonymous.get(f"{HERE}analysis/").json()
    assert answer == analyses.analysis_data(analyses.analysis_for(board))
    assert answer["current"]
    assert {goal["goal"] for goal in answer["outlook"]["goals"]} == {"top", "width", "order"}


def test_two_contestants_are_compared_whoever_is_named_first(anonymous, two, voted):
    answer = anonymous.get(f"{HERE}compare/", two).json()
    turned = anonymous.get(f"{HERE}compare/", {"a": two["b"], "b": two["a"]}).json()

    assert answer == turned
    assert answer["ahead"] == current_leaderboard(voted).rows[0]["model"]
    assert answer["lower"] < answer["gap"] < answer["upper"]
    assert 0.5 <= answer["sure"] <= 1.0
    assert answer["met"] is None  # nobody has counted them yet, and asking for two makes no work
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "asked", [{}, {"a": "x", "b": 2}, {"a": 999_999, "b": 999_998}, {"a": 10**30, "b": 1}]
)
def test_who_is_not_on_the_board_is_refused_in_words(anonymous, two, asked):
    answer = anonymous.get(f"{HERE}compare/", asked)

    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


def test_a_contestant_beside_itself_is_refused(anonymous, two):
    answer = anonymous.get(f"{HERE}compare/", {"a": two["a"], "b": two["a"]})

    assert answer.status_code == 400
    assert "two different" in answer.json()["error"]
