from django.urls import path

from annotation import views

urlpatterns = [
    path("arenas/<slug:slug>/", views.vote, name="vote"),
    path("arenas/<slug:slug>/vote/", views.cast, name="cast"),
    path("arenas/<slug:slug>/next/", views.next_battle, name="next_battle"),
    path("arenas/<slug:slug>/votes/<uuid:battle_id>/", views.voted, name="voted"),
]
