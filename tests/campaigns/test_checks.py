"""Gold questions, repeats, instructions, the qualification and the thresholds that act on them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.models import Annotator, AnnotatorRuling, Assignment, Item
from annotation.services import campaigns, grading, items, queue, standing
from annotation.services.thresholds import findings, parse_rules
from arena.errors import BadInput
from arena.models import Vote
from arena.services import leaderboards
from tests.campaigns.conftest import annotator_of, answer, ask, leased

pytestmark = pytest.mark.django_db


def add_gold(campaign, number=3, purpose="gold"):
    """Questions in which the first contestant's response is the better one."""
    made = []
    for prompt in campaign.arena.prompts.order_by("id")[:number]:
        better, worse = prompt.responses.order_by("id").values_list("id", flat=True)[:2]
        made.append(
            items.add_known(
                campaign=campaign,
                purpose=purpose,
                responses=[better, worse],
                expected={"above": [[better, worse]]},
            )
        )
    return made


def said(assignment, *, right):
    """The ranks by slot that are, or are not, what the question expects."""
    better = assignment.item.expected["above"][0][0]
    first = assignment.battle.slots.order_by("position")[0].response_id == better
    return {"ranks": [1, 2] if first == right else [2, 1]}


def judge(annotator, most, *, right=True):
    """Judge, and answer what is known rightly or wrongly."""
    for _ in range(most):
        found = ask(annotator)
        if found.assignment is None:
            return
        known = found.assignment.item.expected
        answer(found.assignment, said(found.assignment, right=right) if known else None)


@pytest.fixture
def with_gold(draft):
    def made(number=3, **fields):
        campaign = draft(**{"gold_every": 2, "overlap": 5, **fields})
        add_gold(campaign, number)
        return campaigns.start_campaign(campaign=campaign)

    return made


def test_one_battle_in_n_is_gold_and_looks_like_any_other(with_gold, client):
    campaign = with_gold(open_link=True)
    client.post(f"/campaigns/{campaign.slug}/join/{campaign.token}/")
    one = Annotator.objects.get()
    pages = {}
    for _ in range(4):
        page = client.get(f"/campaigns/{campaign.slug}/work/").content.decode()
        given = Assignment.objects.latest("id")
        pages[given.purpose] = page
        answer(given)

    assert Assignment.objects.filter(annotator=one, purpose="gold").count() == 2
    assert "gold" not in pages["gold"].lower()
    # The same page but for what differs from battle to battle: as many elements of each kind.
    assert pages["gold"].count("<") == pages[""].count("<")


def test_where_gold_comes_cannot_be_foretold_from_another_annotator(with_gold):
    campaign = with_gold(gold_every=5, number=4)
    places = set()
    for _ in range(12):
        one = annotator_of(campaign)
        places.add(tuple(queue._is_due(one, "gold", 5, number) for number in range(5)))

    assert all(sum(place) == 1 for place in places)  # exactly one in five
    assert len(places) > 1


def test_gold_answers_are_graded_and_rate_nobody(with_gold):
    campaign = with_gold()
    judge(annotator_of(campaign), 4)
    judge(annotator_of(campaign), 4, right=False)

    graded = list(
        Assignment.objects.filter(purpose="gold").order_by("annotator").values_list("correct", flat=True)
    )
    assert graded == [True, True, False, False]
    assert leaderboards.current_leaderboard(campaign.arena).counts["votes"] == 4


@pytest.mark.parametrize(
    ("ranks", "right"),
    [([1, 2], True), ([2, 1], False), ([1, 1], False), ([1, None], True), ([None, 1], False)],
)
def test_a_tie_is_not_what_was_expected(with_gold, ranks, right):
    campaign = with_gold()
    item = campaign.items.filter(purpose="gold").first()
    better, worse = item.expected["above"][0]

    order = grading.order_of(dict(zip((better, worse), ranks, strict=True)), better, worse)
    assert (order == 1) is right


