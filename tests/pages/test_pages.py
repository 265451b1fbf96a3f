"""Every page but the voting page: works, wrong method, signed out, outsider, query budget."""

import json
from contextlib import closing

import pytest
from django.test import Client

from arena.models import Arena, Contestant, Job, Vote
from tests import factories

PUBLIC = ["leaderboard/", "leaderboard.json", "leaderboard.csv"]
FOR_LEADS = ["data-sets/", "training-runs/", "manage/"]
ACTIONS = ["manage/generate/"]


@pytest.fixture
def voted(open_arena: Arena) -> Arena:
    for ranks in ([1, 2, 3, 4], [1, 3, 2, 4], [2, 1, 3, 3]):
        factories.make_vote(open_arena, ranks)
    factories.make_vote(open_arena, kind=Vote.Kind.ALL_BAD)
    factories.make_vote(open_arena, kind=Vote.Kind.SKIP)
    return open_arena


def test_home_lists_the_open_arenas_to_a_stranger(client, open_arena, closed_arena):
    page = client.get("/").content.decode()

    assert f'href="/arenas/{open_arena.slug}/"' in page
    assert closed_arena.name not in page


def test_a_browser_finds_the_icon_where_it_looks_by_itself(client, db):
    with closing(client.get("/favicon.ico", follow=True)) as icon:
        assert icon.status_code == 200
        assert icon["Content-Type"] == "image/svg+xml"


def test_home_lists_a_members_closed_arena(ada_in, closed_arena):
    assert closed_arena.name in ada_in.get("/").content.decode()


def test_home_does_not_ask_once_for_each_arena(client, db, django_assert_max_num_queries):
    for _ in range(5):
        factories.make_arena()

    with django_assert_max_num_queries(2):
        client.get("/")


def test_home_without_an_arena_says_what_to_do(client, db):
    assert "There is no open arena. Sign in" in client.get("/").content.decode()


@pytest.mark.parametrize("path", PUBLIC)
def test_leaderboard_of_an_open_arena_is_public(client, voted, path):
    assert client.get(f"/arenas/{voted.slug}/{path}").status_code == 200


@pytest.mark.parametrize("path", [*PUBLIC, "contestants/1/"])
def test_closed_arena_shows_nothing_to_strangers(client, mallory_in, closed_arena, path):
    assert client.get(f"/arenas/{closed_arena.slug}/{path}").status_code == 401
    assert mallory_in.get(f"/arenas/{closed_arena.slug}/{path}").status_code == 404


@pytest.mark.parametrize("path", [*PUBLIC, "contestants/1/", "training-runs/1/", "manage/"])
def test_reading_pages_take_no_post(grace_in, open_arena, path):
    assert grace_in.post(f"/arenas/{open_arena.slug}/{path}").status_code == 405


@pytest.mark.parametrize("path", FOR_LEADS)
def test_pages_of_leads_are_for_leads(client, ada_in, mallory_in, grace_in, open_arena, path):
    address = f"/arenas/{open_arena.slug}/{path}"

    assert client.get(address).status_code == 401
    assert ada_in.get(address).status_code == 403
    assert mallory_in.get(address).status_code == 403
    assert grace_in.get(address).status_code == 200


@pytest.mark.parametrize("path", ["data-sets/", "training-runs/", *ACTIONS])
def test_only_leads_act(client, ada_in, open_arena, path):
    address = f"/arenas/{open_arena.slug}/{path}"

    assert client.post(address, {"formats": "kwise"}).status_code == 401
    assert ada_in.post(address, {"formats": "kwise"}).status_code == 403
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "path", ["contestants/999/", "data-sets/9/", "data-sets/9/download/", "training-runs/9/"]
)
def test_what_is_not_there_is_a_sentence(grace_in, open_arena, path):
    response = grace_in.get(f"/arenas/{open_arena.slug}/{path}")

    assert response.status_code == 404
    assert '<p class="problem">' in response.content.decode()


def test_leaderboard_shows_each_rating_with_its_interval_and_draws_it(client, voted):
    page = client.get(f"/arenas/{voted.slug}/leaderboard/").content.decode()
    rows = client.get(f"/arenas/{voted.slug}/leaderboard.json").json()["leaderboard"]

    assert len(rows) == 5
    for row in rows:
        assert row["model"] in page
        if row["new"]:
            continue
        assert f"{row['lower']:.0f} to {row['upper']:.0f}" in page
    assert page.count('class="whisker"') == 4  # the fifth has no votes
    assert " style=" not in page


def test_leaderboard_counts_votes_of_all_kinds(client, voted):
    counts = client.get(f"/arenas/{voted.slug}/leaderboard.json").json()["counts"]

    assert (counts["votes"], counts["all_bad"], counts["skip"]) == (5, 1, 1)


