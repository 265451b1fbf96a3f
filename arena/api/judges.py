"""Judges over REST: who judges, how far each can be trusted, a new one, and work for one."""

from dataclasses import asdict
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api.serializers import JobSerializer, as_object, checked
from arena.api.views import errors
from arena.api.work import ManagersView
from arena.errors import NotFound
from arena.models import Arena, Judge
from arena.services import access, judges
from arena.services.judge_report import report_on


class EstimateSerializer(serializers.Serializer):
    value = serializers.FloatField()
    lower = serializers.FloatField(help_text="Of the 95 % interval.")
    upper = serializers.FloatField()


class WorthSerializer(serializers.Serializer):
    prompt = serializers.CharField()
    chance = serializers.FloatField(help_text="That a person differs from the judge.")


class JudgeReportSerializer(serializers.Serializer):
    judged = serializers.IntegerField()
    abstained = serializers.IntegerField()
    with_people = serializers.IntegerField(help_text="Battles that a person judged too.")
    consistency = serializers.FloatField(allow_null=True, help_text="Same verdict in both orders.")
    agreement = EstimateSerializer(allow_null=True)
    favour = EstimateSerializer(allow_null=True, help_text="For its own family, beyond what people have.")
    routing = EstimateSerializer(allow_null=True, help_text="Area under the curve, 0.5 is chance.")
    worth = WorthSerializer(many=True, help_text="What a person should look at, most worth it first.")


class JudgeRequestSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=120)
    model = serializers.CharField(
        max_length=40, help_text="`contestant:ID` of a contestant here, or `reward:ID` of a training run."
    )
    instructions = serializers.CharField(required=False, allow_blank=True, max_length=4000)
    kin = serializers.ListField(
        child=serializers.CharField(max_length=120), required=False, help_text="Names of its own family."
    )


class JudgeSerializer(serializers.ModelSerializer):
    report = serializers.SerializerMethodField()

    class Meta:
        model = Judge
        fields = ["id", "name", "method", "backend", "instructions", "kin", "created_at", "report"]

    @extend_schema_field(JudgeReportSerializer)
    def get_report(self, judge: Judge) -> dict[str, Any]:
        return dict(JudgeReportSerializer(asdict(report_on(judge))).data)


class WorkRequestSerializer(serializers.Serializer):
    limit = serializers.IntegerField(min_value=1, max_value=judges.MOST_AT_ONCE, help_text="Battles.")


class JudgesView(ManagersView):
    @extend_schema(
        summary="Judges and their reports",
        responses={200: JudgeSerializer(many=True), **errors(401, 403, 404)},
    )
    def get(self, request: Request, slug: str) -> Response:
        return Response(JudgeSerializer(judges.at_work(self._arena(slug)), many=True).data)

    @extend_schema(
        summary="A new judge",
        request=JudgeRequestSerializer,
        responses={201: JudgeSerializer, **errors(400, 401, 403, 404)},
    )
    def post(self, request: Request, slug: str) -> Response:
        arena = self._arena(slug)
        given = checked(JudgeRequestSerializer, as_object(request.data))
        judge = judges.judge_of(arena=arena, **given)
        return Response(JudgeSerializer(judge).data, status=status.HTTP_201_CREATED)

    def _arena(self, slug: str) -> Arena:
        return managed(slug, self)


class JudgeChangeSerializer(serializers.Serializer):
    retired = serializers.BooleanField(help_text="It judges no more; what it said stays. false: again.")


class JudgeView(ManagersView):
    @extend_schema(
        summary="One judge and its report",
        responses={200: JudgeSerializer, **errors(401, 403, 404)},
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return Response(JudgeSerializer(self._judge(slug, pk)).data)

    @extend_schema(
        summary="Retire a judge, or bring one back",
        request=JudgeChangeSerializer,
        responses={200: JudgeSerializer, **errors(400, 401, 403, 404)},
    )
    def patch(self, request: Request, slug: str, pk: int) -> Response:
        judge = self._judge(slug, pk)
        wanted = checked(JudgeChangeSerializer, as_object(request.data))["retired"]
        (judges.retire_judge if wanted else judges.bring_back_judge)(judge)
        return Response(JudgeSerializer(judge).data)

    def _judge(self, slug: str, pk: int) -> Judge:
        """Retired ones too."""
        judge = (
            Judge.objects.filter(arena=managed(slug, self), pk=pk).select_related("arena", "voter").first()
        )
        if judge is None:
            raise NotFound(_("The arena has no judge %(pk)s.") % {"pk": pk})
        return judge


class JudgeWorkView(ManagersView):
    @extend_schema(
        summary="Send a judge to work",
        request=WorkRequestSerializer,
        responses={202: JobSerializer, **errors(400, 401, 403, 404)},
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        judge = judges.at_work(managed(slug, self)).filter(pk=pk).first()
        if judge is None:
            raise NotFound(_("The arena has no judge %(pk)s.") % {"pk": pk})
        limit = checked(WorkRequestSerializer, as_object(request.data))["limit"]
        job = judges.plan_judging(judge=judge, limit=limit, by=self.user())
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


def managed(slug: str, view: ManagersView) -> Arena:
    arena = access.get_arena(slug=slug, user=view.user())
    access.require_manager(arena=arena, user=view.user())
    return arena
