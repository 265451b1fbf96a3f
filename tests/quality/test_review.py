"""Review: disagreement first, everybody's answer side by side, and an adjudicated vote of its own kind."""

import json

import pytest

from annotation.services import campaigns, review, review_queue, vote_facts
from arena.errors import BadInput, NotAllowed
from arena.models import AuditEntry, Battle, Vote, Voter
from arena.services.ballots import Ballot
from arena.services.leaderboards import current_leaderboard
from tests import factories

pytestmark = pytest.mark.django_db
REVIEW = "/arenas/garden/manage/review/"


@pytest.fixture(autouse=True)
def _no_queue_kept():
    yield
    review_queue.forget()
    vote_facts.forget()


@pytest.fixture
def judged(open_arena):
    """Three people judge the same three responses of two prompts: they agree on the first, not on the second.

    Each sees the responses in another order. Gives the contested prompt and the three contestants.
    """
    a, b, c = open_arena.contestants.order_by("id")[:3]
    calm, contested = open_arena.prompts.order_by("id")[:2]
    orders = [[a, b, c], [b, c, a], [c, a, b]]
    for shown in orders:
        best_first = {a: 1, b: 2, c: 3}
        factories.make_vote(open_arena, [best_first[x] for x in shown], contestants=shown, prompt=calm)
    for shown, best_first in zip(
        orders, [{a: 1, b: 2, c: 3}, {a: 3, b: 2, c: 1}, {a: 2, b: 2, c: 1}], strict=True
    ):
        factories.make_vote(open_arena, [best_first[x] for x in shown], contestants=shown, prompt=contested)
    factories.make_vote(open_arena, contestants=[a, b], prompt=contested)  # another item of that prompt
    return contested, (a, b, c)


def contested_item(arena):
    items, _total = review_queue.queue_of(arena)
    return review.get_item(arena=arena, battle_id=items[0].battle)


def test_what_people_disagree_on_comes_first_whatever_order_they_saw(open_arena, judged):
    items, total = review_queue.queue_of(open_arena)

    assert total == 2  # the single vote without a flag needs no review
    assert [one.votes for one in items] == [3, 3]
    # Of nine pairs of answers (three pairs of responses, three pairs of people) seven differ:
    # on a and b all three, on a and c and on b and c two each.
    assert items[0].disagreement == pytest.approx(7 / 9)
    assert items[1].disagreement == 0.0
    assert items[0].prompt == judged[0].messages[-1]["content"]


def test_a_single_vote_is_reviewed_where_it_is_flagged(open_arena, judged):
    contestants = open_arena.contestants.order_by("id")[:2]
    prompt = open_arena.prompts.order_by("id")[3]
    factories.make_vote(open_arena, contestants=contestants, prompt=prompt, details={"confidence": 1})

    items, total = review_queue.queue_of(open_arena)

    assert total == 3
    assert [(one.votes, one.unsure) for one in items] == [(3, 0), (1, 1), (3, 0)]


def test_everybodys_order_is_in_the_same_letters(open_arena, judged):
    item = contested_item(open_arena)

    assert [one.order for one in item.answers] == ["A > B > C", "C > B > A", "C > A = B"]
    assert len({slot.response_id for slot in item.slots}) == 3


def test_reasons_confidence_and_marks_are_shown_in_those_letters(open_arena, judged, sign_in, grace):
    contested, (a, b, c) = judged
    text = c.responses.get(prompt=contested).text
    factories.make_vote(
        open_arena,
        [2, 1, 3],
        contestants=[c, a, b],
        prompt=contested,
        details={
            "confidence": 2,
            "reason": {"tags": ["clear"], "text": "It answers the question."},
            "spans": [{"slot": 0, "start": 0, "end": 6, "label": "bad"}],
            "criteria": {"helpful": {"ranks": [1, 2, 3]}},
        },
    )
    item = contested_item(open_arena)

    said = item.answers[-1]
    assert said.order == "A > C > B"
    assert said.details["spans"] == [{"letter": "C", "text": text[:6], "label": "bad"}]
    assert said.details["criteria"] == {"helpful": "C 1, A 2, B 3"}
    page = sign_in(grace).get(f"{REVIEW}{item.battle.pk}/").content.decode()
    assert "It answers the question." in page
    assert "Confidence 2 of 4" in page


def test_the_adjudicated_answer_is_kept_apart_from_peoples_votes(open_arena, judged, grace):
    before = current_leaderboard(open_arena).rows
    item = contested_item(open_arena)

    vote = review.adjudicate(
        item=item,
        ballot=Ballot.parse({"ranks": [1, 1, 2]}, 3),
        by=grace,
        note="Both fine.",
        error_type="misread",
    )

    assert (vote.voter.kind, vote.battle.purpose) == ("adjudicated", "adjudication")
    assert vote.details["adjudication"] == {"note": "Both fine.", "error_type": "misread", "votes": 3}
    assert current_leaderboard(open_arena).rows == before
    counted = current_leaderboard(open_arena, ["person", "adjudicated"])
    assert counted.counts["votes"] == 8  # and is there for whoever asks for it
    done, total = review_queue.queue_of(open_arena, show="done")
    assert (total, done[0].key[0]) == (1, judged[0].pk)
    assert review_queue.queue_of(open_arena)[1] == 1


