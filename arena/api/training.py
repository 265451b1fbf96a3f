"""Before and after a training run: its plan, and runs beside each other."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api.serializers import (
    ComparisonSerializer,
    TrainingPlanRequestSerializer,
    TrainingPlanSerializer,
    checked,
)
from arena.api.views import errors
from arena.api.work import ManagersView
from arena.services.training import plan_checked
from arena.services.training_comparison import MOST_COMPARED, differences, results

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
