"""Campaigns over REST: a program joins, asks, votes and sees how far it is."""

import pytest
from rest_framework.test import APIClient

from annotation.models import Assignment
from arena.models import Vote
from tests import factories

pytestmark = pytest.mark.django_db
BASE = "/api/v1/campaigns/weeding/"


@pytest.fixture
def campaign(started):
    return started(open_link=True, overlap=1, prompt_filter={"most": 2})


@pytest.fixture
def robot(campaign):
    client = APIClient()
    joined = client.post(BASE + "join/", {"token": campaign.token}, format="json")
    assert joined.status_code == 201
    return client


def test_a_program_judges_a_campaign_to_its_end(robot, campaign):
    for number in range(2):
        given = robot.post(BASE + "next/").json()
        assert (given["kind"], given["sentence"]) == ("battle", "")
        assert given["lease_seconds"] > 800
        body = {"battle": given["battle"]["id"], "ranks": [1, 2]}
        assert robot.post(BASE + "vote/", body, format="json").json()["feedback"] == []
        assert robot.get(BASE).json()["judged"] == number + 1
    end = robot.post(BASE + "next/").json()

    assert (end["kind"], end["code"]) == ("finished", campaign.code_complete)
    assert robot.get("/api/v1/campaigns/").json()[0]["open"] is False
    assert Vote.objects.count() == 2


def test_the_plain_vote_address_follows_the_campaigns_rules_too(robot):
    given = robot.post(BASE + "next/").json()["battle"]

    answer = robot.post(f"/api/v1/battles/{given['id']}/vote/", {"best": 0}, format="json")

    assert answer.status_code == 201
    assert answer.json()["revealed"] is False
    assert Assignment.objects.get().state == "voted"


def test_one_who_waits_is_told_when_to_ask_again(robot, campaign):
    other = APIClient()
    other.post(BASE + "join/", {"token": campaign.token}, format="json")
    robot.post(BASE + "next/")
    other.post(
        BASE + "vote/",
        {"battle": other.post(BASE + "next/").json()["battle"]["id"], "best": 1},
        format="json",
    )

    waiting = other.post(BASE + "next/").json()

    assert (waiting["kind"], waiting["retry_after"], waiting["battle"]) == ("wait", 3, None)


def test_bad_bodies_strangers_and_wrong_methods_are_refused_in_words(robot, campaign):
    stranger = APIClient()
    assert stranger.post(BASE + "next/").status_code == 404
    assert stranger.get(BASE).status_code == 404
    assert stranger.post(BASE + "join/", {"token": "guess"}, format="json").status_code == 404
    assert stranger.post(BASE + "join/", {}, format="json").status_code == 400
    assert robot.post(BASE + "vote/", {"ranks": [1, 2]}, format="json").status_code == 400
    assert robot.get(BASE + "next/").status_code == 405
    theirs = factories.make_battle(campaign.arena, contestants=list(campaign.arena.contestants.all()[:2]))
    refused = robot.post(BASE + "vote/", {"battle": str(theirs.pk), "best": 0}, format="json")
    assert refused.status_code == 403
    assert "somebody else" in refused.json()["error"]
    assert Vote.objects.count() == 0


def test_a_vote_sent_twice_with_its_key_is_one_vote(robot):
    given = robot.post(BASE + "next/").json()["battle"]["id"]
    sent = [
        robot.post(
            BASE + "vote/", {"battle": given, "best": 0}, format="json", headers={"Idempotency-Key": "k"}
        )
        for _ in range(2)
    ]

    assert [answer.status_code for answer in sent] == [201, 201]
    assert Vote.objects.count() == 1


def test_a_panels_participant_is_the_same_annotator_in_every_session(started):
    campaign = started(open_link=True, panel="prolific")
    bodies = [{"token": campaign.token, "participant": "p-1", "session": s} for s in ("s-1", "s-2")]
    for body in bodies:
        assert APIClient().post(BASE + "join/", body, format="json").status_code == 201

    assert campaign.annotators.count() == 1
    assert APIClient().post(BASE + "join/", {"token": campaign.token}, format="json").status_code == 400
