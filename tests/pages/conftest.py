import pytest
from django.contrib.auth.models import User
from django.test import Client

from arena.models import Arena


@pytest.fixture
def grace_in(sign_in, grace: User) -> Client:
    """Grace's browser: she leads both arenas."""
    return sign_in(grace)


@pytest.fixture
def mallory_in(sign_in, mallory: User) -> Client:
    return sign_in(mallory)


@pytest.fixture
def ada_in(sign_in, ada: User) -> Client:
    return sign_in(ada)


@pytest.fixture
def here(open_arena: Arena) -> str:
    return f"/arenas/{open_arena.slug}/"