def test_who_adjudicates_again_replaces_the_former_answer(open_arena, judged, grace):
    for ranks in ([1, 2, 3], [3, 2, 1]):
        review.adjudicate(
            item=contested_item(open_arena) if ranks[0] == 1 else done_item(open_arena),
            ballot=Ballot.parse({"ranks": ranks}, 3),
            by=grace,
        )

    assert [one.order for one in done_item(open_arena).adjudicated] == ["C > B > A"]
    assert Vote.objects.filter(voter__kind=Voter.Kind.ADJUDICATED).count() == 2  # the log keeps both


def done_item(arena):
    items, _total = review_queue.queue_of(arena, show="done")
    return review.get_item(arena=arena, battle_id=items[0].battle)


def test_an_adjudication_is_taken_back(open_arena, judged, sign_in, grace):
    item = contested_item(open_arena)
    browser, address = sign_in(grace), f"{REVIEW}{item.battle.pk}/"
    form = {"rank-0": "1", "rank-1": "2", "rank-2": "2", "error_type": "", "note": "A is right."}
    assert browser.post(address, form).status_code == 302
    assert "Take the adjudication back" in browser.get(address).content.decode()

    browser.post(f"{address}undo/")

    assert review_queue.queue_of(open_arena)[1] == 2
    assert browser.post(f"{address}undo/").status_code == 302  # twice is no fault
    assert AuditEntry.objects.filter(action="vote withdrawn").count() == 1


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"rank-0": "1"}, "Give every response a rank"),
        ({"rank-0": "9", "rank-1": "1", "rank-2": "1"}, "ranks go from 1"),
        ({"rank-0": "1", "rank-1": "1", "rank-2": "1", "error_type": "sloth"}, "from the list"),
    ],
)
def test_a_wrong_answer_is_refused_with_the_form_kept(open_arena, judged, sign_in, grace, form, sentence):
    item = contested_item(open_arena)

    page = sign_in(grace).post(f"{REVIEW}{item.battle.pk}/", {"note": "Keep me.", **form})

    assert page.status_code == 400
    assert sentence in page.content.decode()
    assert "Keep me." in page.content.decode()
    assert not Battle.objects.filter(purpose="adjudication").exists()


def test_only_those_who_manage_adjudicate(open_arena, judged, ada, grace):
    item = contested_item(open_arena)

    with pytest.raises(NotAllowed):
        review.adjudicate(item=item, ballot=Ballot.parse({"all_bad": True}, 3), by=ada)
    with pytest.raises(BadInput):
        review.adjudicate(item=item, ballot=Ballot.parse({"all_bad": True}, 3), by=grace, note="x" * 3000)
    assert not Voter.objects.filter(kind="adjudicated").exists()


def test_the_export_holds_everybodys_answer_beside_the_adjudicated_one(open_arena, judged, sign_in, grace):
    review.adjudicate(
        item=contested_item(open_arena), ballot=Ballot.parse({"ranks": [1, 2, 3]}, 3), by=grace, note="So."
    )

    data = json.loads(sign_in(grace).get("/arenas/garden/manage/review.json").content)

    answers = data["items"][0]["answers"]
    assert [one["order"] for one in answers if not one["adjudicated"]] == [
        "A > B > C",
        "C > B > A",
        "C > A = B",
    ]
    assert [(one["note"], one["seconds"]) for one in answers if one["adjudicated"]] == [("So.", None)]
    assert set(data["items"][0]["responses"]) == {"A", "B", "C"}


@pytest.mark.parametrize("show", ["open", "done", "all", "nonsense"])
def test_the_queue_is_served_in_every_state(open_arena, sign_in, grace, show):
    assert sign_in(grace).get(f"{REVIEW}?show={show}&page=x").status_code == 200


def test_the_pages_need_a_bounded_number_of_queries(
    open_arena, judged, sign_in, grace, django_assert_max_num_queries
):
    browser, item = sign_in(grace), contested_item(open_arena)
    with django_assert_max_num_queries(16):
        browser.get(REVIEW)
    with django_assert_max_num_queries(24):
        browser.get(f"{REVIEW}{item.battle.pk}/")


def test_a_battle_without_a_vote_or_of_another_arena_is_not_there(open_arena, closed_arena, sign_in, grace):
    browser = sign_in(grace)
    for battle in (factories.make_battle(open_arena), factories.make_vote(closed_arena).battle):
        assert browser.get(f"{REVIEW}{battle.pk}/").status_code == 404


def test_the_queue_of_a_campaign_has_its_votes_alone(open_arena, judged, grace, sign_in):
    contested, (a, b, c) = judged
    campaign = campaigns.create_campaign(arena=open_arena, name="Weeding", k=3, overlap=1)
    for ranks in ([1, 2, 3], [3, 2, 1]):
        battle = factories.make_battle(
            open_arena, contestants=[a, b, c], prompt=contested, channel=campaign.channel
        )
        factories.vote_on(battle, ranks)

    (item,), total = review_queue.queue_of(open_arena, channel=campaign.channel)
    page = sign_in(grace).get(REVIEW, {"campaign": campaign.slug, "show": "all"})

    assert (total, item.votes, item.disagreement) == (1, 2, 1.0)
    assert review_queue.queue_of(open_arena)[0][0].votes == 5
    assert [one.votes for one in page.context["items"]] == [2]
    assert f'<option value="{campaign.slug}" selected>' in page.content.decode()
    assert sign_in(grace).get(REVIEW, {"campaign": "nowhere"}).status_code == 404
