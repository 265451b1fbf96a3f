"""axe finds nothing on any page, in any state, light or dark."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from arena.models import Arena, DataSet, Job, TrainingMetric, TrainingRun
from arena.services.data_sets import request_data_set, write_data_set
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def arena(transactional_db) -> Arena:
    arena = factories.make_pool("garden", guidelines="Prefer the **true** one.", description="A study.")
    for _ in range(3):
        factories.make_vote(arena, [1, 2, 3, 4])
    return arena


@pytest.fixture
def lead(arena):
    user = factories.make_user("grace")
    factories.make_member(arena, user, "lead")
    return user


@pytest.fixture
def work(arena, tmp_path: Path) -> Arena:
    """A data set, a training run under way, a finished one, and jobs in each state."""
    data_set: DataSet = write_data_set(request_data_set(arena=arena, formats=["kwise"]))
    parent = arena.contestants.first()
    tuned = factories.make_contestant(arena, "tuned", parent=parent)
    job = Job.objects.create(
        kind="train", arena=arena, title="Train", state="running", done=3, total=9, log="a line\n" * 99
    )
    run = TrainingRun.objects.create(arena=arena, base=parent, data_set=data_set, name="next", job=job)
    for step in range(5):
        TrainingMetric.objects.create(run=run, step=step, values={"loss": 3.0 - step, "accuracy": step / 5})
    TrainingRun.objects.create(
        arena=arena, base=parent, data_set=data_set, name="tuned", result=tuned, parameters={"beta": 0.1}
    )
    for state in Job.State.values:
        Job.objects.create(
            kind="export", arena=arena, title=f"Export {state}", state=state, error="The disk is full."
        )
    return arena


def assert_accessible(page: Page) -> None:
    found = Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    )
    assert found.violations_count == 0, found.generate_report()


SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


@SCHEMES
def test_voting_page_in_each_state(new_page, arena, scheme):
    page = new_page(color_scheme=scheme)
    page.goto("/arenas/garden/")
    assert_accessible(page)
    page.get_by_text("Guidelines").click()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Give every")
    page.get_by_text("Cannot judge").click()
    assert_accessible(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="All bad").click()
    expect(page.locator("#reveal-title")).to_be_visible()
    assert_accessible(page)


@SCHEMES
@pytest.mark.parametrize(
    "path", ["/", "/arenas/garden/leaderboard/", "/accounts/login/", "/arenas/nowhere/", "/nowhere/"]
)
def test_public_page(new_page, arena, scheme, path):
    page = new_page(color_scheme=scheme)
    page.goto(path)
    assert_accessible(page)


@SCHEMES
def test_pages_of_leads(new_page, sign_in_page, lead, work, scheme):
    page = new_page(color_scheme=scheme)
    sign_in_page(page, lead)
    runs = TrainingRun.objects.order_by("pk").values_list("pk", flat=True)
    for path in (
        "/arenas/garden/manage/",
        f"/arenas/garden/contestants/{work.contestants.last().pk}/",
        "/arenas/garden/data-sets/",
        "/arenas/garden/data-sets/1/",
        "/arenas/garden/training-runs/",
        *(f"/arenas/garden/training-runs/{pk}/" for pk in runs),
        "/jobs/",
        f"/jobs/{Job.objects.filter(state='running').first().pk}/",
    ):
        page.goto(path)
        assert_accessible(page)


@pytest.mark.parametrize("slug", ["busy", "bare"])
def test_empty_states(page, transactional_db, slug):
    arena = factories.make_arena(slug)
    if slug == "busy":
        Job.objects.create(kind="generate", arena=arena, title="Responses", state="running", done=4, total=9)
    for path in (f"/arenas/{slug}/", f"/arenas/{slug}/leaderboard/"):
        page.goto(path)
        assert_accessible(page)


def test_every_page_reflows_at_320_pixels(new_page, sign_in_page, lead, work):
    page = new_page(width=320, height=640)
    sign_in_page(page, lead)
    run = TrainingRun.objects.first()
    for path in (
        "/",
        "/jobs/",
        "/accounts/logout/",
        *(
            f"/arenas/garden/{part}"
            for part in (
                "",
                "leaderboard/",
                f"contestants/{work.contestants.last().pk}/",
                "data-sets/",
                "data-sets/1/",
                "training-runs/",
                f"training-runs/{run.pk}/",
                "manage/",
            )
        ),
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") == 320, path


def test_ranks_can_be_told_apart_in_forced_colours(new_page, arena):
    page = new_page(forced_colors="active")
    page.goto("/arenas/garden/")
    page.keyboard.press("1")

    chosen, other = (
        page.locator("#card-A .rank span").nth(n).evaluate("e => getComputedStyle(e).backgroundColor")
        for n in (0, 1)
    )
    assert chosen != other


def test_nothing_moves_for_those_who_asked_for_less_motion(new_page, arena):
    page = new_page(reduced_motion="reduce")
    page.goto("/arenas/garden/")

    moving = page.evaluate(
        "[...document.querySelectorAll('*')]"
        ".filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length"
    )
    assert moving == 0
