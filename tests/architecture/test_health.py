"""What load balancers and Docker ask."""

import pytest
from django.db import DatabaseError, connection
from django.test import Client

from arena import health

pytestmark = pytest.mark.services


def test_a_living_process_says_so_and_asks_no_database(client):
    with connection.execute_wrapper(pytest.fail):
        answer = client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.django_db
def test_a_process_that_can_serve_says_so(client):
    answer = client.get("/readyz")

    workers = answer.json().pop("workers")
    assert {**answer.json(), "workers": {}} == {
        "status": "ok",
        "database": "ok",
        "queue": "ok",
        "workers": {},
    }
    assert workers["train"] == "No worker has listened to the queue train yet."
    assert answer.status_code == 200


@pytest.mark.django_db
def test_a_database_that_is_down_makes_it_unready_and_not_a_server_error(client):
    def down(*_):
        raise DatabaseError("connection refused")

    with connection.execute_wrapper(down):
        answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["database"].startswith("The database does not answer.")


@pytest.mark.django_db
def test_a_redis_that_is_down_makes_it_unready(client, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["queue"] == "Redis does not answer. Start it, or look at REDIS_URL."


@pytest.mark.django_db
def test_a_missing_migration_makes_it_unready(monkeypatch):
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda *_: ["0002", "0003"])

    assert health.database_fault() == "2 migrations have not been applied. Run: python manage.py migrate"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_only_reading_is_allowed(path):
    assert Client().post(path).status_code == 405


def test_the_checks_are_answered_over_plain_http_where_pages_are_not(client, settings):
    settings.SECURE_SSL_REDIRECT = True

    assert client.get("/healthz").status_code == 200
    assert client.get("/accounts/login/").status_code == 301
