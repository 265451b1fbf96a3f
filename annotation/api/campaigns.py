"""Campaigns for programs that annotate: join, ask for the next battle, vote, see how far one is."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.models import Annotator
from annotation.services import crowd, progress, qualification, queue, voting
from arena.api.serializers import BlindBattleSerializer, VoteExtrasSerializer, as_object, checked
from arena.api.views import View, errors
from arena.errors import BadInput, NotYourBattle
from arena.services.ballots import Ballot
from arena.services.battles import blind_view, mark_shown
from arena.services.voters import continue_as, known_voter, voter_for
from arena.services.votes import cast_vote

RETRY_SECONDS = 3


class JoinSerializer(serializers.Serializer):
    token = serializers.CharField(max_length=64, help_text="The last part of the campaign's open link.")
    participant = serializers.CharField(
        required=False, max_length=200, help_text="Of a panel: who takes part; as in the panel's addresses."
    )
    session = serializers.CharField(required=False, max_length=200, help_text="Of a panel: the submission.")


class OwnCampaignSerializer(serializers.Serializer):
    campaign = serializers.CharField(help_text="Its slug.")
    name = serializers.CharField()
    arena = serializers.CharField()
    open = serializers.BooleanField(help_text="Whether it gives out battles now.")
    state = serializers.CharField(help_text="Yours: invited, qualifying, active, paused, excluded …")
    judged = serializers.IntegerField()
    skipped = serializers.IntegerField()
    most = serializers.IntegerField(allow_null=True, help_text="The most battles you may judge.")
    earned = serializers.DecimalField(max_digits=12, decimal_places=3, allow_null=True)
    currency = serializers.CharField()


class NextSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=queue.KINDS, help_text="`battle`, or why there is none.")
    sentence = serializers.CharField(help_text="The same in words; empty with a battle.")
    retry_after = serializers.IntegerField(allow_null=True, help_text="With `wait`: ask again then (s).")
    code = serializers.CharField(help_text="The code to end with, where it is earned.")
    battle = BlindBattleSerializer(allow_null=True)
    instruction = serializers.CharField(help_text="A clear instruction that goes before the responses.")
    lease_seconds = serializers.IntegerField(allow_null=True, help_text="How long it is kept for you.")


class CampaignVoteSerializer(serializers.Serializer):
    """The battle, and exactly one of ranks, best, all_bad and skip."""

    battle = serializers.UUIDField()
    ranks = serializers.ListField(child=serializers.IntegerField(min_value=1, max_value=8), required=False)
    best = serializers.IntegerField(required=False, min_value=0)
    all_bad = serializers.BooleanField(required=False)
    skip = serializers.CharField(required=False, max_length=200)
    details = serializers.DictField(required=False, help_text="What the arena's form asks for beside it.")


class TakenSerializer(serializers.Serializer):
    vote = serializers.IntegerField()
    feedback = serializers.ListField(
        child=serializers.CharField(), help_text="What a question of the qualification teaches; else empty."
    )


class MyCampaignsView(View):
    @extend_schema(summary="Your campaigns", responses={200: OwnCampaignSerializer(many=True)})
    def get(self, request: Request) -> Response:
        return Response([_status(one) for one in queue.campaigns_of(known_voter(request))])


class CampaignView(View):
    @extend_schema(
        summary="Your part in a campaign", responses={200: OwnCampaignSerializer, **errors(401, 404)}
    )
    def get(self, request: Request, slug: str) -> Response:
        return Response(_status(_annotator(request, slug)))


class JoinView(View):
    @extend_schema(
        summary="Take part through the open link",
        description="No sign-in is needed: keep the session cookie to stay the same annotator.",
        request=JoinSerializer,
        responses={201: OwnCampaignSerializer, **errors(400, 404)},
    )
    def post(self, request: Request, slug: str) -> Response:
        wanted = checked(JoinSerializer, request.data)
        campaign = crowd.campaign_of_link(slug=slug, token=wanted["token"])
        if campaign.panel and not request.user.is_authenticated:
            if not wanted.get("participant"):
                raise BadInput(_("This campaign is for a panel: say which participant takes part."))
            who = crowd.Participant(wanted["participant"], session=wanted.get("session", ""))
            annotator = crowd.join_from_panel(campaign=campaign, participant=who)
            continue_as(request.session, annotator.voter)
        else:
            annotator = crowd.join(campaign=campaign, voter=voter_for(request))
        return Response(_status(annotator), status=201)


class NextView(View):
    @extend_schema(
        summary="The next battle of a campaign",
        description="The battle you are in the middle of, or a new one, kept for you for `lease_seconds`; "
        "asking again renews the time. `wait` means that others hold the last ones: ask again after "
        "`retry_after`.",
        request=None,
        responses={200: NextSerializer, **errors(401, 403, 404)},
    )
    def post(self, request: Request, slug: str) -> Response:
        annotator = _annotator(request, slug)
        found = queue.next_item(annotator=annotator)
        given = found.assignment
        if given is not None:
            mark_shown(given.battle)
        return Response(
            {
                "kind": found.kind,
                "sentence": "" if given else queue.sentence(found),
                "retry_after": RETRY_SECONDS if found.is_wait else None,
                "code": crowd.code_for(annotator, found.kind),
                "battle": blind_view(given.battle) if given else None,
                "instruction": queue.instruction(given) if given else "",
                "lease_seconds": queue.seconds_left(given) if given else None,
            }
        )


class CampaignVoteView(View):
    @extend_schema(
        summary="Vote on a battle of a campaign",
        description="As POST battles/{id}/vote/, which takes these votes too. A campaign never tells names.",
        request=CampaignVoteSerializer,
        responses={201: TakenSerializer, **errors(400, 401, 403, 404, 409)},
    )
    def post(self, request: Request, slug: str) -> Response:
        annotator = _annotator(request, slug)
        body = as_object(request.data)
        battle = voting.get_battle(arena=annotator.campaign.arena, pk=_battle(body))
        if battle.voter_id != annotator.voter_id:
            raise NotYourBattle(_("This battle was served to somebody else. Ask for your own."))
        vote = cast_vote(
            battle=battle,
            voter=annotator.voter,
            ballot=Ballot.parse(body, battle.k),
            idempotency_key=request.headers.get("Idempotency-Key"),
            **_extras(body),
        )
        told = qualification.feedback(vote)
        return Response(
            {"vote": vote.pk, "feedback": qualification.sentences(told) if told else []}, status=201
        )


def _annotator(request: Request, slug: str) -> Annotator:
    return queue.annotator_in(slug=slug, voter=known_voter(request))


def _status(annotator: Annotator) -> dict[str, Any]:
    campaign, own = annotator.campaign, progress.own_progress(annotator)
    return {
        "campaign": campaign.slug,
        "name": campaign.name,
        "arena": campaign.arena.slug,
        "open": not queue.why_closed(campaign),
        "state": annotator.state,
        "judged": own.judged,
        "skipped": own.skipped,
        "most": own.most,
        "earned": None if own.earned is None else str(own.earned),
        "currency": own.currency,
    }


def _battle(body: dict[str, Any]) -> UUID:
    try:
        return UUID(str(body.get("battle", "")))
    except ValueError:
        raise BadInput(_('Name the battle: {"battle": "…", "ranks": [2, 1]}.')) from None


def _extras(body: dict[str, Any]) -> dict[str, Any]:
    extras = checked(VoteExtrasSerializer, body)
    return {name: extras[name] for name in ("active_ms", "details") if extras.get(name) is not None}
