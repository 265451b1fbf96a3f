"""Voting as people do it: by key, by pointer, without scripts, twice, offline, on a small screen."""

import pytest
from playwright.sync_api import Page, expect

from arena.models import Arena, Battle, Job, Vote
from arena.services.leaderboards import fit_leaderboard
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def arena(transactional_db) -> Arena:
    return factories.make_pool("garden", guidelines="Prefer the **true** one.")


@pytest.fixture
def at(page: Page, arena: Arena) -> Page:
    """The voting page, with a battle on it."""
    page.goto(f"/arenas/{arena.slug}/")
    expect(page.locator("#battle .card")).to_have_count(4)
    return page


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def revealed(page: Page) -> None:
    expect(page.locator("#reveal-title")).to_be_visible()


def test_vote_and_next_battle_with_nothing_but_the_keyboard(at):
    first = at.locator("[name=battle]").input_value()

    press(at, "2", "1", "3", "4", "Enter")
    revealed(at)
    assert Vote.objects.get().ranks == [2, 1, 3, 4]
    press(at, "Enter")

    expect(at.locator("#battle .card")).to_have_count(4)
    assert at.locator("[name=battle]").input_value() != first
    assert at.url.endswith("/arenas/garden/")
    expect(at.locator(".rank input:checked")).to_have_count(0)


def test_names_stay_hidden_until_the_vote_and_stand_on_the_same_cards_after(at):
    shown = Battle.objects.get(pk=at.locator("[name=battle]").input_value())
    names = [slot.contestant.name for slot in shown.slots.order_by("position")]
    texts = at.locator(".card .output").all_inner_texts()
    assert not any(name in at.content() for name in names)

    press(at, "1", "2", "3", "4", "Enter")
    revealed(at)

    assert at.locator(".card .name").all_inner_texts() == names
    assert at.locator(".card .output").all_inner_texts() == texts
    expect(at.locator(".card .rating strong")).to_have_count(4)


def test_equal_ranks_are_a_tie(at):
    press(at, "1", "1", "2", "2", "Enter")
    revealed(at)

    assert Vote.objects.get().ranks == [1, 1, 3, 3]


def test_vote_by_pointer(at):
    for letter, rank in zip("ABCD", "3124", strict=True):
        at.locator(f"#card-{letter} .rank").nth(int(rank) - 1).click()
    at.get_by_role("button", name="Submit ranking").last.click()
    revealed(at)

    assert Vote.objects.get().ranks == [3, 1, 2, 4]
    at.get_by_role("link", name="Next battle").click()
    expect(at.locator("#battle .card")).to_have_count(4)


def test_tabs_arrows_and_space_are_enough(at):
    """The form's own keys, with the page's turned off: radio buttons and a button."""
    at.keyboard.press("?")
    at.get_by_label("Use these keys").uncheck()
    at.get_by_role("button", name="Close").click()
    at.keyboard.press("1")
    expect(at.locator(".rank input:checked")).to_have_count(0)  # the keys are off
    for letter in "ABCD":
        at.locator(f"#card-{letter} .rank input").first.focus()
        press(at, "Space", *["ArrowRight"] * "ABCD".index(letter))
    at.keyboard.press("Enter")
    revealed(at)

    assert Vote.objects.get().ranks == [1, 2, 3, 4]


def test_choice_of_keys_outlives_the_page(at):
    at.keyboard.press("?")
    at.get_by_label("Use these keys").uncheck()
    at.reload()
    at.keyboard.press("1")

    expect(at.locator(".rank input:checked")).to_have_count(0)


def test_letters_arrows_and_backspace_move_and_take_back(at):
    press(at, "c", "1", "ArrowLeft", "2", "b", "Backspace", "4")

    ranks = {
        letter: at.locator(f"#card-{letter} .rank input:checked").input_value()
        for letter in "ABCD"
        if at.locator(f"#card-{letter} .rank input:checked").count()
    }
    # c is 1 and D comes next; left of D is C again.
    assert ranks == {"C": "2", "B": "4"}


def test_one_click_takes_the_best_only(at):
    at.locator("#card-C").get_by_role("button", name="Best").click()
    revealed(at)

    vote = Vote.objects.get()
    assert (vote.kind, vote.ranks) == (Vote.Kind.BEST, [None, None, 1, None])
    expect(at.locator(".card").nth(2)).to_contain_text("Your best")


