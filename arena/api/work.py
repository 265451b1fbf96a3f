"""For those who manage an arena: data sets, training runs and jobs."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api.serializers import (
    CurationRequestSerializer,
    DataSetRequestSerializer,
    DataSetSerializer,
    JobSerializer,
    MetricSerializer,
    TrainingRunRequestSerializer,
    TrainingRunSerializer,
    checked,
)
from arena.api.views import NewestFirst, View, errors, page_of
from arena.errors import NotFound, SignInNeeded
from arena.models import Contestant, DataSet, Job, TrainingRun
from arena.services import access, jobs
from arena.services.curation import request_curation
from arena.services.data_sets import request_data_set
from arena.services.training import request_training
from arena.views.data_sets import zip_of

OF_ARENA = OpenApiParameter("arena", str, description="Only those of the arena with this slug.")


class ManagersView(View):
    """Lists and single things of the arenas that the user manages; all others do not exist for them."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not request.user.is_authenticated:
            raise SignInNeeded(_("This is for the leads of an arena. Sign in, or send your token."))

    def user(self) -> User:
        """Who asks; `initial` has turned away everybody else."""
        assert isinstance(self.request.user, User)
        return self.request.user

    def page(self, rows: QuerySet[Any], serializer: Any) -> Response:
        if slug := self.request.query_params.get("arena"):
            rows = rows.filter(arena__slug=slug)
        pages = NewestFirst()
        shown = pages.paginate_queryset(rows, self.request, view=self)
        return pages.get_paginated_response(serializer(shown, many=True).data)

    def one(self, rows: QuerySet[Any], pk: int, name: str) -> Any:
        row = rows.filter(pk=pk).first()
        if row is None:
            raise NotFound(
                _("There is no %(name)s %(pk)s, or it is not of an arena that you lead.")
                % {"name": name, "pk": pk}
            )
        return row

    def data_sets(self) -> QuerySet[DataSet]:
        managed = access.managed_arenas(self.request.user)
        return DataSet.objects.filter(arena__in=managed).select_related("arena", "job__arena")

    def contestants(self) -> QuerySet[Contestant]:
        managed = access.managed_arenas(self.request.user)
        return Contestant.objects.filter(arena__in=managed).select_related("arena")

    def training_runs(self) -> QuerySet[TrainingRun]:
        managed = access.managed_arenas(self.request.user)
        runs = TrainingRun.objects.filter(arena__in=managed)
        return runs.select_related("arena", "base", "data_set", "result", "job__arena")

    def jobs(self) -> QuerySet[Job]:
        mine = Q(arena__in=access.managed_arenas(self.request.user))
        if self.request.user.is_staff:
            mine |= Q(arena=None)
        return Job.objects.filter(mine).select_related("arena")


class DataSetsView(ManagersView):
    @extend_schema(
        operation_id="data_sets_list",
        summary="Data sets",
        parameters=[OF_ARENA],
        responses={200: page_of(DataSetSerializer), **errors(401)},
    )
    def get(self, request: Request) -> Response:
        return self.page(self.data_sets(), DataSetSerializer)

    @extend_schema(
        summary="Export a data set",
        description="The number is given at once; a worker writes the files. Watch its job.",
        request=DataSetRequestSerializer,
        responses={201: DataSetSerializer, **errors(400, 401, 403, 404)},
    )
    def post(self, request: Request) -> Response:
        wanted = checked(DataSetRequestSerializer, request.data)
        arena = access.get_arena(slug=wanted.pop("arena"), user=request.user)
        access.require_manager(arena=arena, user=request.user)
        data_set = request_data_set(arena=arena, by=self.user(), **wanted)
        return Response(DataSetSerializer(data_set).data, status=status.HTTP_201_CREATED)


class DataSetView(ManagersView):
    @extend_schema(summary="One data set", responses={200: DataSetSerializer, **errors(401, 404)})
    def get(self, request: Request, pk: int) -> Response:
        return Response(DataSetSerializer(self.one(self.data_sets(), pk, "data set")).data)


