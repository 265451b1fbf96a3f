"""The admin: every page opens under the strict policy, the log stays as it is, and actions call services."""

import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena.models import (
    AuditEntry,
    Contestant,
    DataSet,
    Invitation,
    Job,
    Prompt,
    Response,
    TrainingRun,
    Vote,
    VoteRuling,
    Webhook,
    WebhookDelivery,
)
from arena.services import jobs
from arena.services.data_sets import request_data_set, write_data_set
from arena.services.judges import create_judge
from arena.services.leaderboards import current_leaderboard
from arena.services.votes import rule_on_vote
from tests import factories

MODELS = sorted(
    (model for model in admin.site._registry if model._meta.app_label == "arena"),
    key=lambda model: model.__name__,
)
READ_ONLY = [
    "response",
    "vote",
    "battle",
    "voter",
    "job",
    "dataset",
    "trainingrun",
    "leaderboard",
    "auditentry",
    "webhook",
    "webhookdelivery",
    "invitation",
]
INLINE = re.compile(
    r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)(?![^>]*application/json)", re.I
)


@pytest.fixture
def boss(staff, sign_in) -> Client:
    return sign_in(staff)


@pytest.fixture
def lived_in(open_arena, staff):
    """An arena with a row of every kind."""
    vote = factories.make_vote(open_arena)
    rule_on_vote(vote=vote, action="quarantined", reason="A test", by=staff)
    factories.make_vote(open_arena)
    data_set = write_data_set(request_data_set(arena=open_arena, by=staff))
    base = open_arena.contestants.first()
    TrainingRun.objects.create(
        arena=open_arena, base=base, data_set=data_set, name="Run", job=data_set.job, folder="garden/1"
    )
    current_leaderboard(open_arena)
    create_judge(arena=open_arena, name="Robin", endpoint="http://127.0.0.1:8009/v1", endpoint_model="m")
    hook = Webhook.objects.create(arena=open_arena, url="https://example.org/hook", sealed_secret="sealed-up")
    hook.deliveries.create(event="vote.cast", body="{}", due_at=timezone.now())
    Invitation.objects.create(arena=open_arena, token_sha256="d1935c", note="Spring class")
    return open_arena


def page(model: str, what: str = "changelist", *args: object) -> str:
    return reverse(f"admin:arena_{model}_{what}", args=args)


def act(client: Client, model: str, action: str, *rows, **fields: str) -> str:
    """Choose the action for these rows in the list; returns the page that follows."""
    answer = client.post(
        page(model), {"action": action, "_selected_action": [row.pk for row in rows], **fields}, follow=True
    )
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("model", [model._meta.model_name for model in MODELS])
def test_every_list_and_every_row_opens_with_nothing_inline(boss, lived_in, model):
    row = next(one for one in MODELS if one._meta.model_name == model).objects.first()
    assert row is not None
    addresses = [page(model), page(model, "change", row.pk)]
    if model not in READ_ONLY:
        addresses.append(page(model, "add"))

    for address in addresses:
        answer = boss.get(address)
        assert answer.status_code == 200, address
        assert "'unsafe-inline'" not in answer["Content-Security-Policy"]
        assert INLINE.findall(answer.content.decode()) == []


def test_no_page_of_a_webhook_or_an_invitation_shows_its_secret(boss, lived_in):
    for model in (Webhook, WebhookDelivery, Invitation):
        name = model._meta.model_name
        for address in (page(name), page(name, "change", model.objects.get().pk)):
            text = boss.get(address).content.decode()
            assert "sealed-up" not in text
            assert "d1935c" not in text
    assert "Spring class" in boss.get(page("invitation")).content.decode()
    assert "https://example.org/hook" in boss.get(page("webhookdelivery")).content.decode()


def test_the_start_page_has_nothing_inline(boss):
    assert INLINE.findall(boss.get(reverse("admin:index")).content.decode()) == []


@pytest.mark.parametrize("model", READ_ONLY)
def test_the_log_and_what_is_made_from_it_cannot_be_written(boss, lived_in, model):
    row = next(one for one in MODELS if one._meta.model_name == model).objects.first()

    assert boss.get(page(model, "add")).status_code == 403
    assert boss.post(page(model, "change", row.pk), {"kind": "x"}).status_code == 403
    assert boss.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert "delete_selected" not in boss.get(page(model)).content.decode()


@pytest.mark.parametrize("model", [model._meta.model_name for model in MODELS])
def test_lists_are_for_staff(client, sign_in, ada, model):
    for browser in (client, sign_in(ada)):
        assert browser.get(page(model)).status_code == 302


@pytest.mark.parametrize("model", ["vote", "response", "battle", "job", "contestant", "prompt"])
def test_a_list_of_many_rows_costs_as_many_queries_as_one_of_few(
    boss, lived_in, model, django_assert_max_num_queries
):
    for _ in range(10):
        factories.make_vote(lived_in)
        factories.make_contestant(lived_in, parent=lived_in.contestants.first())
        jobs.enqueue(kind="generate", title="More", arena=lived_in)

    with django_assert_max_num_queries(14):
        boss.get(page(model))


def test_a_vote_is_ruled_on_with_a_reason_and_stays_as_it_is(boss, staff, open_arena):
    vote = factories.make_vote(open_arena, [2, 1, 3, 4])

    said = act(boss, "vote", "quarantine", vote, reason="A machine voted")

    ruling = VoteRuling.objects.get()
    assert (ruling.action, ruling.reason, ruling.by) == ("quarantined", "A machine voted", staff)
    assert Vote.objects.get().ranks == [2, 1, 3, 4]
    assert "Votes taken out of the count: 1." in said
    act(boss, "vote", "restore", vote, reason="It was Ada")
    assert Vote.objects.counted().get() == vote