def test_all_bad_is_its_own_answer(at):
    at.get_by_role("button", name="All bad").click()
    revealed(at)

    assert Vote.objects.get().kind == Vote.Kind.ALL_BAD


def test_cannot_judge_asks_why_and_tells_no_names(at):
    at.get_by_text("Cannot judge").click()
    at.get_by_label("Why?").select_option("The prompt is unclear")
    at.get_by_role("button", name="Skip this battle").click()
    revealed(at)

    vote = Vote.objects.get()
    assert (vote.kind, vote.skip_reason) == (Vote.Kind.SKIP, "The prompt is unclear")
    expect(at.locator(".card .name")).to_have_count(0)


def test_digits_do_not_rank_while_a_reason_is_chosen(at):
    at.get_by_text("Cannot judge").click()
    at.get_by_label("Why?").focus()
    press(at, "1", "2")

    expect(at.locator(".rank input:checked")).to_have_count(0)


def test_incomplete_ranking_is_explained_and_nothing_is_lost(at):
    press(at, "1", "Enter")

    expect(at.get_by_role("alert")).to_contain_text("Give every response a rank: B, C, D have none yet.")
    expect(at.locator("#card-B")).to_be_focused()
    assert not Vote.objects.exists()
    press(at, "2", "3", "4", "Enter")
    revealed(at)
    assert Vote.objects.get().ranks == [1, 2, 3, 4]


def test_enter_in_a_card_never_presses_best(at):
    at.locator("#card-B .rank input").nth(1).check()
    at.keyboard.press("Enter")

    expect(at.get_by_role("alert")).to_contain_text("Give every response a rank")
    assert not Vote.objects.exists()


def test_double_submit_is_one_vote(at):
    posts = []
    at.on("request", lambda request: posts.append(request) if request.url.endswith("/vote/") else None)
    press(at, "1", "2", "3", "4")
    at.evaluate("for (let n = 0; n < 3; n++) document.querySelector('.vote-bar .primary').click()")
    revealed(at)

    assert Vote.objects.count() == 1
    assert len(posts) == 1


def test_next_battle_is_there_before_it_is_asked_for(at):
    # Fetched while the voter reads, or after the vote where that came first.
    with at.expect_response(lambda answer: "/next/" in answer.url):
        press(at, "1", "2", "3", "4", "Enter")
    revealed(at)
    at.wait_for_load_state("networkidle")
    requests = []
    at.on("request", lambda request: requests.append(request.url) if request.method == "GET" else None)
    press(at, "n")

    expect(at.locator("#battle .card")).to_have_count(4)
    assert not [address for address in requests if "ahead" not in address]  # that is the one after it


def test_lost_connection_is_told_and_the_ranking_kept(at):
    press(at, "1", "2", "3", "4")
    at.context.set_offline(True)
    press(at, "Enter")

    expect(at.get_by_role("alert")).to_contain_text("did not reach the server. Your answer is still here")
    expect(at.locator(".rank input:checked")).to_have_count(4)
    at.context.set_offline(False)  # and it goes out by itself
    revealed(at)
    assert Vote.objects.get().ranks == [1, 2, 3, 4]


def test_answer_lost_on_the_way_back_is_not_a_second_vote(at):
    """The vote arrived, its answer did not: sending it again gets the same reveal."""
    at.route("**/vote/", lambda route: (route.fetch(), route.abort()), times=1)
    press(at, "1", "2", "3", "4", "Enter")
    expect(at.get_by_role("alert")).to_contain_text("did not reach the server")
    press(at, "Enter")
    revealed(at)

    assert Vote.objects.count() == 1


def test_late_vote_is_told_with_the_way_on_and_the_ranking_kept(at):
    Battle.objects.update(closed_at="2026-01-01T00:00Z")
    press(at, "1", "2", "3", "4", "Enter")

    expect(at.get_by_role("alert")).to_contain_text("This battle has ended.")
    expect(at.locator(".rank input:checked")).to_have_count(4)
    at.get_by_role("link", name="Go to the next battle").click()
    expect(at.locator("#battle .card")).to_have_count(4)
    assert not Vote.objects.exists()


