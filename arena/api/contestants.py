"""An arena's contestants over REST: listed for whoever sees it; added, changed and tried by leads."""

from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api.serializers import ContestantSerializer, JobSerializer, as_object, checked
from arena.api.views import View, errors
from arena.api.work import ManagersView
from arena.errors import BadInput
from arena.models import Contestant
from arena.services import access
from arena.services.contestant_changes import add_contestant, change_contestant, request_check
from arena.services.contestants import bring_back_contestant, retire_contestant


class ContestantRequestSerializer(serializers.Serializer):
    """What made the responses cannot change once there are some. Checkpoints and adapters are those that the
    page offers to leads, hosts those of ARENA_ENDPOINT_HOSTS.
    """

    name = serializers.CharField(max_length=120)
    backend = serializers.ChoiceField(choices=Contestant.Backend.choices)
    description = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    weight = serializers.FloatField(required=False, min_value=0, max_value=1000)
    checkpoint = serializers.CharField(required=False, allow_blank=True, max_length=500)
    revision = serializers.CharField(required=False, allow_blank=True, max_length=120)
    adapter = serializers.CharField(required=False, allow_blank=True, max_length=500)
    endpoint = serializers.CharField(required=False, allow_blank=True, max_length=500)
    endpoint_model = serializers.CharField(required=False, allow_blank=True, max_length=200)
    key = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=2000,
        write_only=True,
        help_text='Of the endpoint. Kept encrypted, given to nobody; "" takes the kept one away.',
    )
    system_prompt = serializers.CharField(
        required=False, allow_blank=True, max_length=20_000, trim_whitespace=False
    )
    parameters = serializers.DictField(required=False, help_text="temperature, top_p, max_new_tokens, …")
    capabilities = serializers.DictField(required=False)
    budget = serializers.DictField(required=False, help_text="tokens, money, price_in, price_out.")


class ContestantChangeSerializer(ContestantRequestSerializer):
    name = serializers.CharField(max_length=120, required=False)
    backend = serializers.ChoiceField(choices=Contestant.Backend.choices, required=False)
    retired = serializers.BooleanField(required=False, help_text="Retired: drawn no more, votes stay.")


class ManagedContestantSerializer(ContestantSerializer):
    """With what only its leads see. Of a key no more than that there is one."""

    has_key = serializers.SerializerMethodField()

    class Meta:
        model = Contestant
        fields = [
            *ContestantSerializer.Meta.fields, "weight", "checkpoint", "revision", "adapter", "endpoint",
            "endpoint_model", "has_key", "system_prompt", "parameters", "capabilities", "budget",
            "spent_tokens", "spent_money",
        ]  # fmt: skip

    def get_has_key(self, contestant: Contestant) -> bool:
        return bool(contestant.endpoint_key_sealed or contestant.endpoint_key_variable)


class ContestantsView(View):
    @extend_schema(
        summary="Contestants of an arena",
        description="Retired ones too: nothing that competed disappears.",
        responses={200: ContestantSerializer(many=True), **errors(401, 404)},
    )
    def get(self, request: Request, slug: str) -> Response:
        arena = access.get_arena(slug=slug, user=request.user)
        contestants = arena.contestants.select_related("parent").order_by("id")
        return Response(ContestantSerializer(contestants, many=True).data)

    @extend_schema(
        summary="Add a contestant",
        request=ContestantRequestSerializer,
        responses={201: ManagedContestantSerializer, **errors(400, 401, 403, 404)},
    )
    def post(self, request: Request, slug: str) -> Response:
        arena = access.get_arena(slug=slug, user=request.user)
        access.require_manager(arena=arena, user=request.user)
        given = checked(ContestantRequestSerializer, request.data)
        assert isinstance(request.user, User)  # nobody else manages
        made = add_contestant(arena=arena, by=request.user, **given)
        return Response(ManagedContestantSerializer(made).data, status=status.HTTP_201_CREATED)


class ContestantView(ManagersView):
    @extend_schema(
        summary="One contestant, for its leads",
        responses={200: ManagedContestantSerializer, **errors(401, 404)},
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(ManagedContestantSerializer(self.one(self.contestants(), pk, "contestant")).data)

    @extend_schema(
        summary="Change, retire or bring back a contestant",
        request=ContestantChangeSerializer,
        responses={200: ManagedContestantSerializer, **errors(400, 401, 404)},
    )
    def patch(self, request: Request, pk: int) -> Response:
        one = self.one(self.contestants(), pk, "contestant")
        _refuse_strange(request.data)
        given = checked(ContestantChangeSerializer, request.data)
        retired = given.pop("retired", None)
        one = change_contestant(contestant=one, by=self.user(), **given)
        if retired is not None:
            act = retire_contestant if retired else bring_back_contestant
            one = act(contestant=one, by=self.user())
        return Response(ManagedContestantSerializer(one).data)


class ContestantCheckView(ManagersView):
    @extend_schema(
        summary="Try a contestant out",
        description="A worker asks it some questions. The job's log has the sentences.",
        request=None,
        responses={202: JobSerializer, **errors(400, 401, 404)},
    )
    def post(self, request: Request, pk: int) -> Response:
        job = request_check(contestant=self.one(self.contestants(), pk, "contestant"), by=self.user())
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


def _refuse_strange(data: Any) -> None:
    """A change that would do nothing is a slip: say so."""
    known = ContestantChangeSerializer().fields.keys()
    strange = sorted(as_object(data).keys() - known)
    if strange:
        raise BadInput(f"There is no field {strange[0]!r}. Known are {', '.join(known)}.")
