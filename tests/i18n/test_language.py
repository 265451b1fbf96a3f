"""The reader's language: chosen by a switch, kept by cookie and account, else what the browser asks for."""

import csv
import io

import pytest
from django.test import Client

from arena.errors import BadInput
from arena.models import Preference
from arena.services.preferences import keep_language, language_of
from tests import factories

HEADING = {"en": "<h1>Leaderboard</h1>", "de": "<h1>Rangliste</h1>", "zh-hans": "<h1>排行榜</h1>"}
BOARD = "/arenas/garden/leaderboard/"


def choose(client: Client, language: str, to: str = BOARD, **extra: str):
    return client.post("/language/", {"language": language, "next": to}, **extra)


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("zh-CN,zh;q=0.9", "zh-hans"),
        ("fr-FR,fr;q=0.9", "en"),
        ("not a language;;q=x", "en"),
    ],
)
def test_without_a_choice_the_page_is_in_the_browser_s_language(client, open_arena, asked, language):
    page = client.get(BOARD, headers={"accept-language": asked}).content.decode()

    assert f'<html lang="{language}" dir="ltr">' in page
    assert HEADING[language] in page


@pytest.mark.parametrize("language", list(HEADING))
def test_the_switch_brings_back_to_the_page_in_the_chosen_language(client, open_arena, language):
    answer = choose(client, language)

    assert answer.status_code == 302
    assert answer["Location"] == BOARD
    # The choice counts for more than the browser's wish.
    page = client.get(BOARD, headers={"accept-language": "de, zh"}).content.decode()
    assert HEADING[language] in page


def test_the_switch_is_on_the_page_and_names_each_language_in_itself(client, open_arena):
    page = client.get(BOARD).content.decode()

    assert f'name="next" value="{BOARD}"' in page
    for code, name in (("en", "English"), ("de", "Deutsch"), ("zh-hans", "简体中文")):
        assert f'value="{code}" lang="{code}"' in page
        assert name in page


def test_the_choice_lasts_beyond_the_session(client, open_arena):
    cookie = choose(client, "de").cookies["django_language"]

    assert cookie["max-age"] >= 60 * 60 * 24 * 365
    assert (cookie["samesite"], cookie["httponly"]) == ("Lax", True)


def test_the_switch_is_a_post(client, open_arena):
    assert client.get("/language/").status_code == 405


def test_without_its_token_the_switch_does_nothing(open_arena):
    strict = Client(enforce_csrf_checks=True)

    assert choose(strict, "de").status_code == 403
    assert HEADING["en"] in strict.get(BOARD).content.decode()


@pytest.mark.parametrize("language", ["", "fr", "xx", "de\n", "a" * 5000])
def test_a_language_that_is_not_there_is_refused_and_nothing_changes(client, open_arena, language):
    choose(client, "de")

    answer = choose(client, language)

    assert answer.status_code == 400
    assert "django_language" not in answer.cookies
    assert HEADING["de"] in client.get(BOARD).content.decode()


@pytest.mark.parametrize("away", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_the_switch_leads_nowhere_else(client, open_arena, away):
    assert choose(client, "de", to=away)["Location"] == "/"


def test_chosen_twice_is_chosen_once(open_arena, ada, sign_in):
    client = sign_in(ada)
    choose(client, "de")
    choose(client, "zh-hans")

    assert Preference.objects.get().language == "zh-hans"
    assert HEADING["zh-hans"] in client.get(BOARD).content.decode()


def test_nothing_is_kept_of_who_is_not_signed_in(client, open_arena):
    choose(client, "de")

    assert not Preference.objects.exists()


def test_the_account_s_language_comes_along_to_another_machine(open_arena, ada, mallory):
    keep_language(user=ada, language="de")
    elsewhere = Client()
    choose(elsewhere, "zh-hans")

    elsewhere.post("/accounts/login/", {"login": "ada", "password": "open sesame"})

    assert HEADING["de"] in elsewhere.get(BOARD).content.decode()
    assert language_of(mallory) == ""


def test_signing_in_without_a_kept_language_changes_nothing(open_arena, ada):
    client = Client()
    choose(client, "zh-hans")

    client.post("/accounts/login/", {"login": "ada", "password": "open sesame"})

    assert HEADING["zh-hans"] in client.get(BOARD).content.decode()


def test_a_language_no_longer_offered_is_forgotten(ada):
    Preference.objects.create(user=ada, language="tlh")

    assert language_of(ada) == ""
    with pytest.raises(BadInput, match="There is no language tlh here"):
        keep_language(user=ada, language="tlh")


def test_a_page_costs_no_query_for_its_language(open_arena, ada, sign_in, django_assert_num_queries):
    client = sign_in(ada)
    keep_language(user=ada, language="de")
    client.get("/arenas/")  # whatever a first page does once
    with django_assert_num_queries(2):  # session and user
        client.get("/language/")
        client.get("/roles/", headers={"accept-language": "de"})


def test_a_refusal_is_said_in_the_reader_s_language(client, open_arena, closed_arena):
    page = client.get("/arenas/nowhere/leaderboard/", headers={"accept-language": "de"})

    assert page.status_code == 404
    assert "Es gibt keine Arena „nowhere“." in page.content.decode()


def test_the_api_answers_in_the_language_it_is_asked_in_and_else_in_english(client, open_arena):
    address = "/api/v1/arenas/nowhere/"

    assert "There is no arena" in client.get(address).json()["error"]
    assert "Es gibt keine Arena" in client.get(address, headers={"accept-language": "de"}).json()["error"]


def test_numbers_and_dates_follow_the_language_but_machine_formats_do_not(client, open_arena):
    for _ in range(3):
        factories.make_vote(open_arena, [1, 2, 3, 4])
    choose(client, "de")

    data = client.get("/arenas/garden/leaderboard.json").json()
    rows = list(csv.DictReader(io.StringIO(client.get("/arenas/garden/leaderboard.csv").content.decode())))

    assert "," not in "".join(rows[0][name] for name in ("rating", "lower", "upper"))
    assert float(rows[0]["rating"]) == pytest.approx(data["leaderboard"][0]["rating"], abs=1e-6)


def test_a_skip_said_in_german_is_stored_in_the_words_of_the_code(client, open_arena):
    choose(client, "de")
    page = client.get("/arenas/garden/").content.decode()

    assert '<option value="I do not know the subject">Ich kenne mich mit dem Thema nicht aus</option>' in page
