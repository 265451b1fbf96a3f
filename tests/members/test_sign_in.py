"""Signing in: by password with limits, by the organisation's provider, and after a forgotten password."""

import re

import httpx
import pytest
from django.conf import settings as project
from django.contrib.auth.models import User
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from arena import env
from tests import factories
from tests.members.provider import CLIENT_ID, CLIENT_SECRET, Provider, provider

pytestmark = pytest.mark.django_db


@pytest.fixture
def sso(settings):
    """A provider, and an arena that knows it as ARENA_OIDC_* would make it."""
    with provider() as server:
        app = {
            "provider_id": "sso",
            "name": "Example University",
            "client_id": CLIENT_ID,
            "secret": CLIENT_SECRET,
            "settings": {"server_url": server.issuer},
        }
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
        yield server


def sign_in_by(server: Provider, client: Client, following: str = "") -> httpx.Response:
    """What a browser does: the button, the provider's page, and back."""
    away = client.post(f"/accounts/oidc/sso/login/{following}")
    assert away["Location"].startswith(f"{server.issuer}/authorization?")
    back = httpx.get(away["Location"])
    return client.get(back.headers["location"].removeprefix("http://testserver"))


def signed_in(client: Client) -> str:
    return re.search(r'<span class="visually-hidden">(\w+)</span>', client.get("/").content.decode()).group(1)


# Through the organisation


def test_a_person_of_the_organisation_is_signed_in_with_an_account_of_their_own(sso, client):
    assert "Sign in with Example University" in client.get("/accounts/login/").content.decode()

    answer = sign_in_by(sso, client)

    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert User.objects.get().username == "lovelace"
    assert signed_in(client) == "lovelace"
    assert not User.objects.get().is_staff
    assert {"/.well-known/openid-configuration", "/token", "/userinfo"} <= set(sso.asked)


def test_who_comes_again_gets_the_same_account(sso, client):
    sign_in_by(sso, client)
    sso.person["preferred_username"] = "renamed"

    sign_in_by(sso, Client())

    assert User.objects.get().username == "lovelace"


def test_signing_in_leads_on_to_where_one_was_going(sso, client):
    answer = sign_in_by(sso, client, "?next=/roles/")

    assert answer["Location"] == "/roles/"


def test_a_local_account_of_the_same_name_or_address_is_not_taken_over(sso, client):
    mine = factories.make_user("lovelace", email="ada@example.org")
    sso.person["email"] = "ada@example.org"

    sign_in_by(sso, client)

    assert "_auth_user_id" not in client.session or client.session["_auth_user_id"] != str(mine.pk)
    assert not mine.socialaccount_set.exists()


def test_an_answer_to_nobodys_question_signs_nobody_in(sso, client):
    code = sso.code_for({"code_challenge": ""})

    answer = client.get(f"/accounts/oidc/sso/login/callback/?code={code}&state=made-up")

    assert "Signing in did not work" in answer.content.decode()
    assert not User.objects.exists()


def test_a_code_of_another_browser_signs_nobody_in(sso, client):
    """PKCE: who steals the code lacks the secret that asked for it."""
    away = client.post("/accounts/oidc/sso/login/")["Location"]
    asked = dict(httpx.URL(away).params)
    stolen = sso.code_for({**asked, "code_challenge": "another"})

    answer = client.get(f"/accounts/oidc/sso/login/callback/?code={stolen}&state={asked['state']}")

    assert "Signing in did not work" in answer.content.decode()
    assert not User.objects.exists()


def test_without_a_provider_there_is_no_button(client):
    assert "Sign in with" not in client.get("/accounts/login/").content.decode()


# By password


def test_guessing_a_password_is_stopped(client):
    factories.make_user("ada")
    guess = {"login": "ada", "password": "wrong"}
    for _ in range(5):
        assert client.post("/accounts/login/", guess).status_code == 200

    page = client.post("/accounts/login/", {"login": "ada", "password": "open sesame"}).content.decode()

    assert "Too many" in page
    assert "_auth_user_id" not in client.session


def test_the_limits_are_shared_between_processes():
    """In files (or Redis): a limit that each process kept for itself would be none."""
    assert "locmem" not in project.CACHES["default"]["BACKEND"]


def test_a_forgotten_password_is_replaced_by_mail(client):
    user = factories.make_user("ada", email="ada@example.org")
    answer = client.post("/accounts/password/reset/", {"email": "ada@example.org"}, follow=True)
    assert "Look into your mail" in answer.content.decode()

    link = re.search(r"http://testserver(\S+)", mail.outbox[0].body).group(1)
    form = client.get(link, follow=True)
    new = {"password1": "another sesame", "password2": "another sesame"}
    client.post(form.redirect_chain[-1][0], new)

    user.refresh_from_db()
    assert user.check_password("another sesame")
    assert "used already" in Client().get(link, follow=True).content.decode()


def test_an_unknown_address_is_told_the_same_and_gets_no_mail(client):
    answer = client.post("/accounts/password/reset/", {"email": "nobody@example.org"}, follow=True)

    assert "Look into your mail" in answer.content.decode()
    assert mail.outbox == []


# Settings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://ada:p%40ss@mail.example.org", ("mail.example.org", 587, "ada", "p@ss", True, False)),
        ("smtps://mail.example.org", ("mail.example.org", 465, "", "", False, True)),
        ("smtp://localhost:25?tls=off", ("localhost", 25, "", "", False, False)),
    ],
)
def test_one_address_says_how_mail_is_sent(monkeypatch, url, expected):
    monkeypatch.setenv("X", url)

    read = env.mail("X")

    names = ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL")
    assert tuple(read[f"EMAIL_{name}"] for name in names) == expected


def test_a_wrong_mail_address_is_refused_without_showing_its_password(monkeypatch):
    monkeypatch.setenv("X", "mail://ada:hunter2@example.org")

    with pytest.raises(ImproperlyConfigured, match="X is not readable; accepted is smtp") as raised:
        env.mail("X")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://sso.example.org", "sso.example.org", "ftp://sso.example.org"])
def test_a_provider_in_the_clear_is_refused(monkeypatch, url):
    monkeypatch.setenv("X", url)

    with pytest.raises(ImproperlyConfigured, match="https://"):
        env.web_address("X")


@pytest.mark.parametrize(("is_open", "offers"), [(False, 0), (True, 1)])
def test_an_account_is_offered_only_where_one_may_be_made(client, settings, is_open, offers):
    settings.ALLOW_SIGN_UP = is_open

    page = client.get("/accounts/login/").content.decode()

    assert page.count("/accounts/signup/") == offers