def test_leaderboard_fragment_is_sent_only_when_there_is_a_newer_one(client, voted):
    address = f"/arenas/{voted.slug}/leaderboard/"
    client.get(address)
    seen = voted.leaderboards.first().pk

    still = client.get(address, {"seen": seen}, headers={"HX-Request": "true"})
    factories.make_vote(voted, [4, 3, 2, 1])
    moved = client.get(address, {"seen": seen}, headers={"HX-Request": "true"})

    assert still.status_code == 204
    assert moved.status_code == 200
    assert f"seen={voted.leaderboards.first().pk}" in moved.content.decode()
    assert "<html" not in moved.content.decode()


def test_leaderboard_csv_is_a_file_with_a_row_for_each_contestant(client, voted):
    response = client.get(f"/arenas/{voted.slug}/leaderboard.csv")

    assert response["Content-Type"].startswith("text/csv")
    assert len(response.content.decode().strip().splitlines()) == 6


def test_leaderboard_of_an_arena_without_contestants_says_so(client, db):
    arena = factories.make_arena("bare")

    assert "No contestants yet" in client.get(f"/arenas/{arena.slug}/leaderboard/").content.decode()


def test_leaderboard_marks_a_trained_contestant(client, voted):
    parent = voted.contestants.first()
    factories.make_contestant(voted, "tuned", parent=parent)

    assert f"from {parent.name}" in client.get(f"/arenas/{voted.slug}/leaderboard/").content.decode()


def test_hostile_name_is_escaped(client, voted):
    Contestant.objects.filter(pk=voted.contestants.first().pk).update(name="<img src=x onerror=alert(1)>")

    page = client.get(f"/arenas/{voted.slug}/leaderboard/").content.decode()

    assert "<img" not in page
    assert "&lt;img" in page


def test_contestant_page_shows_its_lineage(client, voted):
    parent = voted.contestants.first()
    child = factories.make_contestant(voted, "tuned", parent=parent)

    page = client.get(f"/arenas/{voted.slug}/contestants/{child.pk}/").content.decode()
    of_parent = client.get(f"/arenas/{voted.slug}/contestants/{parent.pk}/").content.decode()

    assert f'href="/arenas/{voted.slug}/contestants/{parent.pk}/"' in page
    assert "tuned" in of_parent


def test_contestant_page_keeps_responses_from_those_who_could_still_vote_on_them(client, grace_in, voted):
    contestant = voted.contestants.first()
    texts = [response.text for response in contestant.responses.all()]
    address = f"/arenas/{voted.slug}/contestants/{contestant.pk}/"

    to_voter = client.get(address).content.decode()
    to_lead = grace_in.get(address).content.decode()

    assert not any(text in to_voter for text in texts)
    assert any(text in to_lead for text in texts)


def test_contestant_page_shows_a_voter_what_was_revealed_to_them(ada_in, ada, open_arena):
    voter = factories.make_voter(user=ada)
    contestant = open_arena.contestants.first()
    vote = factories.make_vote(open_arena, [1, 2, 3, 4], voter=voter)
    judged = vote.battle.slots.get(contestant=contestant).response
    other = contestant.responses.exclude(pk=judged.pk).first()

    page = ada_in.get(f"/arenas/{open_arena.slug}/contestants/{contestant.pk}/").content.decode()

    assert judged.text in page
    assert other.text not in page


def test_contestant_page_shows_paths_to_leads_only(client, grace_in, open_arena):
    contestant = factories.make_contestant(
        open_arena, "local", backend="transformers", checkpoint="/models/in-the-attic"
    )
    address = f"/arenas/{open_arena.slug}/contestants/{contestant.pk}/"

    assert "in-the-attic" not in client.get(address).content.decode()
    assert "in-the-attic" in grace_in.get(address).content.decode()


def test_contestant_of_another_arena_is_not_found(client, open_arena):
    other = factories.make_pool("other")

    response = client.get(f"/arenas/{open_arena.slug}/contestants/{other.contestants.first().pk}/")

    assert response.status_code == 404


def test_manage_shows_how_far_each_contestant_is(grace_in, open_arena):
    late = factories.make_contestant(open_arena, "late")

    page = grace_in.get(f"/arenas/{open_arena.slug}/manage/").content.decode()

    assert page.count("6 of 6") == 5
    assert "0 of 6" in page
    assert late.name in page


def test_manage_keeps_up_with_the_work_while_there_is_some(grace_in, open_arena):
    late = factories.make_contestant(open_arena, "late")
    address = f"/arenas/{open_arena.slug}/manage/"
    still = grace_in.get(address).content.decode()
    Job.objects.create(kind="generate", arena=open_arena, title="Responses", payload={"contestant": late.pk})

    fragment = grace_in.get(address, headers={"HX-Request": "true"}).content.decode()

    assert 'hx-trigger="every 3s"' not in still
    assert 'hx-trigger="every 3s"' in fragment
    assert (
        '<section id="newest-jobs" class="panel" aria-labelledby="jobs-title" hx-swap-oob="true">' in fragment
    )
    assert "<html" not in fragment


