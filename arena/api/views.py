"""What every endpoint shares."""

import hashlib
from typing import Any

from django.http import HttpRequest, JsonResponse
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.authtoken.views import ObtainAuthToken
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from arena.api.serializers import ErrorSerializer


def errors(*statuses: int) -> dict[int, Any]:
    """The error answers of an endpoint, for its documentation."""
    return dict.fromkeys(statuses, ErrorSerializer)


def page_of(serializer: type[serializers.Serializer]) -> serializers.Serializer:
    """One page of a long list, for the documentation. See NewestFirst."""
    return inline_serializer(
        name=serializer.__name__.replace("Serializer", "Page"),
        fields={
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": serializer(many=True),
        },
    )


class View(APIView):
    """An endpoint. Answers depend on who asks and on the votes so far: nobody may keep them."""

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        return response


class NewestFirst(CursorPagination):
    """Pages by id: cheap however long the list is, and stable while it grows."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200


class TokenThrottle(SimpleRateThrottle):
    """Guessing passwords must be slow. Counted per address and per name.

    The address is the connection's: one that a header claims could be another each time.
    """

    rate = "10/min"
    scope = "token"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        data = request.data if isinstance(request.data, dict) else {}
        name = hashlib.sha256(str(data.get("username", "")).encode(errors="replace")).hexdigest()
        return f"token:{request.META.get('REMOTE_ADDR', '')}:{name}"


@extend_schema(summary="Your token", responses={200: dict[str, str], **errors(400, 429)})
class TokenView(ObtainAuthToken):
    """Your token, for your username and password. Send it as `Authorization: Token …`."""

    throttle_classes = [TokenThrottle]


def nothing_here(request: HttpRequest, path: str = "") -> JsonResponse:
    return JsonResponse(
        {"error": "There is nothing at this address. See /api/v1/docs/ for what there is."}, status=404
    )
