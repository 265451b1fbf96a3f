"""One's own account: the way to the password, and a token that programs use."""

import pytest
from django.test import Client
from rest_framework.authtoken.models import Token

from arena.models import AuditEntry
from arena.services import tokens
from tests import factories


def jobs_with(key: str) -> int:
    return Client().get("/api/v1/jobs/", headers={"authorization": f"Token {key}"}).status_code


def test_a_token_is_made_shown_once_replaced_and_revoked(sign_in, grace):
    browser = sign_in(grace)
    assert "You have none." in browser.get("/account/").content.decode()

    page = browser.post("/account/", {"act": "renew"}).content.decode()
    first = Token.objects.get(user=grace).key
    assert first in page
    assert jobs_with(first) == 200
    assert first not in browser.get("/account/").content.decode()

    browser.post("/account/", {"act": "renew"})
    second = Token.objects.get(user=grace).key
    assert (jobs_with(first), jobs_with(second)) == (401, 200)

    browser.post("/account/", {"act": "revoke"})
    browser.post("/account/", {"act": "revoke"})
    assert jobs_with(second) == 401
    acts = AuditEntry.objects.filter(actor=grace).order_by("id").values_list("action", flat=True)
    assert list(acts) == ["token renewed", "token renewed", "token revoked"]


def test_looking_makes_no_token(sign_in, grace):
    sign_in(grace).get("/account/")
    sign_in(grace).post("/account/", {"act": "dance"})

    assert not Token.objects.exists()


def test_nobody_else_s_token_is_touched(sign_in, grace, mallory):
    kept = tokens.renew_token(grace)

    sign_in(mallory).post("/account/", {"act": "revoke"})
    sign_in(mallory).post("/account/", {"act": "renew"})

    assert jobs_with(kept) == 200


@pytest.mark.parametrize(("password", "address"), [("x", "password/change/"), (None, "password/set/")])
def test_who_came_without_a_password_may_set_one(sign_in, db, password, address):
    user = factories.make_user("sam")
    user.set_password(password)
    user.save()

    page = sign_in(user).get("/account/").content.decode()

    assert f'href="/accounts/{address}"' in page


def test_the_addresses_of_an_account_are_on_a_page_of_the_house(sign_in, grace):
    browser = sign_in(grace)
    assert "There is none yet." in browser.get("/accounts/email/").content.decode()

    browser.post("/accounts/email/", {"action_add": "", "email": "grace@example.org"})
    page = browser.get("/accounts/email/").content.decode()

    assert 'class="panel narrow"' in page
    assert 'value="grace@example.org"' in page
    assert "not confirmed" in page
    wrong = browser.post("/accounts/email/", {"action_add": "", "email": "grace"})
    assert 'value="grace"' in wrong.content.decode()  # what was typed is there still
    browser.post("/accounts/email/", {"action_remove": "", "email": "grace@example.org"})
    assert 'value="grace@example.org"' not in browser.get("/accounts/email/").content.decode()


def test_a_link_that_has_ended_says_so(client, db):
    assert "This link has ended" in client.get("/accounts/confirm-email/nothing/").content.decode()
