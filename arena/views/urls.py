"""The addresses of the pages. Those of the voting page are in annotation/urls.py."""

from django.urls import path

from arena.views import contestants, data_sets, home, jobs, leaderboard, manage, training_runs

ARENA = "arenas/<slug:slug>/"

urlpatterns = [
    path("", home.home, name="home"),
    path("favicon.ico", home.icon, name="icon"),
    path(ARENA + "leaderboard/", leaderboard.leaderboard, name="leaderboard"),
    path(ARENA + "leaderboard.json", leaderboard.leaderboard_json, name="leaderboard_json"),
    path(ARENA + "leaderboard.csv", leaderboard.leaderboard_csv_file, name="leaderboard_csv"),
    path(ARENA + "contestants/<int:pk>/", contestants.contestant, name="contestant"),
    path(ARENA + "contestants/<int:pk>/retire/", manage.retire, name="retire"),
    path(ARENA + "data-sets/", data_sets.data_sets, name="data_sets"),
    path(ARENA + "data-sets/<int:number>/", data_sets.data_set, name="data_set"),
    path(ARENA + "data-sets/<int:number>/download/", data_sets.download, name="data_set_download"),
    path(ARENA + "training-runs/", training_runs.training_runs, name="training_runs"),
    path(ARENA + "training-runs/<int:pk>/", training_runs.training_run, name="training_run"),
    path(ARENA + "manage/", manage.manage, name="manage"),
    path(ARENA + "manage/generate/", manage.generate, name="generate_missing"),
    path("jobs/", jobs.jobs, name="jobs"),
    path("jobs/<int:pk>/", jobs.job, name="job"),
    path("jobs/<int:pk>/cancel/", jobs.cancel, name="job_cancel"),
    path("jobs/<int:pk>/retry/", jobs.retry, name="job_retry"),
]
