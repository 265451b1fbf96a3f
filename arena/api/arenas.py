"""Arenas and their leaderboards."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api.serializers import ArenaSerializer, LeaderboardSerializer
from arena.api.views import View, errors
from arena.models import Arena
from arena.services import access
from arena.services.criterion_boards import criterion_board
from arena.services.leaderboards import current_leaderboard, leaderboard_data, sources_in


class ArenasView(View):
    @extend_schema(summary="Arenas you may see", responses={200: ArenaSerializer(many=True)})
    def get(self, request: Request) -> Response:
        return Response(ArenaSerializer(Arena.objects.visible_to(request.user), many=True).data)


class ArenaView(View):
    @extend_schema(summary="One arena", responses={200: ArenaSerializer, **errors(401, 404)})
    def get(self, request: Request, slug: str) -> Response:
        return Response(ArenaSerializer(access.get_arena(slug=slug, user=request.user)).data)


class LeaderboardView(View):
    @extend_schema(
        summary="The leaderboard",
        description="Ratings with 95 % intervals and rank ranges, fitted to all votes up to `last_vote`.",
        parameters=[
            OpenApiParameter(
                "sources",
                str,
                description="Whose votes count, with commas: person, imported, simulated (these three unless "
                "you say otherwise), judge, adjudicated.",
            ),
            OpenApiParameter(
                "criterion",
                str,
                description="The key of one of the arena's criteria, or `composite` for all by weight.",
            ),
        ],
        responses={200: LeaderboardSerializer, **errors(400, 401, 404)},
    )
    def get(self, request: Request, slug: str) -> Response:
        arena = access.get_arena(slug=slug, user=request.user)
        if request.query_params.get("criterion"):
            return Response(leaderboard_data(criterion_board(arena, request.query_params["criterion"])))
        sources = sources_in(request.query_params.get("sources", ""))
        return Response(leaderboard_data(current_leaderboard(arena, sources)))
