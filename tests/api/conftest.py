import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient


class Api(APIClient):
    """A client of the API that speaks JSON and knows the words of the loop."""

    def start(self, arena: str, **body: Any) -> dict[str, Any]:
        answer = self.post("/api/v1/battles/", {"arena": arena, **body}, format="json")
        assert answer.status_code == 201, answer.content
        return answer.json()

    def vote(self, battle: str | uuid.UUID, body: Any, key: str = "") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return self.post(f"/api/v1/battles/{battle}/vote/", body, format="json", headers=headers)


@pytest.fixture
def anonymous() -> Api:
    return Api()


@pytest.fixture
def api():
    """`api(ada)` sends Ada's token."""

    def with_token(user: User) -> Api:
        client = Api()
        token, _ = Token.objects.get_or_create(user=user)
        client.credentials(HTTP_AUTHORIZATION=f"Token {token.key}")
        return client

    return with_token
