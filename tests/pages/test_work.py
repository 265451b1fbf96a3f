"""Data sets, training runs and jobs as pages."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from arena.models import Arena, DataSet, Job, TrainingMetric, TrainingRun, Vote
from arena.services.data_sets import data_set_folder, write_data_set
from tests import factories

PARAMETERS = {
    "beta": "0.1",
    "learning_rate": "3e-4",
    "epochs": "2",
    "batch_size": "8",
    "sft_weight": "0.5",
    "seed": "0",
}


@pytest.fixture
def voted(open_arena: Arena) -> Arena:
    prompts = list(open_arena.prompts.all())
    for number in range(12):
        factories.make_vote(open_arena, [1, 2, 3, 4], prompt=prompts[number % len(prompts)])
    return open_arena


@pytest.fixture
def data_set(voted: Arena, grace_in) -> DataSet:
    """Data set 1, asked for on the page and written as its job would."""
    grace_in.post(f"/arenas/{voted.slug}/data-sets/", {"formats": ["kwise"]})
    return write_data_set(DataSet.objects.get())


@pytest.fixture
def base(voted: Arena, tmp_path: Path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return factories.make_contestant(voted, "Base", backend="transformers", checkpoint=str(folder))


@pytest.fixture
def run(voted, grace_in, data_set, base) -> TrainingRun:
    grace_in.post(
        f"/arenas/{voted.slug}/training-runs/",
        {
            "base": base.pk,
            "data_set": data_set.pk,
            "name": "Tuned",
            "objective": "plackett-luce",
            **PARAMETERS,
        },
    )
    return TrainingRun.objects.get()


def test_export_gives_the_data_set_its_number_at_once(grace_in, grace, voted):
    response = grace_in.post(f"/arenas/{voted.slug}/data-sets/", {"formats": ["kwise", "trl-preference"]})

    assert response["Location"] == f"/arenas/{voted.slug}/data-sets/1/"
    data_set = DataSet.objects.get()
    assert (data_set.number, data_set.formats, data_set.created_by) == (1, ["kwise", "trl-preference"], grace)
    page = grace_in.get(response["Location"]).content.decode()
    assert 'hx-trigger="every 1s, changed"' in page
    assert "Download zip" not in page


@pytest.mark.parametrize("formats", [[], ["papyrus"]])
def test_export_in_no_known_format_is_refused(grace_in, voted, formats):
    response = grace_in.post(f"/arenas/{voted.slug}/data-sets/", {"formats": formats})

    assert response.status_code == 400
    assert 'role="alert"' in response.content.decode()
    assert not DataSet.objects.exists()


def test_export_without_votes_is_refused(grace_in, open_arena):
    response = grace_in.post(f"/arenas/{open_arena.slug}/data-sets/", {"formats": ["kwise"]})

    assert response.status_code == 400
    assert "no votes to export yet" in response.content.decode()
    assert not Job.objects.exists()


def test_data_set_page_shows_the_card_and_checksums(grace_in, voted, data_set):
    page = grace_in.get(f"/arenas/{voted.slug}/data-sets/1/").content.decode()

    assert "Votes of people on the outputs of models" in page
    assert "configs:" not in page  # the card's YAML head is for machines
    for file in data_set.manifest["files"].values():
        assert file["sha256"] in page


def test_download_is_the_folder_byte_for_byte(grace_in, voted, data_set):
    response = grace_in.get(f"/arenas/{voted.slug}/data-sets/1/download/")

    archive = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))
    assert archive.testzip() is None
    folder = data_set_folder(data_set)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert set(archive.namelist()) == {f"garden-data-set-1/{name}" for name in names}
    for name in names:
        assert archive.read(f"garden-data-set-1/{name}") == (folder / name).read_bytes()


def test_download_of_a_changed_data_set_is_refused(grace_in, voted, data_set):
    name = next(iter(data_set.manifest["files"]))
    (data_set_folder(data_set) / name).write_bytes(b"tampered")

    response = grace_in.get(f"/arenas/{voted.slug}/data-sets/1/download/")

    assert response.status_code == 400
    assert "was changed" in response.content.decode()


def test_download_before_it_is_written_is_refused(grace_in, voted):
    grace_in.post(f"/arenas/{voted.slug}/data-sets/", {"formats": ["kwise"]})

    response = grace_in.get(f"/arenas/{voted.slug}/data-sets/1/download/")

    assert response.status_code == 400
    assert "not written yet" in response.content.decode()


@pytest.mark.parametrize("path", ["data-sets/1/", "data-sets/1/download/"])
def test_data_set_is_for_leads(client, ada_in, voted, data_set, path):
    assert client.get(f"/arenas/{voted.slug}/{path}").status_code == 401
    assert ada_in.get(f"/arenas/{voted.slug}/{path}").status_code == 403


def test_training_form_starts_a_run_with_its_settings(run, grace):
    assert (run.name, run.objective, run.created_by) == ("Tuned", "plackett-luce", grace)
    assert run.parameters == {
        "beta": 0.1, "learning_rate": 3e-4, "epochs": 2, "batch_size": 8, "sft_weight": 0.5, "seed": 0,
    }  # fmt: skip
    assert run.job.kind == Job.Kind.TRAIN


def test_training_form_can_be_filled_in_by_a_link(grace_in, voted, data_set, base):
    page = grace_in.get(
        f"/arenas/{voted.slug}/training-runs/?base={base.pk}&data_set={data_set.pk}"
    ).content.decode()

    assert f'<option value="{base.pk}" selected>' in page
    assert f'<option value="{data_set.pk}" selected>' in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base": "999999"}, "Select a valid choice"),
        ({"data_set": ""}, "This field is required"),
        ({"learning_rate": "-1"}, "greater than or equal to"),
        ({"epochs": "many"}, "Enter a whole number"),
        ({"objective": "magic"}, "Select a valid choice"),
        ({"name": "x" * 121}, "at most 120 characters"),
    ],
)
def test_training_form_says_what_is_wrong_and_keeps_the_rest(grace_in, voted, data_set, base, change, said):
    form = {
        "base": base.pk,
        "data_set": data_set.pk,
        "name": "Tuned",
        "objective": "plackett-luce",
        **PARAMETERS,
    }

    response = grace_in.post(f"/arenas/{voted.slug}/training-runs/", {**form, **change})

    assert response.status_code == 400
    assert said in response.content.decode()
    assert 'value="8"' in response.content.decode()
    assert not TrainingRun.objects.exists()


def test_training_with_too_few_rankings_is_refused_in_the_services_words(grace_in, open_arena, tmp_path):
    factories.make_vote(open_arena, [1, 2, 3, 4])
    grace_in.post(f"/arenas/{open_arena.slug}/data-sets/", {"formats": ["kwise"]})
    data_set = write_data_set(DataSet.objects.get())
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    base = factories.make_contestant(open_arena, "Base", backend="transformers", checkpoint=str(tmp_path))

    response = grace_in.post(
        f"/arenas/{open_arena.slug}/training-runs/",
        {"base": base.pk, "data_set": data_set.pk, "objective": "dpo", **PARAMETERS},
    )

    assert response.status_code == 400
    assert "training needs at least 10" in response.content.decode()
    assert not TrainingRun.objects.exists()


def test_training_page_draws_a_curve_for_what_was_reported(grace_in, voted, run):
    for step in range(1, 6):
        TrainingMetric.objects.create(
            run=run, step=step, values={"loss": 3 / step, "accuracy": 0.5 + step / 20, "words": "no number"}
        )
    Job.objects.filter(pk=run.job.pk).update(state="running", done=5, total=20, message="Step 5 of 20")

    page = grace_in.get(f"/arenas/{voted.slug}/training-runs/{run.pk}/", headers={"HX-Request": "true"})

    text = page.content.decode()
    assert text.count('<svg class="plot curve-plot"') == 2
    assert "Loss: from step 1 to 5, on a scale from 0.6 to 3; training 0.6" in text
    assert "Step 5 of 20" in text
    assert 'hx-trigger="every 1s"' in text
    assert "HX-Refresh" not in page.headers


def test_training_page_is_refreshed_once_when_the_job_ends(grace_in, voted, run):
    Job.objects.filter(pk=run.job.pk).update(state="failed", error="The disk is full.")
    address = f"/arenas/{voted.slug}/training-runs/{run.pk}/"

    fragment = grace_in.get(address, headers={"HX-Request": "true"})
    page = grace_in.get(address).content.decode()

    assert fragment["HX-Refresh"] == "true"
    assert "The disk is full." in page
    assert "Try again" in page
    assert "hx-trigger" not in page


def test_training_run_does_not_ask_once_for_each_step(grace_in, voted, run, django_assert_max_num_queries):
    TrainingMetric.objects.bulk_create(
        TrainingMetric(run=run, step=step, values={"loss": 1.0}) for step in range(500)
    )

    with django_assert_max_num_queries(8):
        page = grace_in.get(f"/arenas/{voted.slug}/training-runs/{run.pk}/")
    assert len(page.content) < 20_000


def test_jobs_page_lists_those_of_the_arenas_one_leads(grace_in, sign_in, staff, voted):
    Job.objects.create(kind="export", arena=voted, title="Export of the garden")
    Job.objects.create(kind="export", arena=factories.make_arena(), title="Export of elsewhere")
    Job.objects.create(kind="demo_models", title="Build the models")

    to_lead = grace_in.get("/jobs/").content.decode()
    to_staff = sign_in(staff).get("/jobs/").content.decode()

    assert "Export of the garden" in to_lead
    assert "elsewhere" not in to_lead
    assert "Build the models" not in to_lead
    assert all(title in to_staff for title in ("garden", "elsewhere", "Build the models"))


def test_jobs_ask_for_signing_in(client, db):
    assert client.get("/jobs/")["Location"].startswith("/accounts/login/")


def test_job_is_cancelled_and_tried_again_from_its_page(grace_in, voted):
    job = Job.objects.create(kind="export", arena=voted, title="Export")

    back = grace_in.post(f"/jobs/{job.pk}/cancel/", {"next": f"/jobs/{job.pk}/"})
    job.refresh_from_db()
    assert (back["Location"], job.state) == (f"/jobs/{job.pk}/", "cancelled")

    grace_in.post(f"/jobs/{job.pk}/retry/")
    job.refresh_from_db()
    assert job.state == "queued"


def test_job_that_is_done_cannot_be_tried_again(grace_in, voted):
    job = Job.objects.create(kind="export", arena=voted, title="Export", state="done")

    page = grace_in.post(f"/jobs/{job.pk}/retry/", follow=True).content.decode()

    assert "Only a failed, cancelled or given-up job can be tried again." in page
    job.refresh_from_db()
    assert job.state == "done"


@pytest.mark.parametrize("action", ["", "cancel/", "retry/"])
def test_job_of_others_is_not_there(mallory_in, ada_in, voted, action):
    job = Job.objects.create(kind="export", arena=voted, title="Export", state="running")

    for browser in (mallory_in, ada_in):
        response = browser.post(f"/jobs/{job.pk}/{action}") if action else browser.get(f"/jobs/{job.pk}/")
        assert response.status_code == 404
    job.refresh_from_db()
    assert not job.cancel_requested


def test_button_does_not_lead_away_from_the_site(grace_in, voted):
    job = Job.objects.create(kind="export", arena=voted, title="Export")

    response = grace_in.post(f"/jobs/{job.pk}/cancel/", {"next": "https://elsewhere.example/"})

    assert response["Location"] == "/jobs/"


def test_job_fragment_refreshes_the_page_once_it_has_ended(grace_in, voted):
    job = Job.objects.create(kind="export", arena=voted, title="Export", state="running", log="line one\n")

    running = grace_in.get(f"/jobs/{job.pk}/", headers={"HX-Request": "true"})
    Job.objects.update(state="done")
    ended = grace_in.get(f"/jobs/{job.pk}/", headers={"HX-Request": "true"})

    assert "HX-Refresh" not in running.headers
    assert b"line one" in running.content
    assert ended["HX-Refresh"] == "true"


def test_jobs_page_does_not_ask_once_for_each_job(grace_in, voted, django_assert_max_num_queries):
    Job.objects.bulk_create(Job(kind="export", arena=voted, title=f"Job {n}") for n in range(30))

    with django_assert_max_num_queries(6):
        grace_in.get("/jobs/")


def test_votes_are_not_touched_by_pages(grace_in, voted, data_set):
    before = list(Vote.objects.values_list("pk", "ranks"))

    for path in ("manage/", "data-sets/", "training-runs/", "leaderboard/"):
        grace_in.get(f"/arenas/{voted.slug}/{path}")

    assert list(Vote.objects.values_list("pk", "ranks")) == before
