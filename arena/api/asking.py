"""Asking over REST: what an arena asks a voter first, a voter's own questions, and reports of responses."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api.battles import battle_and_voter
from arena.api.serializers import BlindBattleSerializer, as_object, checked
from arena.api.views import View, errors
from arena.models import Arena, Turn, Voter
from arena.services import access, live
from arena.services.battles import blind_view, mark_shown
from arena.services.live_turns import look
from arena.services.reports import TAGS, report_response
from arena.services.surveys import answer_survey, delete_answers, survey_of, waiting_survey
from arena.services.voters import known_voter, voter_for


class QuestionSerializer(serializers.Serializer):
    key = serializers.CharField()
    # The framework takes fields off the class, so its own attribute `label` stays what it is.
    label = serializers.CharField()  # type: ignore[assignment]
    kind = serializers.CharField(help_text="one, several or text.")
    choices = serializers.ListField(child=serializers.CharField())


class SurveySerializer(serializers.Serializer):
    waiting = serializers.BooleanField(help_text="Whether you must answer before your first battle.")
    version = serializers.IntegerField(allow_null=True)
    consent = serializers.CharField(help_text="In Markdown; empty: none is asked for.")
    questions = QuestionSerializer(many=True)


class SurveyAnswerRequestSerializer(serializers.Serializer):
    agreed = serializers.BooleanField(required=False, default=False)
    answers = serializers.DictField(required=False, help_text="By key; none must be answered.")


class ReportRequestSerializer(serializers.Serializer):
    token = serializers.CharField(max_length=64, help_text="Of the slot, as in the battle.")
    tags = serializers.ListField(child=serializers.ChoiceField(choices=sorted(TAGS)), required=False)
    text = serializers.CharField(required=False, allow_blank=True)


class QuestionRequestSerializer(serializers.Serializer):
    text = serializers.CharField(help_text="What you ask.")


class GoOnRequestSerializer(QuestionRequestSerializer):
    token = serializers.CharField(
        required=False, max_length=64, help_text="Of the slot to go on from, where several were best."
    )


class TalkSerializer(serializers.Serializer):
    talk = serializers.UUIDField(source="conversation_id")
    number = serializers.IntegerField(help_text="Of the turn; 1 is the first.")
    state = serializers.CharField(help_text="waiting (ask again in a moment), ready, judged or failed.")
    problem = serializers.CharField()
    battle = BlindBattleSerializer(allow_null=True, help_text="Once it is ready. Vote on it as on any other.")
    goes_on = serializers.BooleanField(help_text="Whether another message may follow.")


class VotersView(View):
    """For whoever may vote in the arena, signed in or not."""

    def arena(self, slug: str) -> Arena:
        arena = access.get_arena(slug=slug, user=self.request.user)
        access.may_vote(arena=arena, user=self.request.user)
        return arena


class SurveyView(VotersView):
    @extend_schema(
        summary="What the arena asks you first",
        responses={200: SurveySerializer, **errors(401, 403, 404)},
    )
    def get(self, request: Request, slug: str) -> Response:
        return Response(_survey(self.arena(slug), known_voter(request)))

    @extend_schema(
        summary="Agree and answer",
        request=SurveyAnswerRequestSerializer,
        responses={200: SurveySerializer, **errors(400, 401, 403, 404)},
    )
    def post(self, request: Request, slug: str) -> Response:
        arena, voter = self.arena(slug), voter_for(request)
        given = checked(SurveyAnswerRequestSerializer, as_object(request.data))
        asked = waiting_survey(arena=arena, voter=voter)
        if asked is not None:
            answer_survey(survey=asked, voter=voter, agreed=given["agreed"], answers=given.get("answers", {}))
        return Response(_survey(arena, voter))

    @extend_schema(
        summary="Have your answers deleted",
        description="Your votes stay, without them.",
        responses={204: None, **errors(401, 403, 404)},
    )
    def delete(self, request: Request, slug: str) -> Response:
        arena, voter = self.arena(slug), known_voter(request)
        if voter is not None:
            delete_answers(arena=arena, voter=voter)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ReportView(View):
    @extend_schema(
        summary="Report a response",
        description="Where the arena takes reports. The battle stays open; a second one replaces the first.",
        request=ReportRequestSerializer,
        responses={204: None, **errors(400, 403, 404)},
    )
    def post(self, request: Request, battle_id: UUID) -> Response:
        battle, voter = battle_and_voter(request, battle_id)
        given = checked(ReportRequestSerializer, as_object(request.data))
        report_response(
            battle=battle,
            voter=voter,
            token=given["token"],
            tags=given.get("tags", []),
            text=given.get("text", ""),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class TalksView(VotersView):
    @extend_schema(
        summary="Ask a question of your own",
        description="Where the arena lets voters ask. Contestants are drawn for it and answer; get the talk "
        "until its battle is ready.",
        request=QuestionRequestSerializer,
        responses={201: TalkSerializer, **errors(400, 401, 403, 404, 409, 429)},
    )
    def post(self, request: Request, slug: str) -> Response:
        arena = self.arena(slug)
        text = checked(QuestionRequestSerializer, as_object(request.data))["text"]
        turn = live.ask(arena=arena, voter=voter_for(request), text=text)
        return Response(_talk(turn), status=status.HTTP_201_CREATED)


class TalkView(VotersView):
    @extend_schema(
        summary="The newest turn of your conversation",
        responses={200: TalkSerializer, **errors(401, 403, 404)},
    )
    def get(self, request: Request, slug: str, talk: UUID) -> Response:
        arena = self.arena(slug)
        return Response(
            _talk(look(live.get_turn(arena=arena, conversation=talk, voter=known_voter(request))))
        )

    @extend_schema(
        operation_id="talk_go_on",
        summary="Go on with your conversation",
        description="From the response you liked best; after a turn that failed, it is asked again.",
        request=GoOnRequestSerializer,
        responses={201: TalkSerializer, **errors(400, 401, 403, 404, 409, 429)},
    )
    def post(self, request: Request, slug: str, talk: UUID) -> Response:
        arena, voter = self.arena(slug), voter_for(request)
        given = checked(GoOnRequestSerializer, as_object(request.data))
        before = live.vote_before(live.get_turn(arena=arena, conversation=talk, voter=voter))
        turn = live.ask(
            arena=arena, voter=voter, text=given["text"], after=before, token=given.get("token", "")
        )
        return Response(_talk(turn), status=status.HTTP_201_CREATED)


def _survey(arena: Arena, voter: Voter | None) -> dict[str, Any]:
    survey = survey_of(arena)
    if survey is None:
        return {"waiting": False, "version": None, "consent": "", "questions": []}
    waiting = voter is None or waiting_survey(arena=arena, voter=voter) is not None
    return {
        "waiting": waiting,
        "version": survey.number,
        "consent": survey.consent,
        "questions": survey.questions,
    }


def _talk(turn: Turn) -> dict[str, Any]:
    told: dict[str, Any] = {
        "talk": str(turn.conversation_id),
        "number": turn.number,
        "state": turn.state,
        "problem": _(turn.problem) if turn.problem else "",
        "battle": None,
        "goes_on": False,
    }
    if turn.battle is None:
        return told
    vote = live.vote_on(turn)
    if vote is not None:
        return {**told, "state": "judged", "goes_on": live.can_go_on(vote)}
    mark_shown(turn.battle)
    return {**told, "battle": blind_view(turn.battle)}
