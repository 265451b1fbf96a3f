from django.urls import path

from annotation.api import campaigns

CAMPAIGN = "campaigns/<slug:slug>/"

app_name = "annotation_api"
urlpatterns = [
    path("campaigns/", campaigns.MyCampaignsView.as_view(), name="campaigns"),
    path(CAMPAIGN, campaigns.CampaignView.as_view(), name="campaign"),
    path(CAMPAIGN + "join/", campaigns.JoinView.as_view(), name="join"),
    path(CAMPAIGN + "next/", campaigns.NextView.as_view(), name="next"),
    path(CAMPAIGN + "vote/", campaigns.CampaignVoteView.as_view(), name="vote"),
]
