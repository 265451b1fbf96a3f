"""What lies behind the ratings: the analysis of a leaderboard, and two contestants beside each other."""

from dataclasses import asdict

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api.serializers import checked
from arena.api.views import View, errors
from arena.services import access, analyses
from arena.services.leaderboards import current_leaderboard

PART = "; `missing` in place of it says why there is none."


class AnalysisSerializer(serializers.Serializer):
    """Each part belongs to the moment of `last_vote`; what it was computed with is in `settings`."""

    current = serializers.BooleanField(help_text="Whether it is of the newest leaderboard.")
    computing = serializers.BooleanField(help_text="Whether a job computes the next one. Ask again later.")
    created_at = serializers.DateTimeField(
        required=False, help_text="Before the first: left out, as all below."
    )
    last_vote = serializers.IntegerField(required=False)
    last_ruling = serializers.IntegerField(required=False)
    settings = serializers.DictField(required=False)
    outlook = serializers.DictField(
        required=False,
        help_text="How many more votes until the top, every interval and the order are settled; `new` are "
        "contestants left out, as nobody has voted on them" + PART,
    )
    fragility = serializers.DictField(
        required=False, help_text="The fewest votes that turn rank 1 and adjacent pairs" + PART
    )
    style = serializers.DictField(  # type: ignore[assignment]  # the part's name; a Field's hint of that name is unused
        required=False, help_text="What style sways, and the board without it" + PART
    )
    raters = serializers.DictField(required=False, help_text="The board by reliability of voters" + PART)
    tags = serializers.DictField(required=False, help_text="Ratings by kind of prompt" + PART)
    pairs = serializers.DictField(required=False, help_text="Who was preferred to whom how often" + PART)
    circles = serializers.DictField(required=False, help_text="Whether preference runs in circles" + PART)


class TwoContestantsSerializer(serializers.Serializer):
    a = serializers.IntegerField(help_text="A contestant's id.")
    b = serializers.IntegerField(help_text="The other one's.")


class TwoComparedSerializer(serializers.Serializer):
    ahead = serializers.CharField(help_text="The one with the higher rating.")
    behind = serializers.CharField()
    gap = serializers.FloatField(help_text="In points.")
    lower = serializers.FloatField(help_text="Of the gap's 95 % interval.")
    upper = serializers.FloatField()
    sure = serializers.FloatField(help_text="The probability that `ahead` is the stronger one.")
    wins = serializers.FloatField(help_text="The share of votes it is expected to win, ties left out.")
    met = serializers.FloatField(allow_null=True, help_text="Votes on both; null before the first analysis.")
    won = serializers.FloatField(allow_null=True, help_text="Those that `ahead` won; a tie is half.")


class AnalysisView(View):
    @extend_schema(
        summary="What lies behind the ratings",
        description="Votes still needed, votes that decide, style, reliability, kinds of prompts, circles. A "
        "job computes it when somebody asks and votes have come in; until then the newest one is given.",
        responses={200: AnalysisSerializer, **errors(401, 404)},
    )
    def get(self, request: Request, slug: str) -> Response:
        board = current_leaderboard(access.get_arena(slug=slug, user=request.user))
        return Response(analyses.analysis_data(analyses.analysis_for(board)))


class TwoComparedView(View):
    @extend_schema(
        summary="Two contestants beside each other",
        parameters=[
            OpenApiParameter("a", int, required=True, description="A contestant's id."),
            OpenApiParameter("b", int, required=True, description="The other one's."),
        ],
        responses={200: TwoComparedSerializer, **errors(400, 401, 404)},
    )
    def get(self, request: Request, slug: str) -> Response:
        board = current_leaderboard(access.get_arena(slug=slug, user=request.user))
        two = checked(TwoContestantsSerializer, request.query_params)
        results = analyses.analysis_for(board, ask=False).results
        return Response(asdict(analyses.compare(board, results, two["a"], two["b"])))
