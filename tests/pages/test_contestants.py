"""Manage → Contestants: what leads add and change, what they may not name, and what never comes back."""

import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from arena.models import AuditEntry, Contestant, Job
from arena.services.contestants import key_of
from arena.services.lineage import withdrawn_since
from tests import factories

KEY = "sk-a-very-secret-key"
SAID_OF_FOLDERS = "is not a folder that leads may name"


class Caller(APIClient):
    """A client of the API with somebody's rights."""

    def __init__(self, user: User) -> None:
        super().__init__()
        self.user = user
        self.force_authenticate(user)


@pytest.fixture
def grace_token(grace) -> Caller:
    return Caller(grace)


@pytest.fixture
def mallory_token(mallory) -> Caller:
    return Caller(mallory)


@pytest.fixture
def boss_token(staff) -> Caller:
    return Caller(staff)


@pytest.fixture
def models(settings, tmp_path) -> Path:
    """The folder of models: one checkpoint and one adapter. Beside it lies what is nobody's business."""
    settings.MODELS_DIR = tmp_path / "models"
    write_checkpoint(tmp_path / "models" / "small")
    write_checkpoint(tmp_path / "private")
    adapter = tmp_path / "models" / "adapters" / "kind"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    return tmp_path / "models"


def write_checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def pages(here) -> str:
    return f"{here}manage/contestants/"


def test_a_lead_adds_a_checkpoint_with_an_adapter(grace_in, grace, models, pages, open_arena):
    form = grace_in.get(f"{pages}add/transformers/").content.decode()
    assert f'value="{models}/small"' in form
    assert f'value="{models}/adapters/kind"' in form
    assert "private" not in form

    answer = grace_in.post(
        f"{pages}add/transformers/",
        {
            "name": "Small and kind",
            "weight": "1",
            "checkpoint": f"{models}/small",
            "adapter": f"{models}/adapters/kind",
            "temperature": "0.7",
            "parameters": '{"top_k": 40}',
            "capabilities": '{"languages": ["en"]}',
        },
    )

    one = Contestant.objects.get(name="Small and kind")
    assert answer["Location"] == f"{pages}{one.pk}/"
    assert (one.backend, one.adapter) == ("transformers", f"{models}/adapters/kind")
    assert one.parameters == {"top_k": 40, "temperature": 0.7}
    assert one.capabilities == {"languages": ["en"]}
    entry = AuditEntry.objects.get(action="contestant added")
    assert (entry.actor, entry.target) == (grace, f"contestant {one.pk}")
    assert "Small and kind" in grace_in.get(pages).content.decode()


@pytest.mark.parametrize(
    "named",
    [
        "{models}/../private",
        "{models}/small/",
        "{models}",
        "{private}",
        "/etc",
        "~/models/x",
        "../private",
        "",
    ],
)
def test_a_lead_names_no_folder_but_those_of_the_list(grace_token, models, open_arena, named):
    named = named.format(models=models, private=models.parent / "private")

    for field in ("checkpoint", "adapter"):
        body = {"name": "Spy", "backend": "transformers", "checkpoint": f"{models}/small", field: named}
        if not named and field == "adapter":
            continue  # none is no wrong one
        answer = grace_token.post("/api/v1/arenas/garden/contestants/", body, format="json")
        assert answer.status_code == 400
        assert SAID_OF_FOLDERS in answer.json()["error"] or not named

    assert not Contestant.objects.filter(name="Spy").exists()


def test_what_lies_elsewhere_is_told_as_what_is_not_there(grace_token, models):
    said = set()
    for name in ("private", "nothing"):
        body = {"name": "Spy", "backend": "transformers", "checkpoint": f"{models.parent}/{name}"}
        answer = grace_token.post("/api/v1/arenas/garden/contestants/", body, format="json")
        said.add(answer.json()["error"].replace(name, "X"))

    assert len(said) == 1


def test_staff_name_any_folder(boss_token, models, open_arena):
    body = {"name": "Theirs", "backend": "transformers", "checkpoint": f"{models.parent}/private"}

    assert boss_token.post("/api/v1/arenas/garden/contestants/", body, format="json").status_code == 201


@pytest.mark.parametrize(
    ("listed", "name", "allowed"),
    [
        ([], "tiny/model", False),
        (["tiny/model"], "tiny/model", True),
        (["tiny/*"], "tiny/other", True),
        (["tiny/*"], "huge/other", False),
        (["*"], "huge/other", True),
    ],
)
def test_models_of_the_hub_are_those_of_the_setting(grace_in, models, pages, settings, listed, name, allowed):
    settings.HUB_MODELS = listed

    answer = grace_in.post(f"{pages}add/transformers/", {"name": "Fetched", "weight": "1", "hub_name": name})

    assert Contestant.objects.filter(name="Fetched", checkpoint=name).exists() == allowed
    if not allowed:
        assert answer.status_code == 400
        assert "ARENA_HUB_MODELS" in answer.content.decode()
        assert 'value="Fetched"' in answer.content.decode()  # nothing typed is lost