def test_repeats_come_after_a_while_in_a_new_order_and_are_compared(started):
    campaign = started(repeat_every=2, repeat_gap=2, overlap=5, k=4)
    one = annotator_of(campaign)
    for _ in range(8):
        given = leased(one)
        responses = list(given.battle.slots.order_by("position").values_list("response_id", flat=True))
        order = sorted(responses)
        answer(given, {"ranks": [1 + order.index(one) for one in responses]})  # always the same opinion

    again = Assignment.objects.filter(purpose="repeat")
    assert again.exists()
    assert {one.agreement for one in again} == {1.0}
    for one in again:
        first = Assignment.objects.get(item=one.item_id, repetition=0)
        between = Assignment.objects.filter(id__gt=first.pk, id__lt=one.pk).count()
        assert between >= 2
    # A repeat takes no place, and counts for nothing.
    assert sum(item.held for item in campaign.items.all()) == Assignment.objects.filter(purpose="").count()


def test_an_instruction_names_a_slot_and_failing_it_twice_may_exclude(started):
    rule = {"measure": "checks", "limit": 2, "after": 2, "act": "exclude"}
    campaign = started(checks_every=2, overlap=5, rules=[rule])
    one = annotator_of(campaign)
    failed = 0
    for _ in range(4):
        given = ask(one).assignment
        if given is None:
            break
        if given.check_position is None:
            assert queue.instruction(given) == ""
            answer(given)
            continue
        letter = "AB"[given.check_position]
        assert f"put response {letter} first" in queue.instruction(given)
        answer(given, {"ranks": [2, 1] if given.check_position == 0 else [1, 2]})
        failed += 1
        one.refresh_from_db()
        assert (one.state == "excluded") is (failed == 2)

    assert (failed, ask(one).kind) == (2, "excluded")
    assert one.rulings.get().reason == "2 of 2 instructions were not followed."


