import io
import json
import zipfile

import pytest

from arena.models import DataSet, Job, TrainingRun
from arena.services import jobs
from arena.services.data_sets import request_data_set, write_data_set
from arena.services.training import end_training, request_training
from tests import factories

pytestmark = pytest.mark.django_db

LISTS = ["data-sets/", "training-runs/", "jobs/"]


@pytest.fixture
def voted(open_arena):
    prompt = open_arena.prompts.first()
    for _ in range(12):
        factories.make_vote(open_arena, [1, 2, 3, 4], prompt=prompt)
    return open_arena


@pytest.fixture
def data_set(voted):
    return write_data_set(request_data_set(arena=voted))


@pytest.fixture
def base(voted, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return factories.make_contestant(voted, "Base", backend="transformers", checkpoint=str(tmp_path))


@pytest.fixture
def job(voted):
    return jobs.enqueue(kind="generate", title="Generate", arena=voted, unique_key="generate:1")


# Rights


def addresses(data_set, job):
    return [
        *LISTS,
        f"data-sets/{data_set.pk}/",
        f"data-sets/{data_set.pk}/download/",
        "training-runs/1/",
        "training-runs/1/metrics/",
        f"jobs/{job.pk}/",
        f"jobs/{job.pk}/cancel/",
        f"jobs/{job.pk}/retry/",
    ]


def test_who_is_not_signed_in_is_asked_to(anonymous, data_set, job):
    for address in addresses(data_set, job):
        for method in (anonymous.get, anonymous.post):
            answer = method(f"/api/v1/{address}", format="json")
            assert answer.status_code in (401, 405), address
            assert list(answer.json()) == ["error"]

    assert Job.objects.filter(state="cancelled").count() == 0


@pytest.mark.parametrize("who", ["ada", "mallory"])
def test_to_who_does_not_lead_these_do_not_exist(api, request, data_set, job, who):
    client = api(request.getfixturevalue(who))

    for address in LISTS:
        assert client.get(f"/api/v1/{address}").json()["results"] == []
    for address in addresses(data_set, job)[3:]:
        answers = {
            client.get(f"/api/v1/{address}").status_code,
            client.post(f"/api/v1/{address}").status_code,
        }
        assert answers == {404, 405}, address
    assert client.post("/api/v1/data-sets/", {"arena": "garden"}, format="json").status_code == 403
    job.refresh_from_db()
    assert job.state == "queued"
    assert DataSet.objects.count() == 1


def test_a_lead_of_another_arena_sees_none_of_it(api, mallory, data_set, base, job):
    factories.make_member(factories.make_arena("own"), mallory, "owner")
    client = api(mallory)

    assert client.get("/api/v1/jobs/").json()["results"] == []
    body = {"base": base.pk, "data_set": data_set.pk}
    assert client.post("/api/v1/training-runs/", body, format="json").status_code == 404
    assert client.post(f"/api/v1/jobs/{job.pk}/cancel/").status_code == 404
    assert not TrainingRun.objects.exists()


def test_jobs_of_no_arena_are_for_staff(api, grace, staff):
    job = jobs.enqueue(kind="demo_models", title="Build")

    assert api(grace).get(f"/api/v1/jobs/{job.pk}/").status_code == 404
    assert api(staff).get(f"/api/v1/jobs/{job.pk}/").status_code == 200


@pytest.mark.parametrize("address", LISTS)
@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_lists_are_read_and_added_to(api, grace, address, method):
    assert getattr(api(grace), method)(f"/api/v1/{address}").status_code == 405


# Data sets


def test_a_lead_exports_a_data_set(api, grace, voted):
    answer = api(grace).post("/api/v1/data-sets/", {"arena": "garden", "formats": ["kwise"]}, format="json")

    assert answer.status_code == 201
    told = answer.json()
    assert (told["arena"], told["number"], told["formats"]) == ("garden", 1, ["kwise"])
    assert told["job"]["state"] == "queued"
    assert DataSet.objects.get().created_by == grace
    assert api(grace).get(f"/api/v1/data-sets/{told['id']}/").json() == told


def test_a_lead_downloads_a_data_set_as_a_zip(api, grace, data_set):
    answer = api(grace).get(
        f"/api/v1/data-sets/{data_set.pk}/download/", headers={"Accept": "application/zip"}
    )

    assert answer["Content-Type"] == "application/zip"
    names = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))).namelist()
    assert {name.split("/", 1)[1] for name in names} >= {*data_set.manifest["files"], "README.md"}