def test_a_ruling_without_a_reason_is_refused(boss, open_arena):
    vote = factories.make_vote(open_arena)

    said = act(boss, "vote", "quarantine", vote)

    assert "Give the reason in 1 to 300 characters" in said
    assert not VoteRuling.objects.exists()


def test_staff_who_may_only_look_rule_on_nothing(sign_in, open_arena):
    from django.contrib.auth.models import Permission

    looker = factories.make_user("looker", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_vote"))
    vote = factories.make_vote(open_arena)

    act(sign_in(looker), "vote", "quarantine", vote, reason="Because")

    assert not VoteRuling.objects.exists()


def test_a_data_set_is_exported_by_an_action(boss, staff, open_arena):
    factories.make_vote(open_arena)

    said = act(boss, "arena", "export_data_set", open_arena)

    assert "Data sets that are being written: 1." in said
    assert DataSet.objects.get().created_by == staff


def test_an_arena_without_votes_says_so(boss, open_arena):
    said = act(boss, "arena", "export_data_set", open_arena)

    assert "has no votes to export yet" in said
    assert not DataSet.objects.exists()


def test_a_training_run_is_started_on_the_arena_s_page(boss, open_arena):
    answer = boss.post(page("arena"), {"action": "start_training_run", "_selected_action": [open_arena.pk]})

    assert answer.url == reverse("training_runs", args=[open_arena.slug])


def test_a_training_run_is_of_one_arena(boss, open_arena, closed_arena):
    assert "Choose one arena" in act(boss, "arena", "start_training_run", open_arena, closed_arena)


def test_jobs_are_cancelled_and_tried_again(boss, open_arena):
    job = jobs.enqueue(kind="generate", title="Responses", arena=open_arena)

    assert "Jobs asked to end: 1." in act(boss, "job", "cancel", job)
    assert Job.objects.get().state == "cancelled"
    assert "Jobs queued again: 1." in act(boss, "job", "retry", job)
    assert Job.objects.get().state == "queued"
    assert "Only a failed, cancelled or given-up job" in act(boss, "job", "retry", job)


def test_a_job_shows_how_far_it_is(boss, open_arena):
    Job.objects.create(
        kind="generate", title="Responses", arena=open_arena, done=3, total=12, state="running"
    )

    assert '<progress max="100" value="25">25 %</progress> 3 of 12' in boss.get(page("job")).content.decode()


def test_contestants_are_retired_and_brought_back(boss, open_arena):
    one = open_arena.contestants.first()

    act(boss, "contestant", "retire", one)
    assert one not in Contestant.objects.active()
    act(boss, "contestant", "bring_back", one)
    assert one in Contestant.objects.active()


def test_a_new_contestant_is_checked_in_the_words_of_the_service(boss, open_arena):
    fields = {"arena": open_arena.pk, "name": "New", "backend": "openai", "weight": 1, "parameters": "{}"}
    before = Contestant.objects.count()

    answer = boss.post(
        page("contestant", "add"), fields | {"endpoint": "http://metadata.internal/v1", "endpoint_model": "m"}
    )

    assert "The host metadata.internal is not allowed." in answer.content.decode()
    assert Contestant.objects.count() == before
    boss.post(
        page("contestant", "add"), fields | {"endpoint": "http://127.0.0.1:1/v1", "endpoint_model": "m"}
    )
    assert Contestant.objects.get(name="New").parameters == {}


def test_what_made_the_responses_cannot_change_once_there_are_some(boss, open_arena):
    one = open_arena.contestants.first()

    boss.post(
        page("contestant", "change", one.pk),
        {"name": "Renamed", "weight": 2, "backend": "openai", "system_prompt": "Lie."},
    )

    one.refresh_from_db()
    assert (one.name, one.weight) == ("Renamed", 2)
    assert (one.backend, one.system_prompt) == ("uploaded", "")


def test_a_prompt_is_checked_and_fixed_once_it_was_answered(boss, open_arena):
    answer = boss.post(
        page("prompt", "add"),
        {"arena": open_arena.pk, "key": "new", "messages": "[]", "tags": "[]", "split": "train"},
    )
    assert "messages" in answer.content.decode()
    assert not Prompt.objects.filter(key="new").exists()

    answered = open_arena.prompts.first()
    boss.post(
        page("prompt", "change", answered.pk),
        {"messages": '[{"role": "user", "content": "Other?"}]', "tags": '["t"]', "split": "held_out"},
    )
    text, split = answered.text, answered.split
    answered.refresh_from_db()
    assert (answered.text, answered.split, answered.tags) == (text, split, ["t"])


def test_what_a_model_wrote_is_shown_as_text(boss, open_arena):
    response = Response.objects.first()
    hostile = factories.make_response(
        factories.make_prompt(open_arena), response.contestant, "<script>alert(1)</script>"
    )

    answer = boss.get(page("response", "change", hostile.pk)).content.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer
    assert "<script>alert" not in answer


def test_data_sets_are_checked_against_their_checksums(boss, lived_in):
    data_set = DataSet.objects.get()

    assert "Data sets that are as they were written: 1." in act(boss, "dataset", "verify", data_set)


def test_rulings_leave_an_entry_in_the_audit(boss, staff, open_arena):
    act(boss, "vote", "quarantine", factories.make_vote(open_arena), reason="A machine voted")

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == (staff, "vote quarantined")
