"""Webhooks: written with what they tell of, signed, tried again, and never sent where they must not go."""

import base64
import hashlib
import hmac
import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import transaction
from django.utils import timezone

from arena.errors import BadInput
from arena.models import AuditEntry, Webhook, WebhookDelivery
from arena.services import webhooks
from arena.services.ballots import Ballot
from arena.services.battles import start_battle
from arena.services.voters import voter_of_user
from arena.services.votes import cast_vote
from tests import factories

pytestmark = pytest.mark.django_db


class Receiver(ThreadingHTTPServer):
    """Notes what comes, and answers as it is told."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.got, self.statuses = [], []
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


class Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers.items()), body))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.send_response(status)
        if status == 302:
            self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_HOSTS = ["127.0.0.1"]
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hooked(receiver, open_arena, grace):
    """The garden's webhook for all events, and its secret."""
    return webhooks.add_webhook(arena=open_arena, url=receiver.url, events=list(webhooks.EVENTS), by=grace)


def vote(arena, user):
    voter = voter_of_user(user)
    return cast_vote(
        battle=start_battle(arena=arena, voter=voter), voter=voter, ballot=Ballot.parse({"best": 0}, arena.k)
    )


def make_due():
    WebhookDelivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))


# Written with what they tell of


def test_a_vote_is_told_with_a_signature_that_the_receiver_can_check(hooked, receiver, open_arena, ada):
    _hook, secret = hooked
    taken = vote(open_arena, ada)

    assert receiver.got == []  # nothing is sent in the vote's own path
    assert webhooks.deliver_due() == 1

    headers, body = receiver.got[0]
    told = json.loads(body)
    assert (told["type"], told["data"]["vote"], told["data"]["arena"]) == ("vote.cast", taken.pk, "garden")
    # As the specification says it: HMAC-SHA256 over "id.timestamp.body" with the decoded secret.
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    assert WebhookDelivery.objects.get().state == "delivered"


def test_the_signature_is_the_one_of_the_published_example():
    """standard-webhooks, the specification's own test vector."""
    found = webhooks.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        '{"test": 2432232314}',
    )

    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_rolled_back_is_never_told(hooked, open_arena):
    with transaction.atomic():
        webhooks.emit(arena=open_arena, event="vote.cast", data={})
        transaction.set_rollback(True)

    assert not WebhookDelivery.objects.exists()


def test_only_what_was_asked_for_is_told(receiver, open_arena, closed_arena, grace):
    webhooks.add_webhook(arena=open_arena, url=receiver.url, events=["data_set.completed"], by=grace)

    assert webhooks.emit(arena=open_arena, event="vote.cast", data={}) == 0
    assert webhooks.emit(arena=closed_arena, event="data_set.completed", data={}) == 0
    assert webhooks.emit(arena=open_arena, event="data_set.completed", data={"data_set": 1}) == 1


def test_where_nobody_listens_a_vote_costs_one_look_up(open_arena, django_assert_num_queries):
    with django_assert_num_queries(1):
        webhooks.emit(arena=open_arena, event="vote.cast", data={})


# Tried again


def test_a_receiver_that_fails_is_tried_again_under_the_same_id_and_then_given_up(
    hooked, receiver, open_arena
):
    receiver.statuses = [500, 503, 302, 404, 429, 500]
    webhooks.emit(arena=open_arena, event="vote.cast", data={})
    waits = []
    for _ in range(6):
        make_due()
        before = timezone.now()
        assert webhooks.deliver_due() == 1
        left = WebhookDelivery.objects.get()
        waits.append(round((left.due_at - before).total_seconds()))
    make_due()

    assert webhooks.deliver_due() == 0
    assert waits[:5] == [5, 30, 120, 600, 3600]
    assert len({headers["webhook-id"] for headers, _body in receiver.got}) == 1
    assert len(receiver.got) == 6  # a redirect is an answer, and is not followed
    assert (left.state, left.attempts, left.error) == ("failed", 6, "The receiver answered 500.")


def test_a_receiver_that_comes_back_gets_it(hooked, receiver, open_arena):
    receiver.statuses = [500]
    webhooks.emit(arena=open_arena, event="vote.cast", data={})
    webhooks.deliver_due()
    assert webhooks.deliver_due() == 0  # not before its time
    make_due()
    webhooks.deliver_due()

    assert WebhookDelivery.objects.get().state == "delivered"
    assert receiver.got[0][1] == receiver.got[1][1]


def test_a_receiver_that_is_gone_is_paused(hooked, receiver, open_arena):
    receiver.statuses = [410]
    webhooks.emit(arena=open_arena, event="vote.cast", data={})
    webhooks.deliver_due()

    assert Webhook.objects.get().paused_at is not None
    assert webhooks.emit(arena=open_arena, event="vote.cast", data={}) == 0


def test_a_message_that_another_worker_holds_is_left_alone(hooked, receiver, open_arena):
    webhooks.emit(arena=open_arena, event="vote.cast", data={})
    WebhookDelivery.objects.update(due_at=timezone.now() + webhooks.LEASE, attempts=1)

    assert webhooks.deliver_due() == 0
    assert receiver.got == []


