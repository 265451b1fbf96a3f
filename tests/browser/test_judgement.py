"""Each form of a judgement by pointer, touch and keyboard, in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from arena.models import Arena, Battle, Draft, Report, Response, Vote
from arena.services.battles import ASIDE
from arena.services.guidelines import revise
from arena.services.judgement import Criterion, Judgement, Reason
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TEXT = "The sky is **blue** 🌍. That is due to *scattering*.\n\nAt sunset it is red."


@pytest.fixture
def asks(transactional_db, new_page) -> Callable[..., Page]:
    """`asks(Judgement(…), k=3)` is the voting page of an arena that asks so."""

    def opened(form: Judgement, *, k: int = 3, fields: dict | None = None, **profile: object) -> Page:
        arena = factories.make_arena("study", k=k, **(fields or {}))
        contestants = [factories.make_contestant(arena) for _ in range(k + 1)]
        for _ in range(3):
            prompt = factories.make_prompt(arena)
            for contestant in contestants:
                factories.make_response(prompt, contestant, TEXT)
        revise(arena=arena, by=None, form=form)
        page = new_page(**profile)
        page.goto("/arenas/study/")
        expect(page.locator("#battle .card")).to_have_count(k)
        return page

    return opened


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def voted(page: Page) -> Vote:
    expect(page.locator("#reveal-title")).to_be_visible()
    return Vote.objects.latest("id")


def ranks(page: Page) -> str:
    """The ranks by card, "-" for none."""
    return "".join(
        card.locator(".ranks.main input:checked").input_value()
        if card.locator(".ranks.main input:checked").count()
        else "-"
        for card in page.locator("#battle .card").all()
    )


def drag(page: Page, grip: Locator, to: Locator, across: float, *, along: str = "x") -> None:
    """By pointer, from the middle of the grip to a place `across` the target, in steps."""
    grip.scroll_into_view_if_needed()
    start, box = grip.bounding_box(), to.bounding_box()
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    x = box["x"] + box["width"] * (across if along == "x" else 0.5)
    y = box["y"] + box["height"] * (across if along == "y" else 0.5)
    page.mouse.move(x, y, steps=4)
    page.mouse.up()


# Ranking


def test_cards_are_dragged_before_beside_and_after_each_other(asks):
    page = asks(Judgement())
    handle = page.locator("#card-C .handle")

    drag(page, handle, page.locator("#card-A"), 0.1)
    assert ranks(page) == "2-1"
    drag(page, page.locator("#card-B .handle"), page.locator("#card-A"), 0.5)
    assert ranks(page) == "221"
    expect(page.locator("#live")).to_have_text("B is tied with A at 2 of 3.")
    drag(page, page.locator("#card-C .handle"), page.locator("#card-B"), 0.9)
    assert ranks(page) == "113"
    page.get_by_role("button", name="Submit ranking").last.click()

    assert voted(page).ranks == [1, 1, 3]


def test_letters_of_the_order_are_dragged_too(asks):
    page = asks(Judgement())
    press(page, "1", "2", "3")
    chips = page.locator("#order .chip")
    assert chips.all_inner_texts() == ["A", "B", "C"]

    drag(page, chips.nth(2), chips.nth(0), 0.1)

    assert ranks(page) == "231"
    assert chips.all_inner_texts() == ["C", "A", "B"]


def test_a_drag_that_ends_nowhere_changes_nothing(asks):
    page = asks(Judgement())
    drag(page, page.locator("#card-B .handle"), page.locator("#card-B"), 0.5)
    drag(page, page.locator("#card-B .handle"), page.locator("h1"), 0.5)

    assert ranks(page) == "---"
    expect(page.locator(".ghost")).to_have_count(0)


def tap_until(button, there):
    for _ in range(10):
        if there():
            return
        if button.is_visible():
            button.tap()
        button.page.wait_for_timeout(500)
    raise AssertionError(f"Tapped ten times, to no effect: {button}")


def test_cards_are_dragged_by_touch_on_a_small_screen(asks):
    page = asks(Judgement(), width=360, height=780, has_touch=True, is_mobile=True)
    touch = page.context.new_cdp_session(page)
    page.locator("#card-B .handle").scroll_into_view_if_needed()
    grip = page.locator("#card-B .handle").bounding_box()
    card = page.locator("#card-A").bounding_box()
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    steps = [("touchStart", x, y)] + [
        ("touchMove", x + 40, y + (card["y"] + card["height"] * 0.15 - y) * share)
        for share in (0.4, 0.8, 1.0)
    ]
    for kind, at_x, at_y in steps:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": at_x, "y": at_y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    assert ranks(page) == "21-"
    # At once after a swipe the browser takes a touch for its end.
    tap_until(page.locator("#card-C").get_by_role("button", name="Move C down"), lambda: ranks(page) == "213")
    submit = page.get_by_role("button", name="Submit").last
    tap_until(submit, lambda: page.locator("#reveal-title").is_visible())
    assert voted(page).ranks == [2, 1, 3]
    assert Vote.objects.get().details["timing"]["device"] == "touch"


def test_buttons_move_and_tie_and_say_so(asks):
    page = asks(Judgement())
    press(page, "1", "2", "3")

    page.get_by_role("button", name="Move C up").click()
    assert ranks(page) == "132"
    expect(page.locator("#live")).to_have_text("C moved to 2 of 3.")
    page.get_by_role("button", name="Tie B with its neighbour").click()
    assert ranks(page) == "122"
    page.get_by_role("button", name="Move B up").click()
    assert ranks(page) == "123"
    page.get_by_role("button", name="Move A up").click()

    assert ranks(page) == "123"  # first is first


def test_keys_move_the_current_card(asks):
    page = asks(Judgement())
    press(page, "1", "2", "3", "c", "[", "=", "b", "]", "Enter")

    assert voted(page).ranks == [1, 3, 1]


def test_keys_are_changed_and_clashes_refused(asks):
    page = asks(Judgement())
    press(page, "1", "2", "3", "?")
    up = page.get_by_label("Move the current response up")
    up.focus()
    press(page, "x")
    expect(page.locator("#keys-note")).to_contain_text("is used for “The current response is best” already")
    press(page, "3")
    expect(page.locator("#keys-note")).to_contain_text("Press one key")
    press(page, "k")
    expect(up).to_have_value("k")
    page.get_by_role("button", name="Close").click()
    page.reload()
    expect(page.locator("#battle .card")).to_have_count(3)
    # By letter: the draft of the ranks before may have come back, or not yet.
    press(page, "a", "1", "b", "2", "c", "3", "[")
    assert ranks(page) == "123"
    press(page, "k")

    assert ranks(page) == "132"


# The other forms


def test_strength_by_keyboard_alone(asks):
    page = asks(Judgement(ask="strength"), k=2)
    press(page, "Enter")
    expect(page.get_by_role("alert")).to_contain_text("Nothing is chosen yet.")
    press(page, "6", "Enter")

    vote = voted(page)
    assert (vote.ranks, vote.details["strength"]) == ([2, 1], 2)


def test_strength_by_pointer(asks):
    page = asks(Judgement(ask="strength"), k=2)
    page.get_by_role("radio", name="About the same").check()
    page.get_by_role("button", name="Submit").last.click()

    assert voted(page).ranks == [1, 1]


def test_best_only_is_one_press(asks):
    page = asks(Judgement(ask="best"))
    press(page, "2")

    assert voted(page).ranks == [None, 1, None]


def test_best_only_with_a_confidence_is_chosen_first(asks):
    page = asks(Judgement(ask="best", confidence="required"))
    press(page, "2")
    page.get_by_role("radio", name="Certain").check()
    press(page, "c", "Enter")

    vote = voted(page)
    assert (vote.ranks, vote.details["confidence"]) == ([None, 1, None], 4)


def test_criteria_scales_and_reasons(asks):
    form = Judgement(
        criteria=(
            Criterion("helpful", "Helpful"),
            Criterion("progress", "Progress", kind="scale"),
            Criterion("truth", "Truthful", kind="choice"),
        ),
        reason=Reason("required", ("Clearer",), min_length=5),
    )
    page = asks(form, k=2)
    for letter, rank, score in (("A", 1, "70"), ("B", 0, "100")):
        card = page.locator(f"#card-{letter}")
        card.locator(".criterion .rank").nth(rank).click()
        card.get_by_label("Progress").fill(score)
        card.locator(".ranks.main .rank").nth(1 - rank).click()
    expect(page.locator("#card-A [type=range]")).to_have_value("70")
    page.get_by_role("group", name="Truthful: which is best?").get_by_role("radio", name="B").check()
    page.get_by_role("button", name="Submit ranking").last.click()
    expect(page.get_by_role("alert")).to_contain_text("at least 5 characters")
    page.get_by_role("checkbox", name="Clearer").check()
    page.get_by_label("In your words").fill("1 and b are words, no keys.")
    page.get_by_role("button", name="Submit ranking").last.click()

    vote = voted(page)
    assert vote.ranks == [1, 2]
    assert vote.details["criteria"] == {
        "helpful": {"ranks": [2, 1]},
        "progress": {"ranks": [2, 1], "scores": [70, 100]},
        "truth": {"ranks": [None, 1]},
    }
    assert vote.details["reason"] == {"tags": ["Clearer"], "text": "1 and b are words, no keys."}


def test_a_slider_that_nobody_touched_is_no_answer(asks):
    page = asks(Judgement(criteria=(Criterion("progress", "Progress", kind="scale"),)), k=2)
    press(page, "1", "2", "Enter")

    expect(page.get_by_role("alert")).to_contain_text("“Progress” is not judged yet.")
    assert not Vote.objects.exists()


def select(page: Page, card: str, words: str) -> None:
    """Select these words of the card's output, within one run of text."""
    page.evaluate(
        """([card, words]) => {
            const output = document.querySelector(`#card-${card} .output`);
            const walker = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                const at = walker.currentNode.data.indexOf(words);
                if (at < 0) continue;
                const range = document.createRange();
                range.setStart(walker.currentNode, at);
                range.setEnd(walker.currentNode, at + words.length);
                getSelection().removeAllRanges();
                getSelection().addRange(range);
                return;
            }
        }""",
        [card, words],
    )


