"""People from a panel: in by the address, out by a code, and back by the panel's own message."""

import base64
import hashlib
import hmac
import json

import pytest
from django.test import Client
from django.utils import timezone

from annotation.models import Annotator, Assignment, PanelEvent, PanelIdentity
from annotation.services import campaigns, crowd, exports
from arena.errors import BadInput
from arena.models import Vote, Voter
from tests.campaigns.conftest import answer, leased
from tests.campaigns.test_pages import judge

pytestmark = pytest.mark.django_db
SECRET = "the panel's secret"
ZOE = {"PROLIFIC_PID": "5f8zoe", "STUDY_ID": "st-1", "SESSION_ID": "sub-1"}


@pytest.fixture
def campaign(started):
    made = started(open_link=True, panel="prolific", overlap=1, most_each=2)
    crowd.new_secret(campaign=made, secret=SECRET)
    return made


def link(campaign, parameters=ZOE):
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"/campaigns/{campaign.slug}/join/{campaign.token}/?{query}"


def take_part(campaign, parameters=ZOE):
    browser = Client()
    assert browser.post(link(campaign, parameters)).status_code == 302
    return browser


def sign(body: bytes, timestamp: str, secret: str = SECRET) -> str:
    return base64.b64encode(
        hmac.new(secret.encode(), timestamp.encode() + body, hashlib.sha256).digest()
    ).decode()


def send(campaign, *, event="e-1", secret=SECRET, at=None, **fields):
    """A message as Prolific sends it when a submission changes."""
    data = {"event_type": "submission.status.change", "status": "RETURNED", "resource_id": "sub-1", **fields}
    body, timestamp = json.dumps(data).encode(), str(int(at or timezone.now().timestamp()))
    headers = {
        "X-Prolific-Request-Timestamp": timestamp,
        "X-Prolific-Request-Signature": sign(body, timestamp, secret),
        "X-Event-Id": event,
    }
    address = f"/campaigns/{campaign.slug}/panel/"
    return Client().post(address, body, content_type="application/json", headers=headers)


def test_a_participant_judges_and_goes_back_with_the_code(campaign):
    browser = take_part(campaign)
    for _ in range(2):
        judge(browser, campaign)

    end = browser.get(f"/campaigns/{campaign.slug}/work/").content.decode()

    assert f"https://app.prolific.com/submissions/complete?cc={campaign.code_complete}" in end
    assert Vote.objects.count() == 2


def test_a_participant_is_the_same_annotator_in_another_browser(campaign):
    take_part(campaign)
    again = take_part(campaign, {**ZOE, "SESSION_ID": "sub-2"})

    judge(again, campaign)

    assert Annotator.objects.count() == Voter.objects.count() == 1
    identity = PanelIdentity.objects.get()
    assert identity.session_digest == crowd.digest(campaign, "sub-2")


def test_two_participants_on_one_computer_are_two_annotators(campaign):
    browser = take_part(campaign)
    browser.post(link(campaign, {**ZOE, "PROLIFIC_PID": "another"}))
    judge(browser, campaign)

    assert Annotator.objects.count() == 2
    assert Vote.objects.get().voter == Annotator.objects.latest("id").voter


def test_the_panels_ids_are_kept_apart_and_unreadable(campaign):
    browser = take_part(campaign)
    judge(browser, campaign)

    row = PanelIdentity.objects.get()
    stored = f"{row.participant_digest} {row.session_digest} {row.sealed} {row.annotator.voter.pseudonym}"
    assert not any(value in stored for value in ZOE.values())
    assert "5f8zoe" not in exports.as_csv(list(exports.answers(campaign)))
    assert exports.payments(campaign)[0]["participant"] == "5f8zoe"  # for the pay, on the record


@pytest.mark.parametrize(
    "parameters",
    [{}, {"PROLIFIC_PID": ""}, {"PROLIFIC_PID": "{{%PROLIFIC_PID%}}"}, {"PROLIFIC_PID": "x" * 300}],
)
def test_a_link_opened_without_the_panel_is_refused_in_words(campaign, parameters):
    page = Client().get(link(campaign, parameters))

    assert page.status_code == 400
    assert "Go back and start there" in page.content.decode()