def test_old_messages_are_dropped_and_waiting_ones_kept(hooked, open_arena):
    for _ in range(2):
        webhooks.emit(arena=open_arena, event="vote.cast", data={})
    WebhookDelivery.objects.update(created_at=timezone.now() - timedelta(days=40))
    WebhookDelivery.objects.filter(pk=WebhookDelivery.objects.first().pk).update(state="delivered")

    assert webhooks.forget_old() == 1
    assert WebhookDelivery.objects.get().state == "waiting"


# Never where they must not go


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/admin/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://user:secret@93.184.216.34/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "http://93.184.216.34:6379/",
        "not an address",
    ],
)
def test_an_address_inside_is_refused_or_never_called(open_arena, grace, settings, url):
    settings.WEBHOOK_HOSTS = ["*"]
    try:
        webhooks.add_webhook(arena=open_arena, url=url, events=["vote.cast"], by=grace)
    except BadInput:
        assert not Webhook.objects.exists()
        return
    # An address given as a number is looked at when the connection is made.
    webhooks.emit(arena=open_arena, event="vote.cast", data={})
    webhooks.deliver_due()
    left = WebhookDelivery.objects.get()
    assert left.state == "waiting"
    assert "not public" in left.error or "never called" in left.error


# Pages


FORM = {"url": "https://example.org/hook", "events": ["vote.cast", "data_set.completed"]}
PAGES = "/arenas/garden/manage/webhooks/"


def test_the_secret_is_shown_once_and_kept_sealed(sign_in, grace, open_arena):
    browser = sign_in(grace)
    page = browser.post(PAGES, FORM)

    secret = page.content.decode().partition('value="whsec_')[2].partition('"')[0]
    assert (page.status_code, len(base64.b64decode(secret))) == (201, 32)
    hook = Webhook.objects.get()
    assert secret not in hook.sealed_secret
    assert secret not in browser.get(PAGES).content.decode()
    assert secret not in browser.get(f"{PAGES}{hook.pk}/").content.decode()
    assert secret not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"url": "ftp://example.org"}, "must begin with"),
        ({"url": ""}, "required"),
        ({"events": []}, "at least one event"),
        ({"events": ["vote.sold"]}, "vote.sold"),
    ],
)
def test_a_wrong_form_comes_back_filled_in_with_the_reason(sign_in, grace, open_arena, change, sentence):
    page = sign_in(grace).post(PAGES, {**FORM, **change})

    assert page.status_code == 400
    assert sentence in page.content.decode()
    assert not Webhook.objects.exists()


def test_a_test_message_is_sent_shown_and_sent_again(hooked, receiver, sign_in, grace):
    hook, _secret = hooked
    browser = sign_in(grace)
    browser.post(f"{PAGES}{hook.pk}/test/")
    webhooks.deliver_due()
    sent = WebhookDelivery.objects.get()

    assert "webhook.test" in browser.get(f"{PAGES}{hook.pk}/").content.decode()
    assert sent.message in browser.get(f"/arenas/garden/manage/messages/{sent.pk}/").content.decode()
    browser.post(f"/arenas/garden/manage/messages/{sent.pk}/again/")
    webhooks.deliver_due()
    assert [headers["webhook-id"] for headers, _body in receiver.got] == [sent.message] * 2


def test_a_new_secret_signs_what_is_sent_from_now_on(hooked, receiver, sign_in, grace):
    hook, old = hooked
    page = sign_in(grace).post(f"{PAGES}{hook.pk}/secret/").content.decode()
    new = "whsec_" + page.partition('value="whsec_')[2].partition('"')[0]
    hook.refresh_from_db()
    webhooks.send_test(hook=hook)
    webhooks.deliver_due()

    headers, body = receiver.got[0]
    stamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == webhooks.signature(
        new, headers["webhook-id"], stamp, body.decode()
    )
    assert new != old


def test_a_webhook_is_paused_and_removed(hooked, sign_in, grace, open_arena):
    hook, _secret = hooked
    browser = sign_in(grace)
    browser.post(f"{PAGES}{hook.pk}/", {**FORM, "url": hook.url, "paused": "on"})
    assert webhooks.emit(arena=open_arena, event="vote.cast", data={}) == 0
    browser.post(f"{PAGES}{hook.pk}/remove/")

    assert not Webhook.objects.exists()
    assert browser.get(f"{PAGES}{hook.pk}/").status_code == 404


def test_a_webhook_of_another_arena_is_not_there(hooked, sign_in):
    other = factories.make_user()
    factories.make_member(factories.make_arena("own"), other, "owner")
    hook, _secret = hooked

    assert sign_in(other).get(f"/arenas/own/manage/webhooks/{hook.pk}/").status_code == 404


def test_the_page_needs_a_bounded_number_of_queries(
    hooked, sign_in, grace, open_arena, django_assert_max_num_queries
):
    hook, _secret = hooked
    for _ in range(30):
        webhooks.emit(arena=open_arena, event="vote.cast", data={})
    browser = sign_in(grace)

    with django_assert_max_num_queries(10):
        browser.get(f"{PAGES}{hook.pk}/")
