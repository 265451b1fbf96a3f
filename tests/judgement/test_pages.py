"""The form as a plain page: everything in one POST, and nothing lost where it is refused."""

import re

import pytest
from django.test import Client
from django.utils.datastructures import MultiValueDict

from annotation.ballot_form import answer_in, details_in, fields_of
from arena.models import Arena, Battle, Contestant, Draft, Report, Response, Vote
from arena.services.battles import blind_view, start_battle
from arena.services.guidelines import revise
from arena.services.judgement import Criterion, Judgement
from tests import factories
from tests.judgement.conftest import EVERYTHING, TEXT, complete, opened

HTMX = {"HX-Request": "true"}


def cast(client: Client, hidden: dict[str, str], fields: dict, **options):
    return client.post("/arenas/study/vote/", {**hidden, **fields}, **options)


def test_everything_that_is_asked_is_one_vote(client, study):
    _, hidden, tokens = opened(client)

    answer = cast(client, hidden, complete(tokens), follow=True)

    assert answer.status_code == 200
    vote = Vote.objects.get()
    assert (vote.kind, vote.ranks) == ("ranking", [2, 1, 3])
    made = vote.details["rewrite"].pop("response")
    assert vote.details == {
        "schema": 1,
        "guidelines": 1,
        "criteria": {
            "helpful": {"ranks": [1, 1, 3]},
            "progress": {"ranks": [3, 2, 1], "scores": [0, 50, 100]},
            "truth": {"ranks": [None, None, 1]},
        },
        "confidence": 3,
        "reason": {"tags": ["Clearer"], "text": "B says it in the fewest words."},
        "spans": [
            {"slot": 0, "start": 11, "end": 19, "label": "good"},
            {"slot": 1, "start": 0, "end": 22, "label": "bad"},
        ],
        "parts": [{"slot": 0, "part": 1, "start": 53, "end": 73, "label": "good"}],
        "rewrite": {"slot": 1, "text": "The sky is blue, since air scatters blue light."},
    }
    rewrite = Response.objects.get(pk=made)
    assert rewrite.made_by["author"] == "person"
    assert rewrite.contestant.weight == 0  # kept, but not drawn for battles


def test_nothing_is_chosen_beforehand(client, study):
    page = client.get("/arenas/study/").content.decode()

    checked = re.findall(r'<input type="(?:radio|checkbox)"[^>]* checked', page.split("<dialog")[0])
    assert all('value=""' in one for one in checked)  # "Not marked" is the only thing that is on
    assert 'name="confidence"' in page
    assert not re.search(r'type="number"[^>]* value="\d', page)


@pytest.mark.parametrize(
    ("left_out", "says"),
    [
        ("c-truth", "“Truthful” is not judged yet."),
        ("confidence", "Say how sure you are."),
        ("reason", "Say why in at least 10 characters; there are 0 so far."),
    ],
)
def test_what_is_missing_is_said_and_the_rest_comes_back_as_it_was(client, study, left_out, says):
    _, hidden, tokens = opened(client)
    fields = complete(tokens)
    del fields[left_out]

    answer = cast(client, hidden, fields)

    page = answer.content.decode()
    assert answer.status_code == 400
    assert says in page
    assert hidden["idempotency_key"] in page
    for name, value in fields.items():
        if name in ("answer", left_out):
            continue
        text = value[0] if isinstance(value, list) else value
        kept = re.search(rf'name="{re.escape(name)}"[^>]*value="{re.escape(text)}"', page)
        assert kept or f">{text}</textarea>" in page, name
    assert page.count(" checked") >= 10
    assert not Vote.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"mark": "nonsense"},
        {"mark": "other:good:1:2"},
        {"shown-mark": "TOKEN:good:0:5:Words that are not there"},
        {"c-progress-TOKEN": "many"},
        {"c-progress-TOKEN": "٣"},
        {"c-truth": "elsewhere"},
        {"rewrite_of": "elsewhere"},
        {"tag": "Prettier"},
    ],
)
def test_hostile_fields_are_refused_with_a_sentence(client, study, fields):
    _, hidden, tokens = opened(client)
    fields = {
        name.replace("TOKEN", tokens[0]): text.replace("TOKEN", tokens[0]) for name, text in fields.items()
    }

    answer = cast(client, hidden, {**complete(tokens), **fields}, headers=HTMX)

    assert answer.status_code == 400
    assert re.search(r'<p class="note bad">[^<]+[.]', answer.content.decode())
    assert not Vote.objects.exists()


def test_a_mark_on_what_is_shown_is_stored_as_a_place_in_the_source(client, study):
    _, hidden, tokens = opened(client)
    shown = "The sky is blue 🌍. That is due to scattering."
    start = shown.index("scattering")
    mark = f"{tokens[2]}:bad:{start}:{start + 10}:scattering"

    cast(client, hidden, {**complete(tokens), "shown-mark": mark})

    span = Vote.objects.get().details["spans"][-1]
    assert TEXT[span["start"] : span["end"]] == "scattering"
    assert span["slot"] == 2


