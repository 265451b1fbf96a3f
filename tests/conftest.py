"""People and places that tests share. Ada votes, Grace leads, Mallory has no business here."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation

from annotation.services import dashboard, quality, review_queue, vote_facts
from arena.models import Arena, Membership
from arena.services import matchmaking, vote_log
from tests import factories


@pytest.fixture(autouse=True)
def _nothing_kept_from_other_tests():
    """Ids come again in the next test, so what a process keeps of the log must go."""
    yield
    for kept in (vote_log, matchmaking, vote_facts, quality, dashboard, review_queue):
        kept.forget()
    translation.deactivate()  # a page in German leaves its thread in German


@pytest.fixture
def open_arena(db: None) -> Arena:
    """Anybody votes here: five contestants, six prompts, everything answered."""
    return factories.make_pool("garden")


@pytest.fixture
def closed_arena(db: None) -> Arena:
    """Members only: Ada may vote and Grace leads, once the fixtures `ada` and `grace` are used."""
    return factories.make_pool("cellar", access=Arena.Access.CLOSED)


@pytest.fixture
def ada(open_arena: Arena, closed_arena: Arena) -> User:
    """An annotator of both arenas."""
    user = factories.make_user("ada")
    for arena in (open_arena, closed_arena):
        factories.make_member(arena, user, Membership.Role.ANNOTATOR)
    return user


@pytest.fixture
def grace(open_arena: Arena, closed_arena: Arena) -> User:
    """A lead of both arenas."""
    user = factories.make_user("grace")
    for arena in (open_arena, closed_arena):
        factories.make_member(arena, user, Membership.Role.LEAD)
    return user


@pytest.fixture
def mallory(db: None) -> User:
    """Signed in, and a member of nothing."""
    return factories.make_user("mallory")


@pytest.fixture
def staff(db: None) -> User:
    return factories.make_user("staff", is_staff=True, is_superuser=True)


@pytest.fixture
def sign_in():
    """`sign_in(ada)` is a browser in which Ada is signed in."""

    def signed_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def folders_of_their_own(settings, tmp_path):
    """Empty folders for files: a backup holds what other tests left, and a restore wants none."""
    for name in ("DATA_SETS_DIR", "RUNS_DIR", "MEDIA_ROOT", "MODELS_DIR"):
        folder = tmp_path / name
        folder.mkdir()
        setattr(settings, name, folder)
