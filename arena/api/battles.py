"""Battles and votes: the blind view, the vote, the reveal."""

from uuid import UUID

from django.utils.translation import gettext as _
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
from arena.models import Battle, Vote, Voter
from arena.services import access
from arena.services.ballots import Ballot
from arena.services.battles import blind_view, mark_shown, start_battle
from arena.services.undo import undo_vote
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
        mark_shown(battle)
        return Response(blind_view(battle), status=status.HTTP_201_CREATED)


class VoteView(View):
    @extend_schema(
        summary="Vote on a battle",
        description="Give exactly one of `ranks`, `best`, `strength`, `all_bad` and `skip`, and under "
        "`details` what the arena's `judgement` asks for beside it. The same answer sent again "
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
        battle, voter = battle_and_voter(request, battle_id)
        body = as_object(request.data)
        extras = checked(VoteExtrasSerializer, body)
        vote = cast_vote(
            battle=battle,
            voter=voter,
            ballot=Ballot.parse(body, battle.k),
            idempotency_key=request.headers.get("Idempotency-Key"),
            active_ms=extras.get("active_ms"),
            details=extras.get("details"),
        )
        return Response(reveal(vote), status=status.HTTP_201_CREATED)


class UndoView(View):
    @extend_schema(
        summary="Undo a vote",
        description="Where the arena lets voters undo, until the next battle is shown or the names are told. "
        "Answers with the same battle anew: the same responses in the same order, under new tokens.",
        request=None,
        responses={201: BlindBattleSerializer, **errors(401, 403, 404, 409)},
    )
    def post(self, request: Request, battle_id: UUID) -> Response:
        battle, voter = battle_and_voter(request, battle_id)
        vote = Vote.objects.filter(battle=battle, voter=voter).select_related("arena").first()
        if vote is None:
            raise NotFound(_("You have not voted on this battle."))
        by = request.user if request.user.is_authenticated else None
        return Response(blind_view(undo_vote(vote=vote, voter=voter, by=by)), status=status.HTTP_201_CREATED)


def battle_and_voter(request: Request, battle_id: UUID) -> tuple[Battle, Voter]:
    battle = Battle.objects.select_related("arena").filter(pk=battle_id).first()
    if battle is None:
        raise NotFound(_('There is no battle "%(battle_id)s".') % {"battle_id": battle_id})
    voter = known_voter(request)
    if voter is None:
        raise NotYourBattle(_("This battle was served to somebody else. Start your own to vote."))
    return battle, voter