def test_a_data_set_that_is_not_written_is_not_downloaded(api, grace, voted):
    unwritten = request_data_set(arena=voted)

    answer = api(grace).get(f"/api/v1/data-sets/{unwritten.pk}/download/")

    assert answer.status_code == 400
    assert "not written yet" in answer.json()["error"]


def test_asking_twice_makes_two_numbered_data_sets(api, grace, voted):
    numbers = [
        api(grace).post("/api/v1/data-sets/", {"arena": "garden"}, format="json").json()["number"]
        for _ in range(2)
    ]

    assert numbers == [1, 2]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"arena": "garden", "formats": ["excel"]}, 400),
        ({"arena": "garden", "formats": []}, 400),
        ({"arena": "garden", "formats": "kwise"}, 400),
        ({"arena": "cellar"}, 400),  # no votes there
        ({"arena": "nowhere"}, 404),
        ([], 400),
    ],
)
def test_an_export_that_cannot_be_is_explained(api, grace, voted, body, status):
    answer = api(grace).post("/api/v1/data-sets/", body, format="json")

    assert answer.status_code == status
    assert len(answer.json()["error"]) > 20
    assert not DataSet.objects.exists()
    assert not Job.objects.exists()


# Training runs


def test_a_lead_starts_a_training_run(api, grace, base, data_set):
    body = {"base": base.pk, "data_set": data_set.pk, "name": "Better", "parameters": {"epochs": 1}}

    answer = api(grace).post("/api/v1/training-runs/", body, format="json")

    assert answer.status_code == 201, answer.json()
    told = answer.json()
    assert (told["name"], told["base"], told["result"]) == ("Better", "Base", None)
    assert told["job"]["kind"] == "train"
    run = TrainingRun.objects.get()
    run.metrics.create(step=1, values={"loss": 0.7})
    assert api(grace).get(f"/api/v1/training-runs/{run.pk}/").json() == told
    assert api(grace).get(f"/api/v1/training-runs/{run.pk}/metrics/").json() == [
        {"step": 1, "values": {"loss": 0.7}}
    ]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"base": 10**6}, 404),
        ({"data_set": 10**6}, 404),
        ({"base": "Base"}, 400),
        ({"name": ""}, 400),
        ({"parameters": [1]}, 400),
        ({"parameters": {"epochs": "many"}}, 400),
        ({"parameters": {"speed": 9}}, 400),
    ],
)
def test_a_run_that_cannot_be_is_explained(api, grace, base, data_set, change, status):
    body = {"base": base.pk, "data_set": data_set.pk, **change}

    answer = api(grace).post("/api/v1/training-runs/", body, format="json")

    assert answer.status_code == status
    assert len(answer.json()["error"]) > 10
    assert not TrainingRun.objects.exists()


def test_a_plan_tells_data_costs_and_settings_and_starts_nothing(api, grace, base, data_set):
    body = {"base": base.pk, "data_set": data_set.pk, "parameters": {"epochs": 3}}

    answer = api(grace).post("/api/v1/training-runs/plan/", body, format="json")

    assert answer.status_code == 200, answer.json()
    told = answer.json()
    assert told["votes"]["informative"] == 12
    assert told["steps"] == 9  # three epochs of three steps of four
    suggested = {one["name"]: one["value"] for one in told["suggestions"]}
    assert (suggested["objective"], suggested["batch_size"]) == ("adpo-list", 4)
    assert all(one["reason"] for one in told["suggestions"])
    assert told["memory"] == 0  # nothing can be read of this checkpoint
    assert not TrainingRun.objects.exists()


def test_a_plan_is_for_leads(api, anonymous, mallory, base, data_set):
    body = {"base": base.pk, "data_set": data_set.pk}
    address = "/api/v1/training-runs/plan/"

    assert anonymous.post(address, body, format="json").status_code == 401
    assert api(mallory).post(address, body, format="json").status_code == 404
    assert api(mallory).get(address).status_code == 405
    assert anonymous.get("/api/v1/training-runs/compare/").status_code == 401


