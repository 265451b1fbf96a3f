"""The job of a data set that a real reward model chooses."""

from pathlib import Path

import pytest

from arena.models import DataSet, Job, TrainingRun
from arena.services import leases
from arena.services.curation import request_curation
from arena.services.data_sets import request_data_set, verify_data_set, write_data_set
from arena.services.training import end_training, run_folder
from gpu_workers.curate_task import curate_data_set
from gpu_workers.kwise.models import revision_hash
from tests import factories
from tests.gpu_workers.test_kwise_rewards import _one_thread, judge, places  # noqa: F401  # fixtures

pytestmark = pytest.mark.django_db
SHORT, LONG = "the cat", "the cat sees a big dog you like the moon"


@pytest.fixture
def arena():
    made = factories.make_arena("garden", k=2)
    for name in ("Short", "Long"):
        factories.make_contestant(made, name)
    contestants = list(made.contestants.order_by("id"))
    for number in range(4):
        prompt = factories.make_prompt(made, "why")
        for contestant, text in zip(contestants, (SHORT, LONG), strict=True):
            factories.make_response(prompt, contestant, text)
        factories.make_vote(made, [1, 2] if number else [2, 1], prompt=prompt, contestants=contestants)
    return made


@pytest.fixture
def curated(arena, judge, settings, tmp_path) -> DataSet:  # noqa: F811
    """Asked for: of four votes one likes what is long, and the reward model likes what is short."""
    settings.RUNS_DIR = tmp_path
    base = factories.make_contestant(arena, "Base", backend="transformers", checkpoint=str(judge[2]))
    source = write_data_set(request_data_set(arena=arena))
    run = TrainingRun.objects.create(
        arena=arena, base=base, data_set=source, name="Taste", objective="reward-bradley-terry", folder="1"
    )
    end_training(run, summary={}, manifest={"result": {}})
    run_folder(run).mkdir()
    (run_folder(run) / "model").symlink_to(judge[2])
    return request_curation(data_set=source, reward_model=run, least=0.5)


def test_the_job_writes_the_votes_that_the_model_finds_likely(curated, judge):  # noqa: F811
    job = leases.work_on(curated.job.pk, curate_data_set)

    assert (job.state, job.error) == (Job.State.DONE, "")
    curated.refresh_from_db()
    verify_data_set(curated)
    assert curated.counts["kwise"] == {"train": 3, "held_out": 0}
    assert curated.manifest["curated"]["reward_model_sha256"] == revision_hash(judge[2])


def test_a_reward_model_whose_files_are_gone_ends_the_job_with_a_sentence(curated):
    run = TrainingRun.objects.get()
    Path(run_folder(run) / "model").unlink()

    job = leases.work_on(curated.job.pk, curate_data_set)

    assert job.state == Job.State.FAILED
    assert "holds no reward model" in job.error
    curated.refresh_from_db()
    assert curated.completed_at is None