def test_a_selected_passage_is_marked_and_survives_the_markdown(asks):
    page = asks(Judgement(spans=True), k=2)
    button = page.locator("#card-A").get_by_role("button", name="Mark as good")
    expect(button).to_be_visible()
    select(page, "A", "scattering")
    button.click()
    expect(page.locator("#card-A .mark-list q")).to_have_text("scattering")
    select(page, "B", "That is due")
    page.locator("#card-B").get_by_role("button", name="Mark as bad").click()
    select(page, "B", "red")
    page.locator("#card-B").get_by_role("button", name="Mark as bad").click()
    page.locator("#card-B").get_by_role("button", name="Remove the mark: red").click()
    assert page.evaluate("CSS.highlights.get('mark-bad').size") == 1
    press(page, "a", "1", "2", "Enter")

    spans = voted(page).details["spans"]
    assert [(one["slot"], one["label"], TEXT[one["start"] : one["end"]]) for one in spans] == [
        (0, "good", "scattering"),
        (1, "bad", "That is due"),
    ]


def test_sentences_are_marked_without_a_pointer(asks):
    page = asks(Judgement(spans=True), k=2)
    page.locator("#card-B .marks summary").focus()
    press(page, "Enter", "Tab", "Tab", "Space")
    press(page, "ArrowLeft", "a", "1", "2", "Enter")

    spans = voted(page).details["spans"]
    assert len(spans) == 1
    assert spans[0]["slot"] == 1
    assert TEXT[spans[0]["start"] : spans[0]["end"]].endswith(".")


