from django.urls import include, path

from annotation import battle_views, judgement_views, lead_views, review_views, survey_views, views

ARENA = "arenas/<slug:slug>/"
BATTLE = "battles/<uuid:battle_id>/"

urlpatterns = [
    path(ARENA, views.vote, name="vote"),
    path(ARENA + "vote/", views.cast, name="cast"),
    path(ARENA + "next/", views.next_battle, name="next_battle"),
    path(ARENA + "votes/", views.votes, name="votes"),
    path(ARENA + "votes/<uuid:battle_id>/", views.voted, name="voted"),
    path(ARENA + "votes/<uuid:battle_id>/names/", views.names, name="names"),
    path(ARENA + "votes/<uuid:battle_id>/undo/", views.undo, name="undo"),
    path(ARENA + "survey/", survey_views.survey, name="survey"),
    path(ARENA + "my-answers/", survey_views.my_answers, name="my_answers"),
    path(BATTLE + "draft/", battle_views.draft, name="draft"),
    path(BATTLE + "shown/", battle_views.seen, name="shown"),
    path(BATTLE + "preview/", battle_views.preview, name="rewrite_preview"),
    path(BATTLE + "report/", battle_views.report, name="report"),
    path(ARENA + "manage/judgement/", judgement_views.judgement, name="judgement"),
    path(ARENA + "manage/judgement/preview/", judgement_views.preview, name="judgement_preview"),
    path(ARENA + "manage/survey/", judgement_views.survey, name="survey_form"),
    path(ARENA + "manage/reports/", judgement_views.reports, name="reports"),
    path(ARENA + "manage/reports/<int:pk>/settle/", judgement_views.settle, name="report_settle"),
    path("", include("annotation.talk_urls")),
    path(ARENA + "manage/dashboard/", lead_views.lead_dashboard, name="lead_dashboard"),
    path(ARENA + "manage/dashboard.json", lead_views.dashboard_json, name="lead_dashboard_json"),
    path(ARENA + "manage/annotators.csv", lead_views.quality_csv, name="lead_quality_csv"),
    path(ARENA + "manage/quality/", lead_views.lead_quality, name="lead_quality"),
    path(ARENA + "manage/quality/<int:pk>/", lead_views.lead_voter, name="lead_voter"),
    path(ARENA + "manage/quality/<int:pk>/without/", lead_views.with_and_without, name="lead_without"),
    path(ARENA + "manage/review/", review_views.review_list, name="review"),
    path(ARENA + "manage/review.json", review_views.review_json, name="review_json"),
    path(ARENA + "manage/review/<uuid:battle_id>/", review_views.review_item, name="review_item"),
    path(ARENA + "manage/review/<uuid:battle_id>/undo/", review_views.review_undo, name="review_undo"),
]
