from django.urls import path

from annotation import talk_views

ARENA = "arenas/<slug:slug>/"
TALK = ARENA + "talks/<uuid:talk>/"

urlpatterns = [
    path(ARENA + "ask/", talk_views.ask, name="ask"),
    path(TALK, talk_views.talk, name="talk"),
    path(TALK + "next/", talk_views.following, name="talk_next"),
    path(TALK + "vote/", talk_views.cast, name="talk_cast"),
    path(TALK + "go-on/", talk_views.go_on, name="talk_go_on"),
    path(TALK + "votes/", talk_views.votes, name="talk_votes"),
    path(TALK + "votes/<uuid:battle>/names/", talk_views.names, name="talk_names"),
    path(TALK + "votes/<uuid:battle>/undo/", talk_views.undo, name="talk_undo"),
]