def test_parts_are_compared_and_the_best_is_rewritten(asks):
    page = asks(Judgement(ask="best", parts="preference", rewrite=True), k=2)
    page.get_by_text("Compare part by part").click()
    page.get_by_role("group", name="Part 2: which is best?").get_by_role("radio", name="B").check()
    page.get_by_text("Rewrite the best response").click()
    page.get_by_label("Your text").fill("The sky is **red**.")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#rewrite-preview strong")).to_have_text("red")
    page.locator("#card-A .pick").click()
    page.get_by_role("button", name="Submit").last.click()

    vote = voted(page)
    assert vote.details["parts"][0]["best"] == 1
    assert Response.objects.get(pk=vote.details["rewrite"]["response"]).text == "The sky is **red**."


def test_a_report_leaves_the_battle_as_it_is(asks):
    page = asks(Judgement(report=True), k=2)
    press(page, "1", "2")
    page.locator("#card-B .report summary").click()
    page.locator("#card-B").get_by_label("Broken or empty").check()
    page.locator("#card-B").get_by_role("button", name="Send the report").click()

    expect(page.locator("#card-B")).to_contain_text("Thank you. The report was sent.")
    assert Report.objects.get().slot.position == 1
    assert ranks(page) == "12"


# Undo, drafts, time