def test_all_bad_asks_for_no_criteria(client, study):
    _, hidden, _ = opened(client)

    cast(client, hidden, {"answer": "all_bad", "confidence": "2", "reason": "None of them answers it."})

    assert Vote.objects.get().kind == "all_bad"


def test_a_rewrite_is_previewed_without_voting(client, study):
    _, hidden, tokens = opened(client)

    answer = cast(
        client, hidden, {**complete(tokens), "answer": "preview", "rewrite": "So **blue** <script>."}
    )

    page = answer.content.decode()
    assert answer.status_code == 200
    assert "So <strong>blue</strong> &lt;script&gt;." in page
    assert "So **blue** &lt;script&gt;.</textarea>" in page
    assert not Vote.objects.exists()
    assert not Contestant.objects.filter(name="People's rewrites").exists()


def test_the_script_gets_the_preview_alone(client, study):
    battle, hidden, _ = opened(client)

    answer = client.post(f"/battles/{battle.pk}/preview/", {**hidden, "rewrite": "*So* blue"})

    assert answer.content.decode().strip() == "<p><em>So</em> blue</p>"


def test_two_rewrites_are_two_responses_of_one_contestant(client, study):
    for _ in range(2):
        _, hidden, tokens = opened(client)
        cast(client, hidden, complete(tokens))

    contestant = Contestant.objects.get(name="People's rewrites")
    assert contestant.responses.count() == 2
    revise(arena=study, by=None, form=Judgement(rewrite=True, rewrites_compete=True))
    contestant.refresh_from_db()
    assert contestant.weight == 1


def test_nobody_judges_what_they_wrote_themselves(client, asks):
    """Of three responses two were shown: with the rewrite there would be another battle."""
    arena = asks(Judgement(ask="best", rewrite=True, rewrites_compete=True), k=2)
    arena.prompts.exclude(pk=arena.prompts.first().pk).update(retired_at="2026-01-01T00:00Z")
    _, hidden, tokens = opened(client)
    cast(client, hidden, {"answer": "best", "pick": tokens[0], "rewrite": "Mine."})
    written = Response.objects.get(made_by__author="person")

    page = client.get("/arenas/study/").content.decode()

    assert "You have judged everything there is" in page
    draws = [start_battle(arena=arena, voter=factories.make_voter()) for _ in range(12)]
    assert any(battle.slots.filter(response=written).exists() for battle in draws)  # others do


def test_best_only_with_more_to_say_is_a_choice_and_then_submit(client, asks):
    asks(Judgement(ask="best", confidence="required"))
    _, hidden, tokens = opened(client)

    nothing = cast(client, hidden, {"answer": "best", "confidence": "1"})
    answer = cast(client, hidden, {"answer": "best", "pick": tokens[1], "confidence": "1"})

    assert "Choose the best response first." in nothing.content.decode()
    assert answer.status_code == 302
    assert Vote.objects.get().ranks == [None, 1, None]


def test_strength_is_seven_radio_buttons_and_none_is_pressed(client, asks):
    asks(Judgement(ask="strength"), k=2)
    _, hidden, _ = opened(client)
    page = client.get("/arenas/study/").content.decode()

    assert len(re.findall(r'name="strength" value="-?[0-3]">', page)) == 7
    nothing = cast(client, hidden, {"answer": "strength"})
    assert "Nothing is chosen yet." in nothing.content.decode()
    cast(client, hidden, {"answer": "strength", "strength": "-2"})
    vote = Vote.objects.get()
    assert (vote.ranks, vote.details["strength"]) == ([1, 2], 2)


def test_the_form_that_was_open_when_the_lead_changed_it_is_still_taken(client, study):
    _, hidden, tokens = opened(client)
    revise(arena=study, by=None, form=Judgement())

    answer = cast(client, hidden, complete(tokens))

    assert answer.status_code == 302
    assert Vote.objects.get().details["guidelines"] == 1


def test_the_answer_of_a_vote_gives_the_fields_that_make_it(client, study):
    battle, hidden, tokens = opened(client)
    cast(client, hidden, complete(tokens))
    vote = Vote.objects.get()
    form = MultiValueDict({**fields_of(vote, tokens), "answer": ["rank"]})
    blind = blind_view(battle)

    assert answer_in(form, blind, EVERYTHING) == {"ranks": vote.ranks}
    again = details_in(form, blind, EVERYTHING)
    assert again["spans"] == vote.details["spans"]
    assert again["confidence"] == vote.details["confidence"]
    assert again["criteria"]["progress"] == vote.details["criteria"]["progress"]["scores"]
    assert again["rewrite"]["text"] == vote.details["rewrite"]["text"]


