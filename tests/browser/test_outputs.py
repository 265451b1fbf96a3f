"""What models write, in a real browser: nothing runs, nothing is fetched, and all of it can be read."""

import re
from html import escape

import pytest
from playwright.sync_api import Page, expect

from arena.models import Arena, Job, Turn
from arena.services.responses import NewResponse, record_responses
from tests import factories
from tests.hostile import ATTACKS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NEVER = "script, style, iframe, object, embed, form, input, button, svg, img, link, meta, base, video, audio"
RTL = """السلام عليكم، هذه **إجابة** قصيرة مع كود:

```python
def area(radius):  # square metres
    return 3.14 * radius ** 2
```

1. الأولى $x^2 + y^2 = z^2$
2. الثانية

English follows, left to right.

שלום, זו פסקה בעברית עם `code` בתוכה.
"""


def make_battle_of(*texts: str, **fields: object) -> Arena:
    """An open arena with one battle: these responses to one prompt."""
    arena = factories.make_arena("gallery", k=len(texts), **fields)
    prompt = factories.make_prompt(arena, "Show what you can do.")
    for text in texts:
        factories.make_response(prompt, factories.make_contestant(arena), text)
    return arena


def test_no_hostile_text_runs_or_fetches_anything(new_page, live_server, transactional_db):
    """The whole corpus, in portions: no dialog, no request elsewhere, no violation of the policy."""
    portions = [ATTACKS[start : start + 32] for start in range(0, len(ATTACKS), 32)]
    dialogs, strangers, violations, seen = [], [], [], 0
    page = new_page()
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda one: strangers.append(one.url) if live_server.url not in one.url else None)
    page.on("console", lambda said: violations.append(said.text) if "Content Security" in said.text else None)
    for number, portion in enumerate(portions):
        half = len(portion) // 2
        arena = factories.make_arena(f"siege-{number}", k=2)
        prompt = factories.make_prompt(arena, portion[0])
        for part in (portion[:half], portion[half:]):
            factories.make_response(prompt, factories.make_contestant(arena), "\n\n---\n\n".join(part))
        page.goto(f"/arenas/siege-{number}/")
        expect(page.locator("#show-keys")).to_be_visible()
        links = page.locator(".output a").evaluate_all("all => all.map((one) => new URL(one.href).protocol)")
        assert set(links) <= {"http:", "https:", "mailto:"}
        assert page.locator(f".output :is({NEVER})").count() == 0
        assert page.locator("#battle").count() == 1  # nothing broke out of its card
        assert page.locator(".cards > .card").count() == 2
        seen += len(portion)

    assert (dialogs, strangers, violations) == ([], [], [])
    assert seen >= 150


def test_right_to_left_text_code_and_formulas_are_laid_out_each_its_way(new_page, transactional_db):
    make_battle_of(RTL, RTL)
    page = new_page()
    page.goto("/arenas/gallery/")
    output = page.locator("#card-A .output")

    def direction(selector: str) -> str:
        return output.locator(selector).first.evaluate("e => getComputedStyle(e).direction")

    assert output.evaluate("e => getComputedStyle(e).direction") == "rtl"
    assert direction("ol") == "rtl"
    assert direction("pre") == "ltr"
    assert output.locator("math").count() == 1
    # A paragraph begins where its own language begins.
    box = output.bounding_box()
    first = start_of(page, output.locator("p").nth(0))
    english = start_of(page, output.locator("p", has_text="English follows"))
    assert first["right"] > box["x"] + box["width"] - 8
    assert english["left"] < box["x"] + 8
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


def start_of(page: Page, paragraph: object) -> dict[str, float]:
    """The box of the text itself, not of the block around it."""
    return paragraph.evaluate(
        "e => { const r = document.createRange(); r.selectNodeContents(e);"
        " const b = r.getBoundingClientRect(); return {left: b.left, right: b.right}; }"
    )


def test_a_formula_has_a_size_and_a_name(new_page, transactional_db):
    make_battle_of("$$\\sum_{i=1}^n i = \\frac{n(n+1)}{2}$$", "plain")
    page = new_page()
    page.goto("/arenas/gallery/")
    formula = page.locator("math").first

    box = formula.bounding_box()
    assert box["height"] > 30  # a fraction and a sum stand high: it is laid out and not written in a row
    assert "\\frac" in formula.get_attribute("alttext")


def test_wide_things_stay_within_a_narrow_screen(new_page, transactional_db):
    wide = "|" + "a column|" * 9 + "\n|" + "-|" * 9 + "\n|" + "value|" * 9
    long_formula = "$$" + " + ".join(f"x_{{{n}}}^2" for n in range(40)) + "$$"
    make_battle_of(f"{wide}\n\n```\n{'x' * 300}\n```\n\n{long_formula}\n\n{'y' * 300}", "plain")
    page = new_page(width=320, height=640)
    page.goto("/arenas/gallery/")

    assert page.evaluate("document.documentElement.scrollWidth") == 320
    for scrolling in page.locator(".output [tabindex='0']").all():
        scrolling.focus()
        assert scrolling.evaluate("e => e === document.activeElement")