class DataSetCurationView(ManagersView):
    @extend_schema(
        summary="Have a reward model choose among a data set's votes",
        description="The result is a data set of its own. Its number is given at once; a worker writes it.",
        request=CurationRequestSerializer,
        responses={201: DataSetSerializer, **errors(400, 401, 404)},
    )
    def post(self, request: Request, pk: int) -> Response:
        data_set = self.one(self.data_sets(), pk, "data set")
        wanted = checked(CurationRequestSerializer, request.data)
        run = self.one(self.training_runs(), wanted.pop("reward_model"), "training run")
        curated = request_curation(data_set=data_set, reward_model=run, by=self.user(), **wanted)
        return Response(DataSetSerializer(curated).data, status=status.HTTP_201_CREATED)


class DataSetDownloadView(ManagersView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)  # who asks for a zip gets one

    @extend_schema(
        summary="Download a data set",
        description="All its files as one zip, after their checksums were verified.",
        responses={(200, "application/zip"): OpenApiTypes.BINARY, **errors(400, 401, 404)},
    )
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        return zip_of(self.one(self.data_sets(), pk, "data set"))


class TrainingRunsView(ManagersView):
    @extend_schema(
        operation_id="training_runs_list",
        summary="Training runs",
        parameters=[OF_ARENA],
        responses={200: page_of(TrainingRunSerializer), **errors(401)},
    )
    def get(self, request: Request) -> Response:
        return self.page(self.training_runs(), TrainingRunSerializer)

    @extend_schema(
        summary="Start a training run",
        description="base contestant + data set + objective → checkpoint → new contestant.",
        request=TrainingRunRequestSerializer,
        responses={201: TrainingRunSerializer, **errors(400, 401, 404)},
    )
    def post(self, request: Request) -> Response:
        wanted = checked(TrainingRunRequestSerializer, request.data)
        data_set = self.one(self.data_sets(), wanted.pop("data_set"), "data set")
        base = self.one(self.contestants(), wanted.pop("base"), "contestant")
        run = request_training(base=base, data_set=data_set, by=self.user(), **wanted)
        return Response(TrainingRunSerializer(run).data, status=status.HTTP_201_CREATED)


class TrainingRunView(ManagersView):
    @extend_schema(summary="One training run", responses={200: TrainingRunSerializer, **errors(401, 404)})
    def get(self, request: Request, pk: int) -> Response:
        return Response(TrainingRunSerializer(self.one(self.training_runs(), pk, "training run")).data)


class TrainingMetricsView(ManagersView):
    @extend_schema(
        summary="How a training run goes",
        responses={200: MetricSerializer(many=True), **errors(401, 404)},
    )
    def get(self, request: Request, pk: int) -> Response:
        run = self.one(self.training_runs(), pk, "training run")
        return Response(MetricSerializer(run.metrics.order_by("step"), many=True).data)


class JobsView(ManagersView):
    @extend_schema(
        operation_id="jobs_list",
        summary="Jobs",
        parameters=[OF_ARENA],
        responses={200: page_of(JobSerializer), **errors(401)},
    )
    def get(self, request: Request) -> Response:
        return self.page(self.jobs(), JobSerializer)


class JobView(ManagersView):
    @extend_schema(summary="One job", responses={200: JobSerializer, **errors(401, 404)})
    def get(self, request: Request, pk: int) -> Response:
        return Response(JobSerializer(self.one(self.jobs(), pk, "job")).data)


class JobCancelView(ManagersView):
    @extend_schema(
        summary="Cancel a job",
        description="A queued job ends at once, a running one within seconds.",
        request=None,
        responses={200: JobSerializer, **errors(401, 404)},
    )
    def post(self, request: Request, pk: int) -> Response:
        return Response(JobSerializer(jobs.cancel(self.one(self.jobs(), pk, "job"))).data)


class JobRetryView(ManagersView):
    @extend_schema(
        summary="Try a failed job again",
        request=None,
        responses={200: JobSerializer, **errors(400, 401, 404)},
    )
    def post(self, request: Request, pk: int) -> Response:
        return Response(JobSerializer(jobs.retry(self.one(self.jobs(), pk, "job"))).data)
