import pytest
from django.utils import timezone, translation

from arena.models import Job, Voter
from arena.services import analyses
from arena.services.leaderboards import current_leaderboard
from arena.views import behind_words
from ranking.fitting import COVARIANCES
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def voted(open_arena):
    """Thirty votes by six voters, the first contestant mostly ahead."""
    voters = [factories.make_voter() for _ in range(6)]
    prompts = list(open_arena.prompts.order_by("id"))
    for turn in range(30):
        ranks = [1, 2, 3, 4] if turn % 3 else [2, 1, 4, 3]
        factories.make_vote(open_arena, ranks, voter=voters[turn % 6], prompt=prompts[turn % 6])
    return open_arena


@pytest.fixture
def analysed(voted):
    analyses.compute(current_leaderboard(voted))
    return voted


def test_without_votes_it_says_so(client, here):
    page = client.get(f"{here}leaderboard/behind/")

    assert page.status_code == 200
    assert "There are no votes yet" in page.text
    assert "hx-get" not in page.text


def test_the_first_look_queues_the_work_and_says_so(client, voted, here):
    page = client.get(f"{here}leaderboard/behind/")

    assert "Being computed for the first time" in page.text
    assert 'hx-trigger="every 2s"' in page.text
    assert Job.objects.get().kind == Job.Kind.ANALYSIS


def test_the_fragment_is_sent_only_when_there_is_something_new(client, voted, here):
    client.get(f"{here}leaderboard/behind/")
    htmx = {"HX-Request": "true"}

    assert client.get(f"{here}leaderboard/behind/?seen=0-1", headers=htmx).status_code == 204

    Job.objects.update(state=Job.State.DONE)
    analyses.compute(current_leaderboard(voted))
    fragment = client.get(f"{here}leaderboard/behind/?seen=0-1", headers=htmx)
    assert fragment.status_code == 200
    assert "<html" not in fragment.text
    assert "How much hangs on few votes?" in fragment.text
    assert "hx-get" not in fragment.text


def test_all_that_is_known_is_said(client, analysed, here):
    page = client.get(f"{here}leaderboard/behind/").text

    for words in (
        "more vote", "Rank 1", "Alike in style", "By reliability", "Shown last and not first",
        "No prompt of this arena has a tag.", "There are too few votes for this.", "version 2",
        "How sure the votes are",
    ):  # fmt: skip
        assert words in page


def test_a_contestant_without_votes_is_said_to_be_left_out(client, voted, here):
    voted.contestants.filter(slots=None).update(retired_at=timezone.now())
    analyses.compute(current_leaderboard(voted))
    assert "left out" not in client.get(f"{here}leaderboard/behind/").text

    factories.make_contestant(voted, "Zoe")
    analyses.compute(current_leaderboard(voted))

    page = client.get(f"{here}leaderboard/behind/").text
    assert "1 new contestant is left out: nobody has voted on it yet." in page


def test_two_are_compared_by_a_plain_form(client, analysed, here):
    first, second = analysed.contestants.order_by("id")[:2]

    page = client.get(f"{here}leaderboard/behind/?a={second.pk}&b={first.pk}").text

    assert f"sure that {first.name} is better than {second.name}." in page
    assert "They met in 30 battles" in page


@pytest.mark.parametrize("query", ["a=1&b=", "a=x&b=y", "a=999999&b=999998", "a=²&b=1"])
def test_a_comparison_of_nothing_is_refused_in_words(client, analysed, here, query):
    page = client.get(f"{here}leaderboard/behind/?{query}")

    assert page.status_code == 200
    assert 'role="alert"' in page.text


def test_the_same_in_json(client, analysed, here):
    told = client.get(f"{here}leaderboard/behind.json").json()

    assert told["current"] is True
    assert told["computing"] is False
    assert told["last_vote"] == current_leaderboard(analysed).last_vote
    assert told["pairs"]["models"] == [one.name for one in analysed.contestants.order_by("id")[:4]]
    assert "contestants" not in told["settings"]


def test_json_before_the_first_one_says_that_it_is_computed(client, voted, here):
    assert client.get(f"{here}leaderboard/behind.json").json() == {"current": False, "computing": True}


def test_new_votes_are_counted_in_words(client, analysed, here):
    factories.make_vote(analysed)

    assert "1 vote has come in since." in client.get(f"{here}leaderboard/behind/").text


def test_outsiders_see_nothing_of_a_closed_arena(client, mallory_in, closed_arena):
    for browser, status in ((client, 401), (mallory_in, 404)):
        for address in ("leaderboard/behind/", "leaderboard/behind.json"):
            answer = browser.get(f"/arenas/{closed_arena.slug}/{address}")
            assert answer.status_code == status


def test_it_is_only_read(client, here):
    assert client.post(f"{here}leaderboard/behind/").status_code == 405
    assert client.post(f"{here}leaderboard/behind.json").status_code == 405


def test_a_look_costs_few_queries(client, analysed, here, django_assert_max_num_queries):
    client.get(f"{here}leaderboard/behind/")

    with django_assert_max_num_queries(12):
        client.get(f"{here}leaderboard/behind/")


def test_the_leaderboard_shows_what_is_still_missing_and_leads_there(client, analysed, here):
    factories.make_contestant(analysed, "Newcomer")
    analyses.compute(current_leaderboard(analysed))

    page = client.get(f"{here}leaderboard/").text

    assert "more vote" in page
    assert f"{here}leaderboard/behind/" in page
    assert "none yet" in page  # the newcomer's rating


def test_how_it_is_computed_is_said_in_the_readers_language(client, analysed, here):
    page = client.get(f"{here}leaderboard/behind/", headers={"accept-language": "de"}).text

    assert "normal, mit einer Standardabweichung von 2," in page
    assert "aus dem Modell" in page
    assert "Menschen" in page
    assert "clustered by" not in page
    assert "person, imported" not in page


def test_all_the_engine_calls_its_intervals_has_words():
    kinds = [*COVARIANCES, *(f"clustered by {one}" for one in ("voter", "prompt", "voter and prompt"))]
    with translation.override("de"):
        for kind in kinds:
            assert behind_words.in_words(behind_words.INTERVALS, kind) != kind
        for kind in Voter.Kind.values:
            assert behind_words.in_words(behind_words.SOURCES, kind) != kind
    assert behind_words.in_words(behind_words.INTERVALS, "something new") == "something new"
