import pytest

from arena.services import analyses
from arena.services.leaderboards import current_leaderboard
from tests import factories
from tests.browser.test_accessibility import assert_accessible

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_page_behind_the_ratings_with_all_its_parts(new_page, open_arena):
    voters = [factories.make_voter() for _ in range(6)]
    prompts = list(open_arena.prompts.order_by("id"))
    prompts[0].tags = ["verse"]
    prompts[0].save()
    contestants = list(open_arena.contestants.order_by("id"))
    for turn in range(240):
        shown = [contestants[(turn + step) % 5] for step in range(4)]
        ranks = [1, 2, 3, 4] if turn % 3 else [4, 3, 2, 1]
        voter, prompt = voters[turn % 6], prompts[turn // 5 % 6]
        factories.make_vote(open_arena, ranks, contestants=shown, voter=voter, prompt=prompt)
    analyses.compute(current_leaderboard(open_arena))
    page = new_page()

    page.goto("/arenas/garden/leaderboard/")
    assert_accessible(page)
    page.get_by_role("link", name="Behind the ratings").click()
    page.get_by_label("Contestant", exact=True).select_option(label=contestants[3].name)
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("battles;").wait_for()
    for summary in page.locator("main summary").all():
        summary.click()

    assert page.get_by_text("expected to win").is_visible()
    assert page.get_by_role("table").count() >= 6
    assert_accessible(page)
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
