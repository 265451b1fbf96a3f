"""Every address × everybody: what access.RIGHTS promises is what the server does.

An address that is new has no row here and fails: say whose it is. Those under an arena's
`manage/` are its leads' unless a row says otherwise.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver

from arena.models import Arena, DataSet, Job, Membership, TrainingRun
from arena.services import access, invitations
from tests import factories

ARENA = "arenas/<slug:slug>/"
EVERYBODY = ["anonymous", "outsider", "viewer", "annotator", "lead", "owner", "staff"]


@dataclass(frozen=True)
class Row:
    """Whose an address is: a right in its arena, or "anybody", or "signed in"."""

    right: access.Right | str
    method: str = "get"
    real: bool = True  # what the address names is there, so that whoever may gets no 404


def managed(method: str = "get", real: bool = True) -> Row:
    return Row(access.MANAGE, method, real)


ROWS = {
    "": Row("anybody"),
    "healthz": Row("anybody"),
    "readyz": Row("anybody"),
    "favicon.ico": Row("anybody"),
    "language/": Row("anybody", "post"),
    "roles/": Row("anybody"),
    "invitations/<str:token>/": Row("anybody"),
    "account/": Row("signed in"),
    "new-arena/": Row(access.FOUND),
    ARENA: Row(access.VOTE),
    ARENA + "vote/": Row(access.VOTE, "post", real=False),
    ARENA + "next/": Row(access.VOTE),
    ARENA + "votes/<uuid:battle_id>/": Row(access.VOTE, real=False),
    ARENA + "votes/": Row(access.VOTE, real=False),
    ARENA + "votes/<uuid:battle_id>/names/": Row(access.VOTE, "post", real=False),
    ARENA + "votes/<uuid:battle_id>/undo/": Row(access.VOTE, "post", real=False),
    ARENA + "survey/": Row(access.VOTE, "post", real=False),
    ARENA + "my-answers/": Row(access.VOTE),
    "battles/<uuid:battle_id>/draft/": Row("anybody", "post", real=False),
    "battles/<uuid:battle_id>/shown/": Row("anybody", "post", real=False),
    "battles/<uuid:battle_id>/preview/": Row("anybody", "post", real=False),
    "battles/<uuid:battle_id>/report/": Row("anybody", "post", real=False),
    # A campaign is there for whoever takes part in it and for nobody else: tests/campaigns.
    "campaigns/": Row("anybody"),
    "campaigns/<slug:slug>/": Row("anybody", real=False),
    "campaigns/<slug:slug>/join/<str:token>/": Row("anybody", real=False),
    "campaigns/<slug:slug>/work/": Row("anybody", real=False),
    "campaigns/<slug:slug>/next/": Row("anybody", real=False),
    "campaigns/<slug:slug>/vote/": Row("anybody", "post", real=False),
    "campaigns/<slug:slug>/survey/": Row("anybody", "post", real=False),
    "campaigns/<slug:slug>/my-answers/": Row("anybody", real=False),
    "campaigns/<slug:slug>/keep/": Row("anybody", "post", real=False),
    "campaigns/<slug:slug>/votes/": Row("anybody"),
    "campaigns/<slug:slug>/votes/<uuid:battle_id>/": Row("anybody", real=False),
    "campaigns/<slug:slug>/votes/<uuid:battle_id>/undo/": Row("anybody", "post", real=False),
    "campaigns/<slug:slug>/panel/": Row("anybody", "post", real=False),
    "api/v1/campaigns/": Row("anybody"),
    "api/v1/campaigns/<slug:slug>/": Row("anybody", real=False),
    "api/v1/campaigns/<slug:slug>/join/": Row("anybody", "post", real=False),
    "api/v1/campaigns/<slug:slug>/next/": Row("anybody", "post", real=False),
    "api/v1/campaigns/<slug:slug>/vote/": Row("anybody", "post", real=False),
    ARENA + "ask/": Row(access.VOTE, real=False),
    **{
        ARENA + "talks/<uuid:talk>/" + what: Row(access.VOTE, method, real=False)
        for what, method in (
            ("", "get"),
            ("next/", "get"),
            ("vote/", "post"),
            ("go-on/", "post"),
            ("votes/", "get"),
            ("votes/<uuid:battle>/names/", "post"),
            ("votes/<uuid:battle>/undo/", "post"),
        )
    },
    ARENA + "leaderboard/": Row(access.SEE),
    ARENA + "leaderboard/behind/": Row(access.SEE),
    ARENA + "leaderboard/behind.json": Row(access.SEE),
    "jobs/events/": Row("signed in"),
    ARENA + "leaderboard.json": Row(access.SEE),
    ARENA + "leaderboard.csv": Row(access.SEE),
    ARENA + "contestants/<int:pk>/": Row(access.SEE),
    ARENA + "contestants/<int:pk>/retire/": managed("post"),
    ARENA + "manage/contestants/": managed(),
    ARENA + "manage/contestants/<int:pk>/": managed(),
    ARENA + "manage/contestants/<int:pk>/check/": managed("post"),
    ARENA + "data-sets/": managed(),
    ARENA + "data-sets/<int:number>/": managed(),
    ARENA + "data-sets/<int:number>/download/": managed(real=False),
    ARENA + "training-runs/": managed(),
    ARENA + "training-runs/compare/": managed(),
    ARENA + "training-runs/rounds/": managed(),
    ARENA + "training-runs/rounds/<int:pk>/votes/": managed("post"),
    ARENA + "training-runs/rounds/<int:pk>/end/": managed("post", real=False),
    ARENA + "training-runs/rounds/<int:pk>/give-up/": managed("post", real=False),
    ARENA + "training-runs/<int:pk>/": managed(),
    ARENA + "training-runs/<int:pk>/promote/": managed("post"),
    ARENA + "training-runs/<int:pk>/README.md": managed(real=False),
    ARENA + "training-runs/<int:pk>/figures.csv": managed(),
    ARENA + "training-runs/<int:pk>/<slug:part>.zip": managed(real=False),
    ARENA + "manage/generate/": managed("post"),
    ARENA + "manage/judges/<int:pk>/ask-people/": managed("post", real=False),
    ARENA + "manage/judges/<int:pk>/bring-back/": managed("post", real=False),
    ARENA + "manage/settings/": Row(access.OWN),
    ARENA + "manage/members/add/": managed("post"),
    ARENA + "manage/members/<int:pk>/role/": managed("post"),
    ARENA + "manage/members/<int:pk>/remove/": managed("post"),
    ARENA + "manage/invitations/": managed("post"),
    ARENA + "manage/invitations/<int:pk>/revoke/": managed("post"),
    "jobs/": Row("signed in"),
    "jobs/<int:pk>/": managed(),
    "jobs/<int:pk>/cancel/": managed("post"),
    "jobs/<int:pk>/retry/": managed("post"),
    "api/v1/battles/": Row(access.VOTE, "post"),
    "api/v1/battles/<uuid:battle_id>/vote/": Row(access.VOTE, "post", real=False),
    "api/v1/battles/<uuid:battle_id>/undo/": Row(access.VOTE, "post", real=False),
    "api/v1/battles/<uuid:battle_id>/report/": Row("anybody", "post", real=False),
    "api/v1/arenas/<slug:slug>/survey/": Row(access.VOTE),
    "api/v1/arenas/<slug:slug>/talks/": Row(access.VOTE, "post"),
    "api/v1/arenas/<slug:slug>/talks/<uuid:talk>/": Row(access.VOTE, real=False),
    "api/v1/arenas/": Row("anybody"),
    "api/v1/arenas/<slug:slug>/": Row(access.SEE),
    "api/v1/arenas/<slug:slug>/leaderboard/": Row(access.SEE),
    "api/v1/arenas/<slug:slug>/contestants/": Row(access.SEE),
    "api/v1/arenas/<slug:slug>/leaderboard/analysis/": Row(access.SEE),
    "api/v1/arenas/<slug:slug>/leaderboard/compare/": Row(access.SEE),
    "api/v1/arenas/<slug:slug>/judges/": managed(),
    "api/v1/arenas/<slug:slug>/judges/<int:pk>/work/": managed("post", real=False),
    "api/v1/training-runs/<int:pk>/download/<slug:part>/": managed(real=False),
    "api/v1/arenas/<slug:slug>/judges/<int:pk>/": managed(real=False),
    "api/v1/data-sets/<int:pk>/curate/": managed("post", real=False),
    "api/v1/arenas/<slug:slug>/rounds/": managed(),
    "api/v1/arenas/<slug:slug>/rounds/<int:pk>/votes/": managed("post", real=False),
    "api/v1/arenas/<slug:slug>/rounds/<int:pk>/end/": managed("post", real=False),
    "api/v1/arenas/<slug:slug>/rounds/<int:pk>/give-up/": managed("post", real=False),
    # A file is there for whom its service knows: tests/api/test_files.py.
    "api/v1/battles/<uuid:battle_id>/files/<str:token>/": Row("anybody", real=False),
    "api/v1/responses/<int:pk>/file/": Row("anybody", real=False),
    "api/v1/contestants/<int:pk>/": managed(),
    "api/v1/contestants/<int:pk>/check/": managed("post"),
    "api/v1/data-sets/": Row("signed in"),
    "api/v1/data-sets/<int:pk>/": managed(),
    "api/v1/data-sets/<int:pk>/download/": managed(real=False),
    "api/v1/training-runs/": Row("signed in"),
    "api/v1/training-runs/plan/": Row("signed in", "post", real=False),
    "api/v1/training-runs/compare/": Row("signed in"),
    "api/v1/training-runs/<int:pk>/": managed(),
    "api/v1/training-runs/<int:pk>/metrics/": managed(),
    "api/v1/training-runs/<int:pk>/promote/": managed("post"),
    "api/v1/training-runs/<int:pk>/card/": managed(real=False),
    "api/v1/arenas/<slug:slug>/votes/<int:pk>/": managed(real=False),
    "api/v1/jobs/": Row("signed in"),
    "api/v1/jobs/<int:pk>/": managed(),
    "api/v1/jobs/<int:pk>/cancel/": managed("post"),
    "api/v1/jobs/<int:pk>/retry/": managed("post"),
    "api/v1/token/": Row("anybody", "post"),
    "api/v1/schema/": Row("anybody"),
    "api/v1/docs/": Row("anybody"),
    "api/v1/<path>": Row("anybody", real=False),
}
SERVED = {200, 201, 202, 204, 302, 400, 409}
# Other people's work with rules and tests of its own: whoever is not staff is sent to sign in.
ELSEWHERE = ("admin/", "accounts/")


def routes(patterns: list, before: str = "") -> Iterator[str]:
    """Every address as a route, regular expressions as <name>."""
    for entry in patterns:
        route = before + str(entry.pattern)
        if route.startswith(ELSEWHERE):
            continue
        if isinstance(entry, URLPattern):
            yield re.sub(r"[\^$]|\(\?P(<\w+>)[^)]*\)", lambda match: match.group(1) or "", route)
        else:
            yield from routes(entry.url_patterns, route)


def row_of(route: str) -> Row | None:
    if route in ROWS:
        return ROWS[route]
    return managed(real=False) if route.startswith(ARENA + "manage/") else None


ALL_ROUTES = sorted(set(routes(get_resolver().url_patterns)))


def test_every_address_has_a_row():
    assert [route for route in ALL_ROUTES if row_of(route) is None] == []
    assert [route for route in ROWS if route not in ALL_ROUTES] == []  # and no row is left over


@pytest.fixture
def cellar(closed_arena: Arena) -> dict[str, str]:
    """A closed arena with one of everything; gives what its addresses hold, by route or by name."""
    owner = factories.make_user("owner-of-all")
    factories.make_member(closed_arena, owner, "owner")
    contestant = closed_arena.contestants.first()
    manifest = {"files": {}, "splits": {"train": {"informative": 3}}}
    data_set = DataSet.objects.create(arena=closed_arena, number=1, formats=["kwise"], manifest=manifest)
    run = TrainingRun.objects.create(
        arena=closed_arena, base=contestant, data_set=data_set, name="Tuned", objective="dpo"
    )
    job = Job.objects.create(kind=Job.Kind.EXPORT, title="Export", arena=closed_arena)
    member = factories.make_member(closed_arena, factories.make_user(), "annotator")
    invitation, link = invitations.invite(arena=closed_arena, role="viewer", by=owner)
    return {
        "slug": closed_arena.slug,
        "number": "1",
        "token": link.rstrip("/").rpartition("/")[2],
        "battle_id": str(uuid4()),
        "contestants": str(contestant.pk),
        "data-sets": str(data_set.pk),
        "training-runs": str(run.pk),
        "jobs": str(job.pk),
        "members": str(member.pk),
        "invitations": str(invitation.pk),
        "path": "nothing",
    }


def address(route: str, facts: dict[str, str]) -> str:
    """The route with the names of things in it; "pk" is of what the path says before it."""

    def filled(match: re.Match[str]) -> str:
        name = match.group(1).rpartition(":")[2]
        if name == "pk":
            return facts.get(route[: match.start()].rstrip("/").rpartition("/")[2], "999999")
        kind = match.group(1).partition(":")[0]
        return facts.get(name) or {"uuid": str(uuid4()), "int": "999999"}.get(kind, "nothing")

    return "/" + re.sub(r"<([^>]+)>", filled, route)


def browser_of(who: str, arena: Arena) -> Client:
    client = Client()
    if who != "anonymous":
        user = factories.make_user(is_staff=who == "staff", is_superuser=who == "staff")
        if who in Membership.Role.values:
            factories.make_member(arena, user, who)
        client.force_login(user)
    return client


def ask(client: Client, row: Row, path: str) -> int:
    """The status of the answer; what the request changed is undone."""
    with transaction.atomic():
        answer = client.get(path) if row.method == "get" else None
        # An address without a row of its own may be a form's.
        if answer is None or answer.status_code == 405:
            answer = client.post(path, {"arena": "cellar"}, content_type="application/json")
        if answer.streaming and answer["Content-Type"] != "text/event-stream":  # events never end
            b"".join(answer.streaming_content)
        transaction.set_rollback(True)
    refused = answer.status_code == 302 and "/accounts/login/" in answer["Location"]
    return 401 if refused else answer.status_code


def may(who: str, right: access.Right | str) -> bool:
    if right == "anybody":
        return True
    if right == "signed in":
        return who != "anonymous"
    return who == "staff" or who in right.roles


@pytest.mark.parametrize("who", EVERYBODY)
def test_each_address_of_a_closed_arena_serves_those_with_the_right_and_nobody_else(
    who, cellar, closed_arena
):
    client = browser_of(who, closed_arena)
    wrong = []
    for route in ALL_ROUTES:
        row = row_of(route)
        if row is None:
            continue  # the test above names it
        status = ask(client, row, address(route, cellar))
        if may(who, row.right):
            served = status in (SERVED if row.real else {*SERVED, 404})
        else:
            served = status not in (401, 403, 404)
        if served != may(who, row.right):
            wrong.append(f"{row.method} {route}: {status}")

    assert wrong == []


@pytest.mark.parametrize("who", ["anonymous", "outsider", "viewer"])
def test_an_open_arena_is_for_everybody_but_its_management_is_not(who, open_arena):
    client = browser_of(who, open_arena)

    assert client.get("/arenas/garden/").status_code == 200
    assert client.get("/arenas/garden/leaderboard/").status_code == 200
    for page in ("manage/", "manage/members/", "manage/settings/", "data-sets/", "training-runs/"):
        assert client.get(f"/arenas/garden/{page}").status_code in (401, 403), page


@pytest.mark.parametrize(
    ("who", "vote", "settings"),
    [("viewer", False, False), ("annotator", True, False), ("lead", True, False), ("owner", True, True)],
)
def test_nobody_is_offered_what_they_may_not_do(closed_arena, sign_in, who, vote, settings):
    user = factories.make_user(who)
    factories.make_member(closed_arena, user, who)
    browser = sign_in(user)

    for page in ("/", "/arenas/cellar/leaderboard/"):
        assert ('href="/arenas/cellar/"' in browser.get(page).content.decode()) == vote
    overview = browser.get("/arenas/cellar/manage/").content.decode()
    assert ('href="/arenas/cellar/manage/settings/"' in overview) == settings
