"""The lead's pages about asking: the form with its presets and preview, the survey, the reports."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from arena.models import Arena, AuditEntry, Battle, Draft, Report, Vote
from arena.services.judgement import judgement_of
from arena.services.surveys import survey_of
from tests import factories

PAGE = "/arenas/garden/manage/judgement/"


@pytest.fixture
def grace_in(sign_in, grace: User) -> Client:
    return sign_in(grace)


def fields_of(page: str) -> dict[str, str | list[str]]:
    """What a browser would send of the lead's form as it stands."""
    form = page.split('class="judgement-form"')[1].split("</form>")[0]
    form = re.sub("&(amp|#x27|quot);", lambda sign: {"amp": "&", "quot": '"'}.get(sign[1], "'"), form)
    found: dict[str, str | list[str]] = {}
    for tag in re.findall(r"<input[^>]+>", form):
        kind, name = re.search(r'type="(\w+)"', tag), re.search(r'name="([^"]+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name and (kind[1] not in ("checkbox", "radio") or " checked" in tag):
            found[name[1]] = value[1] if value else "on" if kind[1] == "checkbox" else ""
    for name, body in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', body)
        found[name] = (chosen or re.search(r'value="([^"]*)"', body))[1]
    for name, body in re.findall(r'<textarea name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        found[name] = body.strip()
    return found


def test_a_preset_fills_the_form_in_and_save_keeps_it(grace_in, open_arena):
    filled = grace_in.post(PAGE, {"act": "preset:hth", "guidelines": "Be fair."}).content.decode()
    assert "“Helpful, truthful, harmless” is filled in below. Nothing is saved yet." in filled
    assert not Arena.objects.get(pk=open_arena.pk).judgement

    answer = grace_in.post(PAGE, {**fields_of(filled), "act": "save"}, follow=True)

    assert "Votes from now on are under version 1." in answer.content.decode()
    arena = Arena.objects.get(pk=open_arena.pk)
    form = judgement_of(arena)
    assert [one.key for one in form.criteria] == ["helpful", "truthful", "harmless"]
    assert form.confidence == "required"
    assert arena.guidelines == "Be fair."
    assert AuditEntry.objects.filter(action="guidelines revised", actor__username="grace").exists()


def test_what_is_saved_is_what_the_form_shows_again(grace_in, open_arena):
    fields = {
        **fields_of(grace_in.get(PAGE).content.decode()),
        "act": "save",
        "ask": "best",
        "undo": "yes",
        "reason_need": "required",
        "reason_tags": "Clearer\n\nMore correct\n",
        "min_length": "12",
        "criteria-0-label": "Größe & Form",
        "criteria-0-kind": "scale",
        "criteria-0-weight": "0.5",
    }
    grace_in.post(PAGE, fields)
    form = judgement_of(Arena.objects.get(pk=open_arena.pk))

    assert (form.ask, form.undo, form.reason.tags) == ("best", True, ("Clearer", "More correct"))
    assert (form.criteria[0].label, form.criteria[0].kind, form.criteria[0].weight) == (
        "Größe & Form",
        "scale",
        0.5,
    )
    again = fields_of(grace_in.get(PAGE).content.decode())
    assert grace_in.post(PAGE, {**again, "act": "save"}).status_code == 302
    assert judgement_of(Arena.objects.get(pk=open_arena.pk)) == form
    assert open_arena.guideline_versions.count() == 1


def test_a_criterion_is_removed(grace_in, open_arena):
    filled = fields_of(grace_in.post(PAGE, {"act": "preset:alignment"}).content.decode())
    grace_in.post(PAGE, {**filled, "act": "save", "criteria-1-DELETE": "on"})

    assert [one.key for one in judgement_of(Arena.objects.get(pk=open_arena.pk)).criteria] == ["alignment"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ask": "strength"}, "this arena shows 4 a battle"),
        ({"ask": "dance"}, "Select a valid choice"),
        (
            {"criteria-0-label": "A", "criteria-0-key": "Big", "criteria-0-kind": "rank"},
            "The key of a criterion",
        ),
        ({"reason_need": "required", "reason_text": ""}, "Give one of them."),
        ({"min_length": "-1"}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_saved_is_said_and_nothing_typed_is_lost(grace_in, open_arena, change, says):
    fields = {
        **fields_of(grace_in.get(PAGE).content.decode()),
        "act": "save",
        "guidelines": "Half a text",
        **change,
    }

    answer = grace_in.post(PAGE, {name: value for name, value in fields.items() if value != ""})

    page = answer.content.decode()
    assert answer.status_code == 400
    assert says in page
    assert "Nothing was saved." in page
    assert "Half a text</textarea>" in page
    assert not open_arena.guideline_versions.exists()


def test_preview_shows_the_form_without_saving_it_and_takes_no_vote(grace_in, open_arena):
    fields = fields_of(grace_in.post(PAGE, {"act": "preset:progress"}).content.decode())

    page = grace_in.post(PAGE, {**fields, "act": "preview"}).content.decode()

    assert "A preview: try everything, nothing is kept." in page
    assert page.count('type="number"') == 4
    assert not open_arena.guideline_versions.exists()
    sent = grace_in.post(f"{PAGE}preview/", {"answer": "rank"}).content.decode()
    assert "This is a preview: your answer was not sent." in sent
    assert not Vote.objects.exists()
    assert not Battle.objects.exists()
    assert not Draft.objects.exists()


def test_preview_of_an_arena_without_responses_makes_some_up(grace_in, grace):
    arena = factories.make_arena("bare", k=3)
    factories.make_member(arena, grace, "lead")

    page = grace_in.get("/arenas/bare/manage/judgement/preview/").content.decode()

    assert page.count('class="card"') == 3
    assert "Why is the sky blue?" in page


def test_the_survey_is_set_up_and_its_counts_shown(grace_in, open_arena):
    path = "/arenas/garden/manage/survey/"
    page = grace_in.get(path).content.decode()
    total = re.search(r'name="questions-TOTAL_FORMS" value="(\d+)"', page)[1]
    fields = {
        "consent": "We keep **votes**.",
        "questions-TOTAL_FORMS": total,
        "questions-INITIAL_FORMS": "0",
        "questions-0-label": "How old are you?",
        "questions-0-kind": "one",
        "questions-0-choices": "under 30\n30 or more",
    }

    answer = grace_in.post(path, {**fields, "questions-1-kind": "one"}, follow=True)

    assert "This is version 1." in answer.content.decode()
    assert survey_of(open_arena).questions[0]["choices"] == ["under 30", "30 or more"]
    bad = grace_in.post(path, {**fields, "questions-0-choices": "one", "questions-1-kind": "one"})
    assert bad.status_code == 400
    assert "at least two different choices" in bad.content.decode()


def test_reports_are_seen_by_leads_and_settled(grace_in, open_arena, django_assert_max_num_queries):
    slot = factories.make_battle(open_arena).slots.first()
    report = Report.objects.create(
        slot=slot, voter=slot.battle.voter, tags=["harmful"], text="Look <b>here</b>."
    )

    page = grace_in.get("/arenas/garden/manage/reports/").content.decode()
    assert "Harmful or hateful" in page
    assert "Look &lt;b&gt;here&lt;/b&gt;." in page
    grace_in.post(f"/arenas/garden/manage/reports/{report.pk}/settle/")
    report.refresh_from_db()
    assert report.settled_by.username == "grace"
    for other in slot.battle.slots.exclude(pk=slot.pk):
        Report.objects.create(slot=other, voter=slot.battle.voter, tags=["broken"])
    with django_assert_max_num_queries(12):
        grace_in.get("/arenas/garden/manage/reports/")


def test_no_reports_is_a_sentence(grace_in, open_arena):
    assert "No reports" in grace_in.get("/arenas/garden/manage/reports/").content.decode()


@pytest.mark.parametrize("path", ["judgement/", "judgement/preview/", "survey/", "reports/"])
def test_the_pages_are_for_leads(sign_in, ada, mallory, open_arena, path):
    page = f"/arenas/garden/manage/{path}"

    assert Client().get(page).status_code == 401
    assert sign_in(mallory).get(page).status_code == 403
    assert sign_in(ada).get(page).status_code == 403
    if path != "reports/":
        assert sign_in(ada).post(page, {"act": "save"}).status_code == 403


def test_a_form_saved_unchanged_names_no_version(grace_in, open_arena):
    filled = grace_in.get(PAGE).content.decode()
    answer = grace_in.post(PAGE, {**fields_of(filled), "act": "save"}, follow=True).content.decode()
    assert "Nothing has changed, so there is no new version." in answer

    grace_in.post(PAGE, {**fields_of(filled), "guidelines": "Be fair.", "act": "save"})
    filled = grace_in.get(PAGE).content.decode()
    answer = grace_in.post(PAGE, {**fields_of(filled), "act": "save"}, follow=True).content.decode()
    assert "Nothing has changed, so there is no new version." in answer
    assert open_arena.guideline_versions.count() == 1
