"""The addresses of campaigns: below campaigns/ an annotator's, below arenas/SLUG/manage/ a lead's."""

from django.urls import path

from annotation import campaign_lead_views as lead
from annotation import campaign_views, question_views

CAMPAIGN = "campaigns/<slug:slug>/"
ALL = "arenas/<slug:slug>/manage/campaigns/"
ONE = ALL + "<slug:campaign>/"

urlpatterns = [
    path("campaigns/", campaign_views.my_campaigns, name="my_campaigns"),
    path(CAMPAIGN, campaign_views.home, name="campaign_home"),
    path(CAMPAIGN + "join/<str:token>/", campaign_views.join, name="campaign_join"),
    path(CAMPAIGN + "work/", campaign_views.work, name="campaign_work"),
    path(CAMPAIGN + "next/", campaign_views.next_battle, name="campaign_next"),
    path(CAMPAIGN + "vote/", campaign_views.cast, name="campaign_cast"),
    path(CAMPAIGN + "keep/", campaign_views.keep, name="campaign_keep"),
    path(CAMPAIGN + "survey/", campaign_views.survey, name="campaign_survey"),
    path(CAMPAIGN + "my-answers/", campaign_views.my_answers, name="campaign_answers_mine"),
    path(CAMPAIGN + "votes/", campaign_views.votes, name="campaign_votes"),
    path(CAMPAIGN + "votes/<uuid:battle_id>/", campaign_views.voted, name="campaign_voted"),
    path(CAMPAIGN + "votes/<uuid:battle_id>/undo/", campaign_views.undo, name="campaign_undo"),
    path(CAMPAIGN + "panel/", campaign_views.panel_message, name="campaign_panel"),
    path(ALL, lead.campaign_list, name="campaigns"),
    path("arenas/<slug:slug>/manage/new-campaign/", lead.campaign_new, name="campaign_new"),
    path("arenas/<slug:slug>/manage/judges/<int:pk>/ask-people/", lead.judge_ask, name="judge_ask"),
    path(ONE, lead.campaign_lead, name="campaign_lead"),
    path(ONE + "edit/", lead.campaign_edit, name="campaign_edit"),
    path(ONE + "act/", lead.campaign_act, name="campaign_act"),
    path(ONE + "invite/", lead.campaign_invite, name="campaign_invite"),
    path(ONE + "annotators/<int:pk>/", lead.campaign_annotator, name="campaign_annotator"),
    path(ONE + "questions/", question_views.campaign_questions, name="campaign_questions"),
    path(ONE + "answers.csv", lead.campaign_answers, name="campaign_answers"),
    path(ONE + "payments.csv", lead.campaign_payments, name="campaign_payments"),
]
