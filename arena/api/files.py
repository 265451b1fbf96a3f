"""The files that responses are: sent to those who may have them, whole or in ranges, and never run."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

from arena.api.views import View, errors
from arena.services import media
from arena.services.voters import known_voter

RANGE = re.compile(r"bytes=(\d*)-(\d*)")
# A browser asks for the rest of a film again when it gets there.
LARGEST_PART = 4 * 2**20
PARTS = OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="`bytes=0-99`: only a part.")
# Opened by itself, nothing in it may run or fetch.
POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"


class _Whatever(BaseContentNegotiation):
    """An <img> accepts pictures only, and the renderers here write JSON: what is there is sent."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class BattleFileView(View):
    content_negotiation_class = _Whatever

    @extend_schema(
        summary="The file of a slot",
        description="For the voter of the battle, without anything that says who made it.",
        parameters=[PARTS],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, **errors(404)},
    )
    def get(self, request: Request, battle_id: UUID, token: str) -> HttpResponse:
        found = media.file_of_slot(battle_id=battle_id, token=token, voter=known_voter(request))
        return sent(request, *media.shown_file(found))


class ResponseFileView(View):
    content_negotiation_class = _Whatever

    @extend_schema(
        summary="The file of a response",
        description="For leads, and for voters to whom their own vote has told whose it is.",
        parameters=[PARTS],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, **errors(404)},
    )
    def get(self, request: Request, pk: int) -> HttpResponse:
        found = media.file_of_response(pk=pk, user=request.user, voter=known_voter(request))
        return sent(request, *media.shown_file(found))


def sent(request: Request, path: Path, media_type: str) -> HttpResponse:
    """The file, or the part that was asked for (RFC 9110, 14): players jump by it."""
    size = path.stat().st_size
    first, last, status = 0, size - 1, 200
    asked = RANGE.fullmatch(request.headers.get("Range", ""))
    if asked and (asked[1] or asked[2]):
        status = 206
        # "-500" are the last 500 bytes.
        first = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
        last = min(int(asked[2]), size - 1) if asked[1] and asked[2] else size - 1
        if first > last:
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
        last = min(last, first + LARGEST_PART - 1)
    with path.open("rb") as file:
        file.seek(first)
        content = file.read(last - first + 1)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'inline; filename="response{path.suffix}"',
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
    if status == 206:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return HttpResponse(content, status=status, content_type=media_type, headers=headers)