@pytest.mark.parametrize("form", [EVERYTHING, Judgement(parts="preference", rewrite=True)])
def test_the_page_names_no_contestant(client, asks, form):
    arena = asks(form)
    page = client.get("/arenas/study/")

    for contestant in arena.contestants.all():
        assert contestant.name not in page.content.decode()


def test_scale_and_choice_criteria_have_a_field_for_each_response(client, asks):
    asks(
        Judgement(criteria=(Criterion("a", "Aim", kind="scale"), Criterion("b", "Build", kind="choice"))), k=2
    )
    page = client.get("/arenas/study/").content.decode()

    assert len(re.findall(r'type="number"', page)) == 2
    assert len(re.findall(r'name="c-b" value=', page)) == 3


# Drafts, reports


def test_a_draft_comes_back_after_a_reload_and_goes_with_the_vote(client, study):
    battle, hidden, tokens = opened(client)
    fields = complete(tokens)

    assert client.post(f"/battles/{battle.pk}/draft/", {**hidden, **fields}).status_code == 204
    page = client.get("/arenas/study/").content.decode()

    assert "B says it in the fewest words.</textarea>" in page
    assert page.count(" checked") >= 10
    assert "csrfmiddlewaretoken" not in Draft.objects.get().form
    cast(client, hidden, fields)
    assert not Draft.objects.exists()


def test_nobody_else_writes_or_reads_a_draft(client, study):
    battle, hidden, _tokens = opened(client)
    stranger = Client()
    stranger.get("/arenas/study/")

    assert stranger.post(f"/battles/{battle.pk}/draft/", {**hidden, "reason": "mine"}).status_code == 404
    assert Client().post(f"/battles/{battle.pk}/draft/", {"reason": "mine"}).status_code == 404
    assert client.get(f"/battles/{battle.pk}/draft/").status_code == 405
    assert not Draft.objects.exists()


def test_a_draft_of_an_ended_battle_or_too_large_is_refused(client, study):
    battle, hidden, tokens = opened(client)

    assert client.post(f"/battles/{battle.pk}/draft/", {"reason": "x" * 300_000}).status_code == 400
    cast(client, hidden, complete(tokens))
    assert client.post(f"/battles/{battle.pk}/draft/", {"reason": "late"}).status_code == 409
    assert not Draft.objects.exists()


def test_a_report_is_kept_and_the_battle_goes_on_as_it_was_filled_in(client, study):
    battle, hidden, tokens = opened(client)
    fields = {
        **complete(tokens),
        "report": tokens[1],
        f"r-{tokens[1]}": ["harmful"],
        f"rt-{tokens[1]}": "Look.",
    }

    answer = client.post(f"/battles/{battle.pk}/report/", {**hidden, **fields}, follow=True)

    report = Report.objects.get()
    assert (report.tags, report.text, report.slot.position) == (["harmful"], "Look.", 1)
    assert answer.redirect_chain[-1][0] == "/arenas/study/"
    assert "B says it in the fewest words.</textarea>" in answer.content.decode()
    assert Battle.objects.get(pk=battle.pk).closed_at is None


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 404),
        ({"report": "TOKEN"}, 400),
        ({"report": "TOKEN", "r-TOKEN": "boring"}, 400),
        ({"report": "TOKEN", "rt-TOKEN": "x" * 2001}, 400),
    ],
)
def test_a_report_that_says_nothing_is_refused(client, study, fields, status):
    battle, hidden, tokens = opened(client)
    fields = {
        name.replace("TOKEN", tokens[0]): text.replace("TOKEN", tokens[0]) for name, text in fields.items()
    }

    answer = client.post(f"/battles/{battle.pk}/report/", {**hidden, **fields}, headers=HTMX)

    assert answer.status_code == status
    assert not Report.objects.exists()


def test_a_report_goes_home_and_nowhere_else(client, study):
    battle, hidden, tokens = opened(client)
    fields = {"report": tokens[0], f"r-{tokens[0]}": "other", "home": "https://evil.example/"}

    assert client.post(f"/battles/{battle.pk}/report/", {**hidden, **fields})["Location"] == "/"


def test_an_arena_without_reports_takes_none(client, open_arena):
    battle, hidden, tokens = opened(client, "garden")
    fields = {"report": tokens[0], f"r-{tokens[0]}": "other"}

    assert client.post(f"/battles/{battle.pk}/report/", {**hidden, **fields}).status_code == 400
    assert "Report" not in client.get("/arenas/garden/").content.decode().split("<main")[1]


def test_page_that_asks_everything_costs_as_many_queries(client, study, django_assert_max_num_queries):
    client.get("/arenas/study/")

    with django_assert_max_num_queries(11):
        client.get("/arenas/study/")


def test_arena_of_another_is_not_answered_here(client, study):
    factories.make_pool("other")
    _, hidden, tokens = opened(client)

    assert client.post("/arenas/other/vote/", {**hidden, **complete(tokens)}).status_code == 404
    assert Arena.objects.count() == 2