def test_a_folder_that_is_called_like_a_model_of_the_hub_is_not_opened(
    grace_token, models, settings, monkeypatch
):
    settings.HUB_MODELS = ["*"]
    monkeypatch.chdir(models.parent)
    write_checkpoint(models.parent / "near" / "by")
    body = {"name": "Spy", "backend": "transformers", "checkpoint": "near/by"}

    answer = grace_token.post("/api/v1/arenas/garden/contestants/", body, format="json")

    assert answer.status_code == 400
    assert SAID_OF_FOLDERS in answer.json()["error"]


def test_a_lead_adds_an_endpoint_whose_key_never_comes_back(grace_in, grace_token, pages, open_arena):
    grace_in.post(
        f"{pages}add/openai/",
        {
            "name": "Served",
            "weight": "1",
            "endpoint": "http://127.0.0.1:8001/v1/",
            "endpoint_model": "served",
            "key": KEY,
            "tokens": "5000",
        },
    )

    one = Contestant.objects.get(name="Served")
    assert key_of(one, {}) == KEY
    assert (one.endpoint, one.budget) == ("http://127.0.0.1:8001/v1", {"tokens": 5000})
    edit = grace_in.get(f"{pages}{one.pk}/").content.decode()
    assert "A key is kept" in edit
    told = grace_token.get(f"/api/v1/contestants/{one.pk}/").json()
    assert told["has_key"] is True
    everything = edit + json.dumps(told) + str(list(AuditEntry.objects.values_list("details", flat=True)))
    assert KEY not in everything
    assert one.endpoint_key_sealed not in everything


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://169.254.169.254/latest", "is not allowed"),
        ("http://db.internal:8000/v1", "is not allowed"),
        ("ftp://127.0.0.1/v1", "it must be an address"),
        ("http://ada:pw@127.0.0.1:8001/v1", "must not hold a name"),
    ],
)
def test_an_endpoint_is_where_the_settings_allow(grace_in, pages, address, sentence):
    for backend in ("openai", "custom"):
        answer = grace_in.post(
            f"{pages}add/{backend}/",
            {"name": "Out", "weight": "1", "endpoint": address, "endpoint_model": "m", "key": KEY},
        )
        assert answer.status_code == 400
        assert sentence in answer.content.decode()
        assert KEY not in answer.content.decode()

    assert not Contestant.objects.filter(name="Out").exists()


def test_a_new_address_is_never_sent_the_old_ones_key(grace_token, open_arena):
    one = factories.make_contestant(
        open_arena,
        "Served",
        backend="openai",
        endpoint="http://127.0.0.1:8001/v1",
        endpoint_model="m",
        endpoint_key_variable="VENDOR_KEY",
        endpoint_key_sealed="sealed",
    )
    other = {"endpoint": "http://localhost:9001/v1"}

    answer = grace_token.patch(f"/api/v1/contestants/{one.pk}/", other, format="json")

    assert answer.status_code == 200
    one.refresh_from_db()
    assert one.endpoint == "http://localhost:9001/v1"
    assert (one.endpoint_key_sealed, one.endpoint_key_variable) == ("", "")
    assert answer.json()["has_key"] is False


def test_a_variable_of_a_worker_is_named_by_no_lead(grace_token, open_arena):
    body = {
        "name": "Spy",
        "backend": "openai",
        "endpoint": "http://127.0.0.1:8001/v1",
        "endpoint_model": "m",
        "endpoint_key_variable": "SECRET",
    }
    made = grace_token.post("/api/v1/arenas/garden/contestants/", body, format="json").json()

    assert Contestant.objects.get(pk=made["id"]).endpoint_key_variable == ""
    answer = grace_token.patch(
        f"/api/v1/contestants/{made['id']}/", {"endpoint_key_variable": "SECRET"}, format="json"
    )
    assert answer.status_code == 400
    assert "There is no field" in answer.json()["error"]


def test_a_kept_key_stays_when_the_form_leaves_it_empty_and_goes_when_asked(grace_in, pages, open_arena):
    form = {"name": "Served", "weight": "1", "endpoint": "http://127.0.0.1:8001/v1", "endpoint_model": "m"}
    grace_in.post(f"{pages}add/openai/", {**form, "key": KEY})
    one = Contestant.objects.get(name="Served")

    grace_in.post(f"{pages}{one.pk}/", {**form, "name": "Served well"})
    one.refresh_from_db()
    assert (one.name, key_of(one, {})) == ("Served well", KEY)

    grace_in.post(f"{pages}{one.pk}/", {**form, "forget_key": "on"})
    one.refresh_from_db()
    assert key_of(one, {}) == ""
    assert AuditEntry.objects.filter(action="contestant changed", details__fields=["name", "key"]).exists()


