"""Rounds of online training over REST: open one, let a reward model vote, train on it, or give it up."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api.judges import managed
from arena.api.serializers import ContestantSerializer, DataSetSerializer, JobSerializer, checked
from arena.api.views import errors
from arena.api.work import ManagersView
from arena.errors import NotFound
from arena.models import Arena, Contestant, TrainingRun
from arena.services import rounds
from arena.services.judges import MOST_AT_ONCE
from arena.services.training import reward_models_of


class RoundRequestSerializer(serializers.Serializer):
    base = serializers.IntegerField(help_text="The contestant's id.")
    samplings = serializers.IntegerField(required=False, help_text="How many of it compete (4).")
    alone = serializers.BooleanField(required=False, help_text="Retire everybody else meanwhile.")


class RoundSerializer(serializers.Serializer):
    base = ContestantSerializer()
    samplings = ContestantSerializer(many=True)
    people = serializers.IntegerField(
        help_text="Votes of people on the samplings alone that order something."
    )
    models = serializers.DictField(child=serializers.IntegerField(), help_text="Votes of models, by name.")
    written = serializers.IntegerField(help_text="Responses that are there.")
    wanted = serializers.IntegerField(help_text="Responses that are to be there.")


class ModelVotesSerializer(serializers.Serializer):
    reward_model = serializers.IntegerField(help_text="The id of its training run.")
    battles = serializers.IntegerField(min_value=1, max_value=MOST_AT_ONCE, default=100)


class RoundEndSerializer(serializers.Serializer):
    reward_model = serializers.IntegerField(
        required=False, allow_null=True, help_text="Learn from the votes of this run's reward model too."
    )


class RoundView(ManagersView):
    """What is done with the round of one contestant."""

    def base_of(self, arena: Arena, pk: int) -> Contestant:
        found: Contestant = self.one(self.contestants().filter(arena=arena), pk, "contestant")
        return found


class RoundsView(RoundView):
    @extend_schema(
        summary="Open rounds of online training",
        responses={200: RoundSerializer(many=True), **errors(401, 403, 404)},
    )
    def get(self, request: Request, slug: str) -> Response:
        return Response(RoundSerializer(rounds.open_rounds(managed(slug, self)), many=True).data)

    @extend_schema(
        summary="Open a round of online training",
        description="Samplings of the base at temperature 1 compete; those of an earlier round retire.",
        request=RoundRequestSerializer,
        responses={201: ContestantSerializer(many=True), **errors(400, 401, 403, 404)},
    )
    def post(self, request: Request, slug: str) -> Response:
        arena = managed(slug, self)
        wanted = checked(RoundRequestSerializer, request.data)
        base = self.base_of(arena, wanted.pop("base"))
        made = rounds.open_round(base=base, by=self.user(), **wanted)
        return Response(ContestantSerializer(made, many=True).data, status=status.HTTP_201_CREATED)


class RoundVotesView(RoundView):
    @extend_schema(
        summary="Let a reward model vote in a round",
        description="As a judge under its own name, apart from people.",
        request=ModelVotesSerializer,
        responses={202: JobSerializer, **errors(400, 401, 403, 404)},
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        arena = managed(slug, self)
        wanted = checked(ModelVotesSerializer, request.data)
        job = rounds.let_vote(
            base=self.base_of(arena, pk),
            run=_reward_model(arena, wanted["reward_model"]),
            battles=wanted["battles"],
            by=self.user(),
        )
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class RoundEndView(RoundView):
    @extend_schema(
        summary="End a round: export its votes and train the base on them",
        description="The run begins when the data set is written. Twice is once while that is under way.",
        request=RoundEndSerializer,
        responses={202: DataSetSerializer, **errors(400, 401, 403, 404)},
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        arena = managed(slug, self)
        number = checked(RoundEndSerializer, request.data or {}).get("reward_model")
        judge = None if number is None else _reward_model(arena, number)
        data_set = rounds.end_round(base=self.base_of(arena, pk), reward_model=judge, by=self.user())
        return Response(DataSetSerializer(data_set).data, status=status.HTTP_202_ACCEPTED)


class RoundGiveUpView(RoundView):
    @extend_schema(
        summary="Give a round up",
        description="Its samplings retire; whoever was retired for it competes again, and is returned.",
        request=None,
        responses={200: ContestantSerializer(many=True), **errors(400, 401, 403, 404)},
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        back = rounds.give_up_round(base=self.base_of(managed(slug, self), pk), by=self.user())
        return Response(ContestantSerializer(back, many=True).data)


def _reward_model(arena: Arena, pk: Any) -> TrainingRun:
    found = reward_models_of(arena).filter(pk=pk).first()
    if found is None:
        raise NotFound(
            _("The arena has no finished reward model %(number)s. Train one first.") % {"number": pk}
        )
    return found