def test_long_responses_collapse_alike_and_open_together(new_page, transactional_db):
    long, short = "\n\n".join(f"Paragraph {n}." for n in range(120)), "Short."
    make_battle_of(long, long + "\n\nThe end.", short)
    page = new_page()
    page.goto("/arenas/gallery/")
    button = page.locator("#show-all")
    outputs = page.locator(".card > .output")

    def heights() -> list[float]:
        return [round(output.bounding_box()["height"]) for output in outputs.all()]

    expect(button).to_be_visible()  # the script has looked at what there is
    expect(button).to_have_attribute("aria-expanded", "false")
    folded = heights()
    assert len({height for height in folded if height > 100}) == 1  # the long ones end at one line
    button.press("Enter")
    expect(button).to_have_attribute("aria-expanded", "true")
    assert max(heights()) > 3 * max(folded)
    page.reload()
    expect(button).to_have_attribute("aria-expanded", "true")  # the choice is kept
    page.get_by_role("button", name="All bad").click()
    expect(page.locator("#reveal")).to_be_visible()
    expect(page.locator("#show-all")).to_have_attribute("aria-expanded", "true")


def test_short_responses_have_no_such_button(new_page, transactional_db):
    make_battle_of("One.", "Two.")
    page = new_page()
    page.goto("/arenas/gallery/")

    expect(page.locator("#show-keys")).to_be_visible()
    expect(page.locator("#show-all")).to_be_hidden()


def test_the_turns_of_whole_conversations_line_up(new_page, transactional_db):
    arena = factories.make_arena("gallery", k=2)
    prompt = factories.make_prompt(arena, "Help me choose.")
    for words in (3, 200):
        said = [
            {"role": "assistant", "content": "word " * words},
            {"role": "user", "content": "And then?"},
            {"role": "assistant", "content": "The end."},
        ]
        factories.make_response(prompt, factories.make_contestant(arena), "transcript", messages=said)
    page = new_page()
    page.goto("/arenas/gallery/")

    aligned = re.compile("min-block-size")
    expect(page.locator("#card-A .turn").first).to_have_attribute("style", aligned)
    tops = [
        [round(turn.bounding_box()["y"]) for turn in page.locator(f"#card-{letter} .turn").all()]
        for letter in "AB"
    ]
    assert len(tops[0]) == 3
    assert tops[0] == tops[1]
    expect(page.locator("#card-A .turn .role").nth(1)).to_have_text("User")


def test_each_card_of_a_joint_battle_shows_its_own_prompt(new_page, transactional_db):
    factories.make_pool("atlas", contestants=3, prompts=6, k=2, joint=True)
    page = new_page()
    page.goto("/arenas/atlas/")

    prompts = [page.locator(f"#card-{letter} .prompt .text").inner_text() for letter in "AB"]
    assert len(set(prompts)) == 2
    page.keyboard.press("1")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("#reveal")).to_be_visible()


def test_a_conversation_from_the_question_to_the_second_turn(new_page, transactional_db):
    arena = factories.make_arena("salon", k=2, own_prompts=True, turns=2)
    for number in range(3):
        factories.make_contestant(arena, f"model-{number}", backend="transformers", checkpoint="/nowhere")
    page = new_page()
    page.goto("/arenas/salon/ask/")
    page.get_by_label("Your message").fill("What is a loop?")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name="The models are answering")).to_be_visible()

    answer(Turn.objects.get(number=1), "A **loop** runs again.")
    expect(page.locator("#battle")).to_be_visible()
    expect(page.locator("#card-A strong")).to_have_text("loop")
    page.locator("#card-B .best").click()
    expect(page.get_by_role("heading", name="Go on from response B")).to_be_visible()
    page.get_by_label("Your message").fill("And when does it end?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("heading", name="The models are answering")).to_be_visible()

    answer(Turn.objects.get(number=2), "When you say so.")
    expect(page.locator("#battle")).to_be_visible()
    expect(page.locator(".prompt .message")).to_have_count(3)
    expect(page.locator(".prompt .assistant strong")).to_have_text("loop")
    page.locator("#card-A .best").click()
    expect(page.locator("#reveal")).to_be_visible()
    expect(page.get_by_label("Your message")).to_have_count(0)  # two turns are all there are


def test_a_question_that_nobody_can_answer_is_asked_again(new_page, transactional_db):
    arena = factories.make_arena("salon", k=2, own_prompts=True)
    for number in range(2):
        factories.make_contestant(arena, f"model-{number}", backend="transformers", checkpoint="/nowhere")
    page = new_page()
    page.goto("/arenas/salon/ask/")
    page.get_by_label("Your message").fill("What is a loop?")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name="The models are answering")).to_be_visible()

    Job.objects.filter(arena=arena).update(state=Job.State.FAILED)

    expect(page.get_by_role("heading", name="No answers this time")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("could not answer")
    expect(page.get_by_label("Your message")).to_have_value("What is a loop?")
    page.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("heading", name="The models are answering")).to_be_visible()


def answer(turn: Turn, text: str) -> None:
    for pk in turn.contestants["shown"]:
        contestant = turn.conversation.arena.contestants.get(pk=pk)
        record_responses(contestant=contestant, items=[NewResponse(turn.prompt_id, 0, escape(text))])