def test_undo_by_key_brings_the_answer_back_and_the_next_battle_waits(asks):
    page = asks(Judgement(confidence="optional"), k=2, fields={"reveal": Arena.Reveal.NEVER})
    page.get_by_role("radio", name="Certain").check()
    press(page, "a", "2", "1")
    press(page, "Enter")
    voted(page)
    press(page, "u")

    expect(page.locator("#battle .card")).to_have_count(2)
    assert ranks(page) == "21"
    expect(page.get_by_role("radio", name="Certain")).to_be_checked()
    press(page, "a", "1", "b", "2", "Enter")
    voted(page)
    assert Vote.objects.counted().get().ranks == [1, 2]
    with page.expect_response("**/shown/"):
        press(page, "n")
    expect(page.locator("#battle .card")).to_have_count(2)
    # The one that waited; another may have been drawn ahead since.
    assert Battle.objects.open().exclude(shown_at=None).count() == 1
    assert Battle.objects.open().exclude(channel=ASIDE).count() == 1


def test_names_come_on_demand_where_votes_can_be_undone(asks):
    page = asks(Judgement(undo=True), k=2)
    press(page, "1", "2", "Enter")
    voted(page)
    expect(page.locator(".card .name")).to_have_count(0)
    page.get_by_role("button", name="Show the names").click()

    expect(page.locator(".card .name")).to_have_count(2)
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)


def test_a_draft_survives_a_reload(asks):
    page = asks(Judgement(reason=Reason("optional")), k=2)
    with page.expect_response("**/draft/"):
        press(page, "2")
        page.get_by_label("In your words").fill("Half a thought")
    expect(page.locator("#saved")).to_have_text("Saved")
    page.reload()

    expect(page.get_by_label("In your words")).to_have_value("Half a thought")
    assert ranks(page) == "2-"


def test_a_draft_is_kept_on_the_device_while_offline_and_saved_after(asks):
    page = asks(Judgement(reason=Reason("optional")), k=2)
    page.context.set_offline(True)
    page.get_by_label("In your words").fill("In a tunnel")
    expect(page.locator("#saved")).to_have_text("Offline: kept on this device")
    assert not Draft.objects.exists()
    with page.expect_response("**/draft/"):
        page.context.set_offline(False)

    expect(page.locator("#saved")).to_have_text("Saved")
    assert Draft.objects.get().form["reason"] == ["In a tunnel"]


def test_how_the_answer_came_about_is_told(asks):
    page = asks(Judgement(), k=2)
    press(page, "1", "2", "a", "2", "1", "Enter")

    timing = voted(page).details["timing"]
    assert timing["revisions"] == 2
    assert timing["device"] == "keyboard"
    assert timing["screen"] == "large"
    assert len(timing["dwell_ms"]) == len(timing["scroll"]) == 2
    assert timing["scroll"] == [1, 1]


def test_consent_comes_before_the_first_battle(new_page, transactional_db):
    arena = factories.make_pool("garden")
    arena.surveys.create(number=1, consent="We keep **votes**.", questions=[])
    page = new_page()
    page.goto("/arenas/garden/")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("Without your consent")
    page.get_by_label("I have read this and agree").check()
    page.get_by_role("button", name="Go on").click()

    expect(page.locator("#battle .card")).to_have_count(4)


@pytest.mark.parametrize("k", [2, 3])
def test_everything_fits_on_320_pixels(asks, k):
    form = Judgement(
        ask="strength" if k == 2 else "ranking",
        criteria=(Criterion("a", "A criterion with a long name"), Criterion("b", "Progress", kind="scale")),
        confidence="required",
        reason=Reason("required", ("A long reason to tick, of many words",), min_length=20),
        spans=True,
        parts="preference" if k == 2 else "good_bad",
        rewrite=True,
        report=True,
    )
    page = asks(form, k=k, width=320, height=640)
    page.evaluate("document.querySelectorAll('#battle details').forEach((one) => { one.open = true })")

    assert page.evaluate("document.documentElement.scrollWidth") == 320
    small = page.evaluate(
        """['button', 'summary', 'label:has(input)', 'select']
        .flatMap((one) => [...document.querySelectorAll(`#battle ${one}`)])
        .filter((one) => one.offsetParent && one.getBoundingClientRect().height < 24)
        .map((one) => one.outerHTML)"""
    )
    assert small == []
