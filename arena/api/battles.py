"""Battles and votes: the blind view, the vote, the reveal."""

from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api.serializers import (
    BattleRequestSerializer,
    BlindBattleSerializer,
    RevealSerializer,
    VoteExtrasSerializer,
    VoteRequestSerializer,
    as_object,
    checked,
)
from arena.api.views import View, errors
from arena.errors import NotFound, NotYourBattle
from arena.models import Battle
from arena.services import access
from arena.services.ballots import Ballot
from arena.services.battles import blind_view, start_battle
from arena.services.voters import known_voter, voter_for
from arena.services.votes import cast_vote, reveal


class BattlesView(View):
    @extend_schema(
        summary="Start a battle",
        description="Answers with the battle that is open for you in this arena, or with a new one. "
        "In an open arena no sign-in is needed: keep the session cookie to stay the same voter.",
        request=BattleRequestSerializer,
        responses={201: BlindBattleSerializer, **errors(400, 401, 403, 404, 409)},
    )
    def post(self, request: Request) -> Response:
        wanted = checked(BattleRequestSerializer, request.data)
        arena = access.get_arena(slug=wanted["arena"], user=request.user)
        battle = start_battle(arena=arena, voter=voter_for(request), k=wanted.get("k"))
        return Response(blind_view(battle), status=status.HTTP_201_CREATED)


class VoteView(View):
    @extend_schema(
        summary="Vote on a battle",
        description="Give exactly one of `ranks`, `best`, `all_bad` and `skip`. The same answer sent again "
        "with the same Idempotency-Key gets the first answer again; any other after the first is a 409.",
        parameters=[
            OpenApiParameter(
                "Idempotency-Key", str, OpenApiParameter.HEADER, description="Your own name for this vote."
            )
        ],
        request=VoteRequestSerializer,
        responses={201: RevealSerializer, **errors(400, 401, 403, 404, 409)},
    )
    def post(self, request: Request, battle_id: UUID) -> Response:
        battle = Battle.objects.select_related("arena").filter(pk=battle_id).first()
        if battle is None:
            raise NotFound(f'There is no battle "{battle_id}".')
        voter = known_voter(request)
        if voter is None:
            raise NotYourBattle("This battle was served to somebody else. Start your own to vote.")
        body = as_object(request.data)
        extras = checked(VoteExtrasSerializer, body)
        vote = cast_vote(
            battle=battle,
            voter=voter,
            ballot=Ballot.parse(body, battle.k),
            idempotency_key=request.headers.get("Idempotency-Key"),
            active_ms=extras.get("active_ms"),
        )
        return Response(reveal(vote), status=status.HTTP_201_CREATED)
