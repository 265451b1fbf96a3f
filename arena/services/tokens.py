"""The token with which a program speaks for a person at the REST API. Each account has one at most."""

from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib.auth.models import User
from django.db import transaction

from arena.services import audit


def token_since(user: User) -> datetime | None:
    """When this account's token was made; None where it has none."""
    made: datetime | None = _tokens().filter(user=user).values_list("created", flat=True).first()
    return made


@transaction.atomic
def renew_token(user: User) -> str:
    """A new token. The one before it is refused from now on."""
    _tokens().filter(user=user).delete()
    key: str = _tokens().create(user=user).key
    audit.record(action="token renewed", target=user, actor=user)
    return key


@transaction.atomic
def revoke_token(user: User) -> None:
    """Take the account's token away. Twice is as good as once."""
    if _tokens().filter(user=user).delete()[0]:
        audit.record(action="token revoked", target=user, actor=user)


def _tokens() -> Any:
    """The API's table of tokens, by its name: services know no requests, and nothing else of the API."""
    return apps.get_model("authtoken", "Token").objects