def test_nobody_is_excluded_for_one_failed_instruction():
    with pytest.raises(BadInput, match="fewer than two"):
        parse_rules([{"measure": "checks", "limit": 1, "after": 1, "act": "exclude"}])


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("gold", "list"),
        ([{"measure": "gold"}], "give measure, limit, after and act"),
        ([{"measure": "golt", "limit": 0.5, "after": 5, "act": "warn"}], "Did you mean gold"),
        ([{"measure": "gold", "limit": 7, "after": 5, "act": "warn"}], "from 0.01 to 1"),
        ([{"measure": "gold", "limit": "x", "after": 5, "act": "warn"}], "not a number"),
        ([{"measure": "gold", "limit": 0.5, "after": 0, "act": "warn"}], "whole number"),
        ([{"measure": "gold", "limit": 0.5, "after": 5, "act": "shout"}], "Known are warn"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused_in_words(rule, says):
    with pytest.raises(BadInput, match=says):
        parse_rules(rule)


def test_a_threshold_warns_once_and_then_needs_fresh_evidence(with_gold):
    rule = {"measure": "gold", "limit": 0.7, "after": 2, "act": "warn"}
    campaign = with_gold(number=6, rules=[rule], most_each=20)
    one = annotator_of(campaign)

    judge(one, 4, right=False)
    assert [each.action for each in one.rulings.all()] == ["warned"]
    assert one.rulings.get().figures == {"right": 0, "of": 2}
    judge(one, 2, right=False)
    assert one.rulings.count() == 1  # one wrong answer more is not enough
    judge(one, 2, right=False)
    assert one.rulings.count() == 2
    one.refresh_from_db()
    assert one.state == "active"


def test_careful_annotators_are_left_alone(with_gold):
    rules = [
        {"measure": "gold", "limit": 0.7, "after": 2, "act": "exclude"},
        {"measure": "skips", "limit": 0.5, "after": 4, "act": "exclude"},
    ]
    campaign = with_gold(rules=rules)
    one = annotator_of(campaign)
    judge(one, 8)

    assert one.rulings.count() == 0


def test_exclusion_by_a_threshold_gives_the_places_back_and_can_be_taken_back(with_gold):
    rule = {"measure": "gold", "limit": 0.7, "after": 2, "act": "exclude"}
    campaign = with_gold(rules=[rule], overlap=1)
    one = annotator_of(campaign)
    judge(one, 4, right=False)
    one.refresh_from_db()
    assert one.state == "excluded"
    assert Vote.objects.counted().filter(battle__purpose="").count() == 0
    assert sum(item.held for item in campaign.items.all()) == 0

    standing.rule_on_annotator(annotator=one, action="reinstated", reason="The gold was wrong.", by=None)

    ordinary = Vote.objects.filter(battle__purpose="")
    assert Vote.objects.counted().filter(battle__purpose="").count() == ordinary.count() > 0
    assert findings(one) == []  # the old evidence is not held against them again
    assert ask(one).kind == "battle"


def test_a_place_that_was_filled_meanwhile_stays_with_whoever_filled_it(started):
    campaign = started(overlap=1, prompt_filter={"most": 1})
    one = annotator_of(campaign)
    mine = answer(leased(one))
    standing.rule_on_annotator(annotator=one, action="excluded", reason="test", by=None)
    campaigns.resume_campaign(campaign=campaign)
    theirs = answer(leased(annotator_of(campaign)))

    ruling = standing.rule_on_annotator(annotator=one, action="reinstated", reason="test", by=None)

    assert ruling.figures == {"restored": [], "filled": [mine.pk]}
    assert [vote.pk for vote in Vote.objects.counted()] == [theirs.pk]


def test_always_the_first_slot_is_noticed_and_chance_is_not(started):
    rule = {"measure": "position", "limit": 0.01, "after": 8, "act": "warn"}
    campaign = started(overlap=5, per_prompt=4, rules=[rule])
    habit, fair = annotator_of(campaign), annotator_of(campaign)
    for number in range(16):
        answer(leased(habit), {"ranks": [1, 2]})
        answer(leased(fair), {"ranks": [1, 2] if number % 2 else [2, 1]})

    assert "Response A was put first" in habit.rulings.get().reason
    assert fair.rulings.count() == 0


def test_answers_faster_than_reading_are_noticed(started):
    rule = {"measure": "speed", "limit": 3, "after": 4, "act": "pause"}
    campaign = started(overlap=5, rules=[rule])
    fast, slow = annotator_of(campaign), annotator_of(campaign)
    for _ in range(4):
        answer(leased(fast))
        given = leased(slow)
        type(given.battle).objects.filter(pk=given.battle_id).update(
            created_at=timezone.now() - timedelta(seconds=20), shown_at=timezone.now() - timedelta(seconds=20)
        )
        given.battle.refresh_from_db()
        answer(given)

    assert AnnotatorRuling.objects.get().annotator == fast
    assert ask(fast).kind == "paused"


def test_the_qualification_lets_in_at_the_pass_mark_after_a_second_try(draft):
    campaign = draft(pass_mark=60, tries=2)
    add_gold(campaign, 3, purpose="qualification")
    campaign = campaigns.start_campaign(campaign=campaign)
    one = annotator_of(campaign)

    judge(one, 3, right=False)
    one.refresh_from_db()
    assert (one.state, one.tries_used) == ("qualifying", 1)
    for number in range(3):
        given = leased(one)
        assert given.purpose == "qualification"
        answer(given, said(given, right=number > 0))
    one.refresh_from_db()

    assert (one.state, one.tries_used) == ("active", 2)  # two of three are 67 %
    assert leased(one).purpose == ""
    assert leaderboards.current_leaderboard(campaign.arena).counts["votes"] == 0


def test_a_skipped_question_of_the_qualification_is_not_a_right_one(draft):
    campaign = draft(tries=1)
    add_gold(campaign, 1, purpose="qualification")
    campaign = campaigns.start_campaign(campaign=campaign)
    one = annotator_of(campaign)

    answer(leased(one), {"skip": "I do not know the subject"})

    assert ask(one).kind == "screened_out"


def test_what_everybody_agreed_on_can_become_gold_and_what_they_did_not_cannot(started):
    campaign = started(overlap=3, prompt_filter={"most": 2})
    agreed, disputed = campaign.items.all()
    for number in range(3):
        one = annotator_of(campaign)
        for _ in range(2):
            given = leased(one)
            better = min(given.item.responses)
            first = given.battle.slots.order_by("position")[0].response_id == better
            turned = given.item_id == disputed.pk and number == 0
            answer(given, {"ranks": [1, 2] if first != turned else [2, 1]})

    assert [item.pk for item, _above in items.unanimous_items(campaign)] == [agreed.pk]
    made = items.promote(item=agreed)
    assert made.expected == {"above": [sorted(agreed.responses)]}
    assert items.unanimous_items(campaign) == []
    with pytest.raises(BadInput, match="differ"):
        items.promote(item=disputed)
    assert Item.objects.get(pk=agreed.pk).held == 3  # its own votes stay what they are