@pytest.mark.parametrize(
    ("change", "status"),
    [({"base": 10**6}, 404), ({"data_set": "x"}, 400), ({"parameters": {"speed": 9}}, 400)],
)
def test_a_plan_that_cannot_be_is_explained(api, grace, base, data_set, change, status):
    body = {"base": base.pk, "data_set": data_set.pk, **change}

    answer = api(grace).post("/api/v1/training-runs/plan/", body, format="json")

    assert answer.status_code == status
    assert len(answer.json()["error"]) > 10


def test_runs_are_compared_by_what_differs(api, grace, mallory, base, data_set):
    runs = [
        request_training(
            base=base, data_set=data_set, name=name, objective="dpo", parameters={"beta": beta, "epochs": 2}
        )
        for name, beta in (("Near", 0.3), ("Far", 0.1))
    ]
    TrainingRun.objects.filter(pk=runs[0].pk).update(
        summary={"after": {"accuracy": 0.7, "accuracy_se": 0.05}}
    )
    address = f"/api/v1/training-runs/compare/?run={runs[0].pk}&run={runs[1].pk}&run=999&run=x"

    told = api(grace).get(address).json()

    assert told["runs"] == [run.pk for run in runs]
    beta = {"part": "settings", "name": "beta", "values": [0.3, 0.1], "intervals": []}
    assert told["differences"] == [beta]
    (accuracy,) = told["results"]
    assert (accuracy["part"], accuracy["name"], accuracy["values"]) == ("after", "accuracy", [0.7, None])
    assert accuracy["intervals"] == [[pytest.approx(0.602, abs=1e-3), pytest.approx(0.798, abs=1e-3)], None]
    assert api(mallory).get(address).json()["runs"] == []  # no business there


def test_training_before_the_data_are_written_is_refused(api, grace, base, voted):
    body = {"base": base.pk, "data_set": request_data_set(arena=voted).pk}

    answer = api(grace).post("/api/v1/training-runs/", body, format="json")

    assert answer.status_code == 400
    assert "not written yet" in answer.json()["error"]


# Jobs


def test_a_job_is_cancelled_and_tried_again(api, grace, job):
    client = api(grace)

    assert client.post(f"/api/v1/jobs/{job.pk}/cancel/").json()["state"] == "cancelled"
    assert client.post(f"/api/v1/jobs/{job.pk}/retry/").json()["state"] == "queued"

    refused = client.post(f"/api/v1/jobs/{job.pk}/retry/")
    assert refused.status_code == 400
    assert "tried again" in refused.json()["error"]


def test_lists_come_in_pages_newest_first_and_by_arena(api, grace, voted, closed_arena):
    for number in range(5):
        jobs.enqueue(kind="generate", title=f"{number}", arena=closed_arena)
    jobs.enqueue(kind="generate", title="elsewhere", arena=voted)
    client = api(grace)

    first = client.get("/api/v1/jobs/?arena=cellar&page_size=3").json()
    second = client.get(first["next"]).json()

    titles = [job["title"] for job in first["results"] + second["results"]]
    assert titles == ["4", "3", "2", "1", "0"]
    assert second["next"] is None


@pytest.mark.parametrize("address", LISTS)
def test_a_longer_list_needs_no_more_queries(
    api, grace, data_set, base, address, django_assert_max_num_queries
):
    client = api(grace)
    for _ in range(6):
        request_data_set(arena=data_set.arena)
        run = TrainingRun.objects.create(arena=base.arena, base=base, data_set=data_set, name="x")
        run.job = jobs.enqueue(kind="train", title="Train", arena=base.arena)
        run.save()

    with django_assert_max_num_queries(4):
        assert len(client.get(f"/api/v1/{address}").json()["results"]) >= 6


def test_a_reward_model_chooses_of_a_data_set(api, grace, mallory, base, data_set):
    run = request_training(base=base, data_set=data_set, objective="reward-bradley-terry")
    address = f"/api/v1/data-sets/{data_set.pk}/curate/"
    body = {"reward_model": run.pk, "keep": "best-of-n"}
    early = api(grace).post(address, body, format="json")
    assert (early.status_code, "no finished reward model" in early.json()["error"]) == (400, True)
    end_training(run, summary={}, manifest={})

    chosen = api(grace).post(address, body, format="json")

    assert chosen.status_code == 201
    assert chosen.json()["number"] == data_set.number + 1
    assert api(grace).post(address, {**body, "keep": "all"}, format="json").status_code == 400
    assert api(mallory).post(address, body, format="json").status_code == 404