@pytest.mark.parametrize("status", ["RETURNED", "TIMED-OUT", "TIMED_OUT", "REJECTED"])
def test_what_a_lost_submission_held_and_judged_goes_back_to_the_queue(campaign, status):
    browser = take_part(campaign)
    judge(browser, campaign)
    browser.get(f"/campaigns/{campaign.slug}/work/")
    assert sum(item.held for item in campaign.items.all()) == 2

    taken = send(campaign, status=status)

    assert taken.status_code == 200
    assert Annotator.objects.get().state == "returned"
    assert sum(item.held for item in campaign.items.all()) == 0
    assert Vote.objects.counted().count() == 0
    assert Vote.objects.count() == 1  # kept in the log
    assert "gave your place back" in browser.get(f"/campaigns/{campaign.slug}/work/").content.decode()


def test_a_message_sent_twice_is_acted_on_once(campaign):
    browser = take_part(campaign)
    judge(browser, campaign)

    answers = [send(campaign).json() for _ in range(3)]

    assert answers[0] == answers[1] == answers[2]
    assert PanelEvent.objects.count() == 1
    assert Annotator.objects.get().rulings.count() == 1


def test_the_participant_is_found_where_the_submission_is_not_known(campaign):
    take_part(campaign)

    send(campaign, resource_id="sub-of-yesterday", participant_id="5f8zoe")

    assert Annotator.objects.get().state == "returned"


def test_other_news_is_noted_and_changes_nothing(campaign):
    take_part(campaign)

    assert send(campaign, status="AWAITING REVIEW").json()["outcome"] == "noted"
    assert send(campaign, event="e-2", resource_id="nobody").json()["outcome"] == "nobody of this campaign"
    assert Annotator.objects.get().state == "invited"


def test_a_forged_old_or_broken_message_is_refused(campaign, started):
    take_part(campaign)
    now = timezone.now().timestamp()

    assert send(campaign, secret="guess").status_code == 403
    assert send(campaign, at=now - 3600).status_code == 403
    assert send(campaign, at=now + 3600).status_code == 403
    assert (
        Client()
        .post(f"/campaigns/{campaign.slug}/panel/", b"{}", content_type="application/json")
        .status_code
        == 403
    )
    stamp = str(int(now))
    headers = {"X-Prolific-Request-Timestamp": stamp, "X-Prolific-Request-Signature": sign(b"no", stamp)}
    address = f"/campaigns/{campaign.slug}/panel/"
    assert Client().post(address, b"no", content_type="application/json", headers=headers).status_code == 400
    other = started(name="Without a panel")
    assert send(other).status_code == 404
    assert Annotator.objects.get().state == "invited"
    assert PanelEvent.objects.count() == 0


def test_another_panel_names_its_parameters_and_its_address(started):
    names = {
        "participant": "rid",
        "session": "s",
        "return_url": "https://panel.example/end?code={code}&rid={participant}",
    }
    campaign = started(open_link=True, panel="generic", panel_settings=names, overlap=1, most_each=1)
    browser = take_part(campaign, {"rid": "a b&c", "s": "1"} | {"rid": "a%20b%26c"})
    judge(browser, campaign)

    end = browser.get(f"/campaigns/{campaign.slug}/work/").content.decode()

    assert f"https://panel.example/end?code={campaign.code_complete}&amp;rid=a%20b%26c" in end


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "which parameter"),
        ({"participant": "a b"}, "no name of a parameter"),
        ({"participant": "p", "return_url": "http://x.example/"}, "begins with https"),
        ({"participant": "p", "return_url": "https://x.example/{token}"}, "not {token}"),
        ({"participant": "p", "return_url": "https://x.example/{code"}, "too many"),
        ({"participant": "p", "return_url": "https://{participant}.example/"}, "after the host"),
        ({"participant": "p", "colour": "red"}, "set by"),
    ],
)
def test_settings_of_a_panel_that_cannot_be_are_refused(given, says):
    with pytest.raises(BadInput, match=says):
        crowd.checked_settings("generic", given)


def test_a_lead_who_is_signed_in_tries_the_link_as_themselves(campaign, sign_in, grace):
    browser = sign_in(grace)

    assert browser.post(f"/campaigns/{campaign.slug}/join/{campaign.token}/").status_code == 302

    assert Annotator.objects.get().voter.user == grace
    assert PanelIdentity.objects.count() == 0


def test_one_who_found_nothing_to_judge_gets_no_code(campaign):
    other = crowd.join(campaign=campaign, voter=Voter.objects.create())
    while (given := leased(other) if campaigns.progress.own_progress(other).judged < 2 else None) is not None:
        answer(given)
    type(campaign).objects.update(state="finished")
    browser = take_part(campaign)

    page = browser.get(f"/campaigns/{campaign.slug}/work/").content.decode()

    assert campaign.code_complete not in page
    assert Assignment.objects.filter(annotator__panel_identity__isnull=False).count() == 0
