from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from arena.api import analyses, arenas, asking, battles, contestants, files, judges, rounds, training, work
from arena.api.views import TokenView, nothing_here

# Swagger UI writes style attributes; scripts stay strict on its page too.
docs = csp_update({"style-src": [SELF, UNSAFE_INLINE]})(
    SpectacularSwaggerSplitView.as_view(url_name="api:schema")
)

app_name = "api"
urlpatterns = [
    path("battles/", battles.BattlesView.as_view(), name="battles"),
    path("battles/<uuid:battle_id>/vote/", battles.VoteView.as_view(), name="vote"),
    path("battles/<uuid:battle_id>/undo/", battles.UndoView.as_view(), name="undo"),
    path("battles/<uuid:battle_id>/files/<str:token>/", files.BattleFileView.as_view(), name="battle_file"),
    path("battles/<uuid:battle_id>/report/", asking.ReportView.as_view(), name="report"),
    path("arenas/<slug:slug>/survey/", asking.SurveyView.as_view(), name="survey"),
    path("arenas/<slug:slug>/talks/", asking.TalksView.as_view(), name="talks"),
    path("arenas/<slug:slug>/talks/<uuid:talk>/", asking.TalkView.as_view(), name="talk"),
    path("responses/<int:pk>/file/", files.ResponseFileView.as_view(), name="response_file"),
    path("arenas/", arenas.ArenasView.as_view(), name="arenas"),
    path("arenas/<slug:slug>/", arenas.ArenaView.as_view(), name="arena"),
    path("arenas/<slug:slug>/leaderboard/", arenas.LeaderboardView.as_view(), name="leaderboard"),
    path("arenas/<slug:slug>/leaderboard/analysis/", analyses.AnalysisView.as_view(), name="analysis"),
    path("arenas/<slug:slug>/leaderboard/compare/", analyses.TwoComparedView.as_view(), name="compare"),
    path("arenas/<slug:slug>/contestants/", contestants.ContestantsView.as_view(), name="contestants"),
    path("arenas/<slug:slug>/judges/", judges.JudgesView.as_view(), name="judges"),
    path("arenas/<slug:slug>/judges/<int:pk>/work/", judges.JudgeWorkView.as_view(), name="judge_work"),
    path("arenas/<slug:slug>/rounds/", rounds.RoundsView.as_view(), name="rounds"),
    path("arenas/<slug:slug>/rounds/<int:pk>/votes/", rounds.RoundVotesView.as_view(), name="round_votes"),
    path("arenas/<slug:slug>/rounds/<int:pk>/end/", rounds.RoundEndView.as_view(), name="round_end"),
    path(
        "arenas/<slug:slug>/rounds/<int:pk>/give-up/", rounds.RoundGiveUpView.as_view(), name="round_give_up"
    ),
    path("arenas/<slug:slug>/judges/<int:pk>/", judges.JudgeView.as_view(), name="judge"),
    path("contestants/<int:pk>/", contestants.ContestantView.as_view(), name="contestant"),
    path("contestants/<int:pk>/check/", contestants.ContestantCheckView.as_view(), name="contestant_check"),
    path("data-sets/", work.DataSetsView.as_view(), name="data_sets"),
    path("data-sets/<int:pk>/", work.DataSetView.as_view(), name="data_set"),
    path("data-sets/<int:pk>/download/", work.DataSetDownloadView.as_view(), name="data_set_download"),
    path("data-sets/<int:pk>/curate/", work.DataSetCurationView.as_view(), name="data_set_curate"),
    path("training-runs/", work.TrainingRunsView.as_view(), name="training_runs"),
    path("training-runs/plan/", training.TrainingPlanView.as_view(), name="training_plan"),
    path("training-runs/compare/", training.TrainingComparisonView.as_view(), name="training_compare"),
    path("training-runs/<int:pk>/", work.TrainingRunView.as_view(), name="training_run"),
    path("training-runs/<int:pk>/metrics/", work.TrainingMetricsView.as_view(), name="training_metrics"),
    path("training-runs/<int:pk>/promote/", training.PromotionView.as_view(), name="training_promote"),
    path("training-runs/<int:pk>/card/", training.CardView.as_view(), name="training_card"),
    path("training-runs/<int:pk>/download/<slug:part>/", training.PartView.as_view(), name="training_part"),
    path("arenas/<slug:slug>/votes/<int:pk>/", training.TracesView.as_view(), name="vote_traces"),
    path("jobs/", work.JobsView.as_view(), name="jobs"),
    path("jobs/<int:pk>/", work.JobView.as_view(), name="job"),
    path("jobs/<int:pk>/cancel/", work.JobCancelView.as_view(), name="job_cancel"),
    path("jobs/<int:pk>/retry/", work.JobRetryView.as_view(), name="job_retry"),
    path("token/", TokenView.as_view(), name="token"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", docs, name="docs"),
    # Whatever else is asked for: the API's own words, not an HTML page.
    re_path(r"^(?P<path>.*)$", nothing_here),
]
