"""Training as a lead does it, with the real trainer: look, try out, train, take away, promote, retract.

No worker runs beside: the test does the job itself while the page is open, so that each thing is
looked at when it is there, however slow the machine.
"""

import io
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from arena.models import Arena, Contestant, Job, Membership, TrainingRun, Vote
from arena.services import leases
from arena.services.data_sets import request_data_set, write_data_set
from gpu_workers.training_task import run_training
from tests import factories
from tests.browser.test_accessibility import assert_accessible
from tests.gpu_workers import kwise_world as world

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
TEXTS = ["the cat sees a dog", "a big river", "why how please thank you"]


@pytest.fixture
def arena(tmp_path: Path, settings) -> Arena:
    """Twelve votes on prompts in words that the base knows, and a data set of them."""
    settings.RUNS_DIR, settings.DATA_SETS_DIR = tmp_path / "runs", tmp_path / "data-sets"
    made = factories.make_arena("garden", k=3)
    checkpoint = str(world.write_base(tmp_path / "small"))
    factories.make_contestant(made, "Small", backend="transformers", checkpoint=checkpoint)
    for name in ("Middle", "Large"):
        factories.make_contestant(made, name)
    contestants = list(made.contestants.order_by("id"))
    for number in range(12):
        prompt = factories.make_prompt(made, "why the sun", split="held_out" if number == 9 else "train")
        for contestant, text in zip(contestants, TEXTS, strict=True):
            factories.make_response(prompt, contestant, text)
        factories.make_vote(made, [1, 2, 3], contestants=contestants, prompt=prompt)
    write_data_set(request_data_set(arena=made))
    return made


@pytest.fixture
def lead_page(arena: Arena, page: Page, sign_in_page) -> Page:
    grace = factories.make_user("grace")
    factories.make_member(arena, grace, Membership.Role.LEAD)
    sign_in_page(page, grace)
    return page


def work() -> Job:
    """Do the training job that waits, as a worker would."""
    waiting = Job.objects.get(kind=Job.Kind.TRAIN, state=Job.State.QUEUED)
    job = leases.work_on(waiting.pk, run_training)
    assert job is not None
    assert (job.state, job.error) == (Job.State.DONE, "")
    return job


def test_from_the_plan_to_a_contestant_and_back_to_a_vote(lead_page, arena, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the trainer's process has it from us
    look_first(lead_page)
    try_it_out(lead_page)
    train_and_hold_back(lead_page)
    take_away(lead_page)
    promote(lead_page, arena)
    retract(lead_page, arena)


def look_first(page: Page) -> None:
    page.goto("/arenas/garden/training-runs/")
    page.get_by_role("button", name="Look before you start").click()
    plan = page.locator("#plan")
    expect(plan.get_by_role("heading", name="Before you start")).to_be_in_viewport()
    expect(plan).to_contain_text("Rankings to learn from")
    assert_accessible(page)
    plan.get_by_role("button", name="Use these settings").click()
    expect(page.get_by_label("Base", exact=True)).to_contain_text("Small")
    expect(page.locator("#plan")).to_have_count(0)


def try_it_out(page: Page) -> None:
    page.get_by_label("Name").fill("Tried")
    page.get_by_label("Epochs", exact=True).fill("3")
    page.locator("summary", has_text="Further settings").click()
    page.get_by_label("What is trained").select_option("lora")
    page.get_by_role("button", name="Dry run: two steps").click()
    expect(page.get_by_text("is queued for a dry run")).to_be_visible()
    work()
    expect(page.get_by_role("heading", name="What the dry run says")).to_be_visible()
    assert not Contestant.objects.exclude(parent=None).exists()
    page.get_by_role("link", name="Go on to the whole run").click()


def train_and_hold_back(page: Page) -> None:
    """The form holds what was tried out."""
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("3")
    expect(page.get_by_label("What is trained")).to_have_value("lora")
    page.get_by_label("Name").fill("Tuned")
    page.get_by_label("Hold the result back").check()
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("Tuned is queued for training")).to_be_visible()
    work()
    expect(page.get_by_text("The result is held back")).to_be_visible()
    expect(page.locator(".curves figure").first).to_be_visible()
    assert not Contestant.objects.exclude(parent=None).exists()
    assert_accessible(page)


def take_away(page: Page) -> None:
    run = TrainingRun.objects.get(name="Tuned")
    files = {}
    for name in ("Download the weights", "Download the adapter", "Download the model card"):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        files[name] = Path(download.value.path()).read_bytes()
    card = files["Download the model card"].decode()
    assert f"| result sha256 | `{run.manifest['result']['sha256']}` |" in card
    for name, weights in (("weights", "model.safetensors"), ("adapter", "adapter_model.safetensors")):
        with zipfile.ZipFile(io.BytesIO(files[f"Download the {name}"])) as archive:
            names = [one.rpartition("/")[2] for one in archive.namelist()]
            assert archive.testzip() is None
        assert {"README.md", weights} <= set(names)
        assert names.count("README.md") == 1


def promote(page: Page, arena: Arena) -> None:
    page.get_by_role("button", name="Promote to contestant").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Tuned")
    expect(page.locator(".lineage li").first).to_have_text("Small")
    tuned = arena.contestants.get(name="Tuned")
    assert tuned.parent is not None
    assert tuned.parent.name == "Small"


def retract(page: Page, arena: Arena) -> None:
    vote = Vote.objects.filter(arena=arena).latest("pk")
    page.goto("/arenas/garden/manage/votes/")
    page.get_by_role("link", name=f"Vote {vote.pk}", exact=True).click()
    note = page.locator(".note", has_text=f"Vote {vote.pk} counts.")
    expect(note.get_by_role("link", name="Tuned")).to_be_visible()
    assert_accessible(page)
    page.get_by_label("Reason").fill("The voter asked for it")
    page.get_by_role("button", name="Take it out of the count").click()
    expect(page.get_by_text(f"Vote {vote.pk} is out of the count now.")).to_be_visible()
    page.get_by_role("link", name="Tuned").click()
    expect(page.get_by_text(re.compile("Contains 1 vote withdrawn since"))).to_be_visible()