def test_what_made_the_responses_does_not_change_any_more(grace_in, grace_token, pages, open_arena):
    one = open_arena.contestants.first()
    Contestant.objects.filter(pk=one.pk).update(
        backend="openai", endpoint="http://127.0.0.1:8001/v1", endpoint_model="m"
    )
    shown = grace_in.get(f"{pages}{one.pk}/").content.decode()
    assert 'name="endpoint"' not in shown
    assert 'name="weight"' in shown

    answer = grace_token.patch(
        f"/api/v1/contestants/{one.pk}/", {"endpoint_model": "other", "weight": 0}, format="json"
    )

    assert answer.status_code == 400
    assert "has responses already, so endpoint_model cannot change" in answer.json()["error"]
    one.refresh_from_db()
    assert (one.endpoint_model, one.weight) == ("m", 1.0)
    grace_in.post(f"{pages}{one.pk}/", {"name": one.name, "weight": "0"})
    one.refresh_from_db()
    assert one.weight == 0


def test_another_sampling_of_trained_weights_keeps_their_line_of_descent(grace_in, models, pages, open_arena):
    base = open_arena.contestants.first()
    tuned = factories.make_contestant(
        open_arena, "Tuned", backend="transformers", checkpoint=f"{models}/small", parent=base
    )

    grace_in.post(
        f"{pages}add/transformers/",
        {"name": "Tuned, warm", "weight": "1", "checkpoint": f"{models}/small", "temperature": "1.4"},
    )

    warm = Contestant.objects.get(name="Tuned, warm")
    assert warm.parent == tuned
    assert withdrawn_since(warm) == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"parameters": "[1]"}, "This is no JSON object"),
        ({"parameters": '{"top_q": 1}'}, "Did you mean"),
        ({"capabilities": "{"}, "This is no JSON object"),
        ({"temperature": "9"}, "temperature is 9.0; it must be a number from 0 to 5"),
        ({"name": ""}, "This field is required"),
        ({"money": "5"}, "needs price_in and price_out"),
    ],
)
def test_a_wrong_field_is_named_and_the_rest_is_kept(grace_in, pages, change, sentence):
    form = {
        "name": "Mine",
        "weight": "1",
        "endpoint": "http://127.0.0.1:8001/v1",
        "endpoint_model": "model-x",
    }

    answer = grace_in.post(f"{pages}add/openai/", {**form, **change})

    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert 'value="model-x"' in answer.content.decode()
    assert not Contestant.objects.filter(endpoint_model="model-x").exists()


def test_trying_out_is_a_job_whose_sentences_are_on_the_page(grace_in, pages, open_arena):
    one = factories.make_contestant(open_arena, "Served", backend="custom", endpoint="http://127.0.0.1:8001")
    grace_in.post(f"{pages}{one.pk}/check/")
    grace_in.post(f"{pages}{one.pk}/check/")

    job = Job.objects.get(kind="check")  # asked twice, done once
    assert "hx-get" in grace_in.get(f"{pages}{one.pk}/").content.decode()
    checks = [
        {"what": "It can be opened", "ok": True, "said": ""},
        {"what": "It answers", "ok": False, "said": "Nobody answers <there>."},
    ]
    Job.objects.filter(pk=job.pk).update(state="done", result={"checks": checks, "bad": 1})
    shown = grace_in.get(f"{pages}{one.pk}/").content.decode()
    assert "Nobody answers &lt;there&gt;." in shown
    assert "1 check is not passed." in shown
    assert "hx-get" not in shown


def test_uploaded_ones_have_nothing_to_try_out(grace_in, pages, open_arena):
    one = open_arena.contestants.first()

    assert "import them" in grace_in.get(f"{pages}{one.pk}/").content.decode()
    said = grace_in.post(f"{pages}{one.pk}/check/", follow=True).content.decode()
    assert "there is nothing to ask" in said
    assert not Job.objects.filter(kind="check").exists()


def test_over_rest_a_contestant_is_retired_and_brought_back_on_the_record(grace_token, grace, open_arena):
    one = open_arena.contestants.first()

    for retired in (True, True, False):
        answer = grace_token.patch(f"/api/v1/contestants/{one.pk}/", {"retired": retired}, format="json")
        assert answer.json()["retired"] is retired

    told = AuditEntry.objects.filter(target=f"contestant {one.pk}").order_by("pk")
    assert list(told.values_list("action", flat=True)) == ["contestant retired", "contestant brought back"]


def test_who_leads_another_arena_does_not_reach_this_one_s(mallory_token, open_arena):
    mine = factories.make_pool("hers")
    factories.make_member(mine, mallory_token.user, "lead")
    one = open_arena.contestants.first()

    for answer in (
        mallory_token.patch(f"/api/v1/contestants/{one.pk}/", {"name": "Taken"}, format="json"),
        mallory_token.post(f"/api/v1/contestants/{one.pk}/check/"),
        mallory_token.get(f"/api/v1/contestants/{one.pk}/"),
    ):
        assert answer.status_code == 404
    body = {"name": "Spy", "backend": "uploaded"}
    assert mallory_token.post("/api/v1/arenas/garden/contestants/", body, format="json").status_code == 403