def test_works_without_scripts(new_page, arena):
    page = new_page(java_script_enabled=False)
    page.goto("/arenas/garden/")
    for letter, rank in zip("ABCD", "1224", strict=True):
        page.locator(f"#card-{letter} .rank").nth(int(rank) - 1).click()
    page.get_by_role("button", name="Submit ranking").last.click()
    expect(page.locator("#reveal-title")).to_be_visible()

    assert Vote.objects.get().ranks == [1, 2, 2, 4]
    page.get_by_role("link", name="Next battle").click()
    expect(page.locator("#battle .card")).to_have_count(4)


def test_without_scripts_an_incomplete_ranking_comes_back_filled_in(new_page, arena):
    page = new_page(java_script_enabled=False)
    page.goto("/arenas/garden/")
    page.locator("#card-B .rank").nth(0).click()
    page.get_by_role("button", name="Submit ranking").last.click()

    expect(page.get_by_role("alert")).to_contain_text("Give every response a rank: A, C, D have none yet.")
    expect(page.locator(".rank input:checked")).to_have_count(1)
    assert not Vote.objects.exists()


def test_attention_is_measured_while_the_page_is_in_view(at):
    at.wait_for_timeout(400)
    press(at, "1", "2", "3", "4", "Enter")
    revealed(at)

    vote = Vote.objects.get()
    assert 0 < vote.active_ms <= vote.wall_ms


def test_waiting_page_brings_the_battle_by_itself(page, transactional_db):
    arena = factories.make_arena("late", k=2)
    job = Job.objects.create(
        kind="generate", arena=arena, title="Responses", state="running", done=1, total=9
    )
    page.goto("/arenas/late/")
    expect(page.get_by_text("Responses are being made")).to_be_visible()
    prompt = factories.make_prompt(arena)
    for _ in range(2):
        factories.make_response(prompt, factories.make_contestant(arena))
    Job.objects.filter(pk=job.pk).update(state="done")

    expect(page.locator("#battle .card")).to_have_count(2)


def test_last_battle_ends_in_thanks(page, transactional_db):
    factories.make_pool("small", contestants=2, prompts=1, k=2)
    page.goto("/arenas/small/")
    press(page, "1", "2", "Enter")
    revealed(page)
    press(page, "Enter")

    expect(page.get_by_text("You have judged everything there is; thank you.")).to_be_visible()


def test_leaderboard_moves_by_itself_after_a_vote(new_page, arena):
    factories.make_vote(arena, [1, 2, 3, 4])
    fit_leaderboard(arena=arena)
    board, voter = new_page(), new_page()
    board.goto("/arenas/garden/leaderboard/")
    expect(board.locator(".facts dd").first).to_have_text("1")
    voter.goto("/arenas/garden/")
    press(voter, "1", "2", "3", "4", "Enter")
    revealed(voter)

    expect(board.locator(".facts dd").first).to_have_text("2")
    assert board.url.endswith("/leaderboard/")


@pytest.mark.parametrize("k", [2, 3, 4, 8])
def test_nothing_is_cut_off_at_320_pixels(new_page, transactional_db, k):
    arena = factories.make_arena("narrow", k=k)
    prompt = factories.make_prompt(arena, "w" * 200)
    for number in range(k):
        factories.make_response(
            prompt,
            factories.make_contestant(arena, "m" * 100 + str(number)),
            "# Title\n\n| a | b |\n|-|-|\n| 1 | 2 |\n\n" + "x" * 300,
        )
    page = new_page(width=320, height=640)
    page.goto("/arenas/narrow/")

    assert page.evaluate("document.documentElement.scrollWidth") == 320
    for button in page.locator(".rank, .vote-bar button:visible, .best").all():
        box = button.bounding_box()
        assert box["width"] >= 44
        assert box["height"] >= 44
    press(page, *"12345678"[:k], "Enter")
    revealed(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_script_and_sheet_of_the_voting_page_are_small(page, arena):
    sizes = {}
    page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
    page.goto("/arenas/garden/")
    page.wait_for_load_state("networkidle")

    assert len(sizes) <= 10  # page, two sheets, the scripts, the icon
    assert sum(sizes.values()) < 90_000  # as they are, not compressed
