"""Before and after a training run: its plan, runs beside each other, promotion, card, and traces of votes."""

from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api.serializers import (
    ComparisonSerializer,
    RulingRequestSerializer,
    TracesSerializer,
    TrainingPlanRequestSerializer,
    TrainingPlanSerializer,
    TrainingRunSerializer,
    checked,
)
from arena.api.views import errors
from arena.api.work import ManagersView
from arena.errors import NotFound
from arena.models import Vote
from arena.services import access
from arena.services.lineage import traces_of
from arena.services.model_cards import model_card
from arena.services.training import plan_checked, promote
from arena.services.training_comparison import MOST_COMPARED, differences, results
from arena.services.votes import rule_on_vote
from arena.views.training_results import zip_of_part

RUNS = OpenApiParameter("run", int, many=True, description=f"Ids, at most {MOST_COMPARED}.")


class TrainingPlanView(ManagersView):
    @extend_schema(
        summary="Plan a training run",
        description="The data report, memory and time, and settings to begin with. Nothing is started.",
        request=TrainingPlanRequestSerializer,
        responses={200: TrainingPlanSerializer, **errors(400, 401, 404)},
    )
    def post(self, request: Request) -> Response:
        wanted = checked(TrainingPlanRequestSerializer, request.data)
        data_set = self.one(self.data_sets(), wanted.pop("data_set"), "data set")
        base = self.one(self.contestants(), wanted.pop("base"), "contestant")
        plan = plan_checked(base=base, data_set=data_set, parameters=wanted.get("parameters", {}))
        return Response(TrainingPlanSerializer(plan).data)


class TrainingComparisonView(ManagersView):
    @extend_schema(
        summary="Training runs beside each other",
        parameters=[RUNS],
        responses={200: ComparisonSerializer, **errors(401)},
    )
    def get(self, request: Request) -> Response:
        """Runs that do not exist for this user are left out."""
        asked = {int(pk) for pk in request.query_params.getlist("run") if pk.isdecimal() and len(pk) <= 18}
        runs = list(self.training_runs().filter(pk__in=asked).order_by("pk")[:MOST_COMPARED])
        told = {"runs": [run.pk for run in runs], "differences": differences(runs), "results": results(runs)}
        return Response(ComparisonSerializer(told).data)


class PromotionView(ManagersView):
    @extend_schema(
        summary="Promote the result of a run that was held back",
        description="It becomes a contestant, and its responses are planned. Twice is once.",
        request=None,
        responses={200: TrainingRunSerializer, **errors(400, 401, 404)},
    )
    def post(self, request: Request, pk: int) -> Response:
        promote(self.one(self.training_runs(), pk, "training run"), by=self.user())
        return Response(TrainingRunSerializer(self.one(self.training_runs(), pk, "training run")).data)


class CardView(ManagersView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)  # it is Markdown for everybody

    @extend_schema(
        summary="The model card of a training run",
        description="Markdown with the head that model hubs read: lineage, hashes, licence, what was seen.",
        responses={(200, "text/markdown"): OpenApiTypes.STR, **errors(401, 404)},
    )
    def get(self, request: Request, pk: int) -> HttpResponse:
        run = self.one(self.training_runs(), pk, "training run")
        if not run.manifest:
            raise NotFound(_("%(run)s has made no checkpoint yet.") % {"run": run.name})
        return HttpResponse(model_card(run), content_type="text/markdown; charset=utf-8")


class PartView(ManagersView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)  # who asks for a zip gets one

    @extend_schema(
        summary="Download what a training run made",
        description="`model`: the weights, those of an adapter merged in; `adapter`: the adapter alone. Each "
        "with its model card.",
        responses={(200, "application/zip"): OpenApiTypes.BINARY, **errors(401, 404)},
    )
    def get(self, request: Request, pk: int, part: str) -> StreamingHttpResponse:
        return zip_of_part(self.one(self.training_runs(), pk, "training run"), part)


class TracesView(ManagersView):
    @extend_schema(
        summary="Where a vote went",
        description="Which data sets hold it, and which trained contestants learnt from it.",
        responses={200: TracesSerializer, **errors(401, 403, 404)},
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return Response(_told(self._vote(slug, pk)))

    @extend_schema(
        operation_id="vote_ruling_create",
        summary="Take a vote out of the count, or put it back",
        request=RulingRequestSerializer,
        responses={200: TracesSerializer, **errors(400, 401, 403, 404)},
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        vote = self._vote(slug, pk)
        rule_on_vote(vote=vote, by=self.user(), **checked(RulingRequestSerializer, request.data))
        return Response(_told(vote))

    def _vote(self, slug: str, pk: int) -> Vote:
        arena = access.get_arena(slug=slug, user=self.user())
        access.require_manager(arena=arena, user=self.user())
        found = Vote.objects.select_related("arena", "battle__arena", "voter").filter(arena=arena, pk=pk)
        vote = found.first()
        if vote is None:
            raise NotFound(_("%(arena)s has no vote %(vote)s.") % {"arena": arena.name, "vote": pk})
        return vote


def _told(vote: Vote) -> Any:
    traces = traces_of(arena=vote.arena, vote=vote.pk)
    return TracesSerializer(
        {
            "vote": vote,
            "counts": traces.counts,
            "data_sets": [data_set.number for data_set in traces.data_sets],
            "contestants": traces.contestants,
            "held_back": [run.pk for run in traces.held_back],
        }
    ).data