def test_manage_does_not_ask_once_for_each_contestant(grace_in, open_arena, django_assert_max_num_queries):
    address = f"/arenas/{open_arena.slug}/manage/"
    grace_in.get(address)

    with django_assert_max_num_queries(16):
        grace_in.get(address)


def test_missing_responses_are_queued_once(grace_in, open_arena):
    contestant = factories.make_contestant(
        open_arena, "late", backend="openai", endpoint="http://127.0.0.1:9/v1", endpoint_model="m"
    )
    address = f"/arenas/{open_arena.slug}/manage/generate/"

    first = grace_in.post(address, follow=True).content.decode()
    grace_in.post(address)

    assert "The missing responses of 1 contestant are being made." in first
    job = Job.objects.get()
    assert job.payload["contestant"] == contestant.pk
    assert job.total == 6


def test_nothing_missing_is_said(grace_in, open_arena):
    page = grace_in.post(f"/arenas/{open_arena.slug}/manage/generate/", follow=True).content.decode()

    assert "No response is missing." in page


def test_lead_retires_a_contestant_and_brings_it_back(grace_in, ada_in, open_arena):
    contestant = open_arena.contestants.first()
    address = f"/arenas/{open_arena.slug}/contestants/{contestant.pk}/retire/"

    assert ada_in.post(address).status_code == 403
    assert grace_in.get(address).status_code == 405
    grace_in.post(address)
    contestant.refresh_from_db()
    assert contestant.retired_at is not None
    grace_in.post(address)
    contestant.refresh_from_db()
    assert contestant.retired_at is None


@pytest.mark.parametrize("path", ["/nothing-here/", "/arenas/"])
def test_unknown_address_is_a_page_of_the_house(client, db, path):
    response = client.get(path)

    assert response.status_code == 404
    assert "There is nothing at this address." in response.content.decode()


def test_fault_is_a_page_of_the_house_and_tells_no_secret(client, open_arena, monkeypatch):
    def broken(*args: object) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr("arena.views.leaderboard.current_leaderboard", broken)
    client.raise_request_exception = False

    response = client.get(f"/arenas/{open_arena.slug}/leaderboard/")

    assert response.status_code == 500
    assert "A fault of ours" in response.content.decode()
    assert "swordfish" not in response.content.decode()


@pytest.mark.parametrize(
    "path",
    ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/accounts/password/reset/done/"],
)
def test_account_pages_are_in_the_style_of_the_house(client, db, path):
    page = client.get(path).content.decode()

    assert "Preference Arena" in page
    assert "arena/style.css" in page
    assert " style=" not in page


def test_signing_in_leads_back_to_where_one_was(client, ada, closed_arena):
    target = f"/arenas/{closed_arena.slug}/"
    response = client.post(
        f"/accounts/login/?next={target}", {"login": "ada", "password": "open sesame", "next": target}
    )

    assert response.status_code == 302
    assert response["Location"] == target


def test_wrong_password_is_a_sentence(client, ada):
    response = client.post("/accounts/login/", {"login": "ada", "password": "wrong"})

    assert 'role="alert"' in response.content.decode()
    assert "_auth_user_id" not in client.session


def test_signing_out_asks_first(ada_in):
    assert "You are signed in as ada." in ada_in.get("/accounts/logout/").content.decode()
    ada_in.post("/accounts/logout/")
    assert "_auth_user_id" not in ada_in.session


def test_every_page_sends_a_policy_that_allows_nothing_inline(client, grace_in, voted):
    pages = ["/", f"/arenas/{voted.slug}/", f"/arenas/{voted.slug}/leaderboard/", "/accounts/login/"]
    for_leads = [f"/arenas/{voted.slug}/{path}" for path in FOR_LEADS]

    for browser, path in [(client, path) for path in pages] + [(grace_in, path) for path in for_leads]:
        response = browser.get(path)
        page = response.content.decode()
        assert "script-src 'self';" in response["Content-Security-Policy"] + ";"
        assert "unsafe" not in response["Content-Security-Policy"]
        assert " style=" not in page, path
        assert " onclick=" not in page, path
        assert "<style" not in page, path
        for script in page.split("<script")[1:]:
            assert ' src="/static/' in script.split(">")[0], path


def test_json_names_what_the_fit_was_given(client, voted):
    data = json.loads(client.get(f"/arenas/{voted.slug}/leaderboard.json").content)

    assert {"method", "settings", "warnings", "counts", "leaderboard"} <= data.keys()


def test_other_arena_is_out_of_reach_of_a_lead(sign_in, db):
    arena = factories.make_pool("elsewhere")
    lead = factories.make_user("lead")
    factories.make_member(factories.make_arena("own"), lead, "lead")

    assert sign_in(lead).get(f"/arenas/{arena.slug}/manage/").status_code == 403
    assert Client().get(f"/arenas/{arena.slug}/manage/").status_code == 401
