"""axe finds nothing on any page, in any state, light or dark."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, Page, expect

from arena.models import Arena, DataSet, Job, TrainingMetric, TrainingRun, Turn
from arena.services.data_sets import request_data_set, write_data_set
from arena.services.responses import NewResponse, record_responses
from tests import factories
from tests.members.test_authorization import ALL_ROUTES, address, cellar, row_of

__all__ = ["cellar"]  # a fixture: one of everything

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


def is_page(route: str) -> bool:
    row = row_of(route)
    return (row is None or row.method == "get") and not route.startswith(
        ("api/", "healthz", "readyz", "jobs/events")
    )


# --- every page there is ----------------------------------------------------------------------


def looked_at(page: Page, path: str, refusals: set[int]) -> bool:
    """Whether there is a page at this address; then axe finds nothing on it, and it fits a narrow screen.

    Of the pages that say no one is looked at for each status: they are the same.
    """
    try:
        answer = page.goto(path)
    except Error:
        return False  # a file, or nothing
    kind = answer.headers.get("content-type", "") if answer else ""
    if answer is None or answer.status in refusals or not kind.startswith("text/html"):
        return False
    if answer.status == 405 or page.locator("html[lang] title").count() == 0:
        return False  # a form's address, or a fragment
    if answer.status >= 400:
        refusals.add(answer.status)
    assert_accessible(page)
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
    page.set_viewport_size({"width": 1280, "height": 800})
    return True


@pytest.mark.parametrize("who", ["anonymous", "owner"])
def test_axe_finds_nothing_on_any_page(new_page, sign_in_page, closed_arena, cellar, open_arena, who):
    """Every address of the product, found by the resolver; those that say no are pages too."""
    page = new_page()
    # A stream of news keeps a thread of the test's server, and its page is the same without.
    page.route("**/events/", lambda route: route.abort())
    arena, refusals, seen = open_arena, set(), set()
    if who == "owner":
        arena, owner = closed_arena, factories.make_user("olga")
        factories.make_member(arena, owner, "owner")
        sign_in_page(page, owner)
    elsewhere = ["accounts/login/", "accounts/password/reset/", "accounts/logout/", "nowhere/"]
    for route in [*filter(is_page, ALL_ROUTES), *elsewhere]:
        path = address(route, {**cellar, "slug": arena.slug})
        if path not in seen and looked_at(page, path, refusals):
            seen.add(path)
    assert len(seen) > (8 if who == "anonymous" else 25), seen


@SCHEMES
def test_leads_pages_with_work_under_way(new_page, sign_in_page, lead, work, scheme):
    page = new_page(color_scheme=scheme)
    sign_in_page(page, lead)
    run = TrainingRun.objects.first()
    paths = ["/jobs/", "/arenas/garden/manage/", f"/arenas/garden/training-runs/{run.pk}/"]
    for path in [*paths, "/arenas/garden/data-sets/1/", "/arenas/garden/leaderboard/"]:
        page.goto(path)
        assert_accessible(page)


def test_a_conversation_in_each_state(new_page, transactional_db):
    arena = factories.make_arena("salon", k=2, own_prompts=True, turns=2)
    for number in range(2):
        factories.make_contestant(arena, f"model-{number}", backend="transformers", checkpoint="/nowhere")
    page = new_page()
    page.goto("/arenas/salon/ask/")
    assert_accessible(page)
    page.get_by_label("Your message").fill("   ")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("alert")).to_contain_text("Write what")
    assert_accessible(page)
    page.get_by_label("Your message").fill("Why?")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#waiting")).to_be_visible()
    assert_accessible(page)
    turn = Turn.objects.get()
    for pk in turn.contestants["shown"]:
        record_responses(
            contestant=arena.contestants.get(pk=pk),
            items=[NewResponse(turn.prompt_id, 0, "# Because\n\n$x^2$")],
        )
    expect(page.locator("#battle")).to_be_visible()
    assert_accessible(page)
    page.locator("#card-A .best").click()
    expect(page.locator(".go-on")).to_be_visible()
    assert_accessible(page)


@SCHEMES
def test_everything_that_a_response_can_hold(new_page, transactional_db, scheme):
    text = (
        "# One\n\n## Two\n\n- [x] done\n- [ ] open\n\n> said\n\n|a|b|c|d|\n|-|-|-|-|\n|1|2|3|4|\n\n"
        "```python\n@cached\ndef f(x: int) -> str:  # why\n    return str(1) + 'a'\n```\n\n"
        "```diff\n- old\n+ new\n```\n\n$$\\sum_i x_i$$\n\n[a link](https://example.org) ~~gone~~ `code`"
    )
    said = [{"role": "user", "content": "And?"}, {"role": "assistant", "content": text}]
    arena = factories.make_arena("gallery", k=2)
    prompt = factories.make_prompt(arena)
    factories.make_response(prompt, factories.make_contestant(arena), text)
    factories.make_response(prompt, factories.make_contestant(arena), "said", messages=said)
    page = new_page(color_scheme=scheme)
    page.goto("/arenas/gallery/")
    assert_accessible(page)


@pytest.mark.parametrize("slug", ["busy", "bare"])
def test_empty_states(page, transactional_db, slug):
    arena = factories.make_arena(slug)
    if slug == "busy":
        Job.objects.create(kind="generate", arena=arena, title="Responses", state="running", done=4, total=9)
    for path in (f"/arenas/{slug}/", f"/arenas/{slug}/leaderboard/"):
        page.goto(path)
        assert_accessible(page)


def test_the_loop_by_keyboard_alone(new_page, arena):
    """Tab to what is focusable, Enter and digits: sign nothing in, judge, read the names, go on."""
    page = new_page()
    page.goto("/")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "Vote":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#battle")).to_be_visible()
    expect(page.locator("#show-keys")).to_be_visible()
    first = page.locator("[name=battle]").get_attribute("value")
    for rank in "1234":
        page.keyboard.press(rank)
    page.keyboard.press("Enter")
    expect(page.locator("#reveal-title")).to_be_focused()
    expect(page.locator("#live")).to_contain_text("Your vote is in")
    page.keyboard.press("n")
    expect(page.locator("#prompt-title")).to_be_focused()
    assert page.locator("[name=battle]").get_attribute("value") != first
    # Without the keys of the page: by Tab, arrows and Space like any form.
    page.keyboard.press("?")
    page.locator("#keys-on").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    for letter in "ABCD":
        page.locator(f"#card-{letter} .ranks input").first.focus()
        page.keyboard.press("Space")
    page.locator(".vote-bar button.primary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#reveal")).to_be_visible()


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
