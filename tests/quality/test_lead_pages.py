"""The lead's dashboard and the quality of each voter: figures by hand, and what a lead can do."""

import csv
import io
import json

import numpy as np
import pytest
from django.utils import timezone

from annotation.services import cohorts, dashboard, quality, vote_facts
from annotation.services.dashboard import dashboard_of
from arena.errors import NotAllowed
from arena.models import Leaderboard, Vote, VoterRuling
from arena.services import invitations, standing
from arena.services.battles import start_battle
from arena.services.leaderboards import current_leaderboard
from arena.services.votes import rule_on_vote
from tests import factories
from tests.quality.conftest import cast

pytestmark = pytest.mark.django_db
MANAGE = "/arenas/garden/manage/"
RNG = np.random.default_rng(3)


def row_of(arena, voter):
    return quality.find_voter(quality.quality_of(arena), voter.pk)


def of(arena, count=3):
    return list(arena.contestants.order_by("id")[:count])


# Figures


def test_counts_times_and_shares_are_those_of_the_votes(open_arena, panel):
    prompt = open_arena.prompts.first()
    cast(open_arena, panel["ben"], prompt, of(open_arena), RNG, ms=200)
    factories.make_vote(open_arena, kind="skip", voter=panel["ben"], contestants=of(open_arena))

    row = row_of(open_arena, panel["ben"])

    assert (row.name, row.votes, row.skips) == ("ben", 8, 1)
    assert (row.fast.hits, row.fast.total) == (1, 8)
    assert (row.left.hits, row.left.total) == (1, 8)
    assert row.seconds[0] == 20.0
    assert not row.suspect


def test_a_battle_that_was_shown_and_left_counts_as_left_and_a_prefetched_one_does_not(open_arena, panel):
    for shown_at in (timezone.now(), None):
        factories.make_battle(
            open_arena, panel["ben"], contestants=of(open_arena), closed_at=timezone.now(), shown_at=shown_at
        )

    row = row_of(open_arena, panel["ben"])

    assert (row.left.hits, row.left.total) == (1, 7)


def test_agreement_is_on_contestants_and_not_on_slots(open_arena, panel):
    """Everybody saw another order of slots; what they say of the contestants agrees."""
    found = quality.quality_of(open_arena).agreement

    assert found.alpha.value > 0.4
    assert found.judgements == found.items * 6
    assert set(found.raters) == {voter.pk for voter in panel.values()}


def test_votes_out_of_the_count_are_out_of_the_figures(open_arena, panel, grace):
    standing.quarantine_votes(arena=open_arena, voters=[panel["ben"].pk], reason="A test.", by=grace)

    assert row_of(open_arena, panel["ben"]) is None
    assert dashboard_of(open_arena).totals.ruled_out == 6


def test_who_always_takes_the_first_response_is_named_with_the_reason(open_arena, panel):
    for number in range(40):
        prompt = open_arena.prompts.order_by("id")[number % 6]
        shown = RNG.permutation(of(open_arena)).tolist()
        cast(open_arena, panel["emil"], prompt, shown, RNG, ranks=[1, 2, 3])

    report = quality.quality_of(open_arena)

    assert report.rows[0].name == "emil"
    assert [row.name for row in report.rows if row.suspect] == ["emil"]
    assert any("Names response A the best" in reason.sentence for reason in report.rows[0].reasons)


def test_who_votes_faster_than_one_can_read_is_named(open_arena, panel):
    for number in range(12):
        prompt = open_arena.prompts.order_by("id")[number % 6]
        cast(open_arena, panel["dora"], prompt, of(open_arena), RNG, ms=300)

    row = row_of(open_arena, panel["dora"])

    assert [reason.key for reason in row.reasons] == ["fast"]
    assert "took less than" in row.reasons[0].sentence


def test_the_report_is_computed_once_until_somebody_votes(open_arena, panel, django_assert_max_num_queries):
    first = quality.quality_of(open_arena)
    with django_assert_max_num_queries(4):
        assert quality.quality_of(open_arena) is first
    cast(open_arena, panel["ada"], open_arena.prompts.first(), of(open_arena), RNG)

    assert quality.quality_of(open_arena) is not first


def test_people_of_one_invitation_who_push_together_are_found_as_one(open_arena, grace):
    """Twelve newcomers, five votes each, who are honest but for one contestant."""
    contestants = of(open_arena, 5)
    prompts = list(open_arena.prompts.order_by("id"))
    rng = np.random.default_rng(11)
    for _ in range(30):
        voter = factories.make_voter()
        for prompt in prompts:
            cast(open_arena, voter, prompt, rng.permutation(contestants)[:3].tolist(), rng, lapse=0.5)
    _made, link = invitations.invite(
        arena=open_arena, role="annotator", by=grace, note="panel of May", max_uses=20
    )
    worst = contestants[-1]
    for _ in range(12):
        user = factories.make_user()
        invitations.accept(token=link.rstrip("/").rpartition("/")[2], user=user)
        voter = factories.make_voter(user=user)
        for prompt in prompts[:5]:
            others = rng.permutation(contestants[:-1])[:2].tolist()
            shown = rng.permutation([worst, *others]).tolist()
            cast(open_arena, voter, prompt, shown, rng, ranks=[1 if one == worst else 2 for one in shown])

    found = cohorts.cohorts_of(open_arena)

    assert [(one.invitation.note, one.voters, one.suspect) for one in found] == [("panel of May", 12, True)]
    assert (found[0].contestant, found[0].z > 3) == (worst.name, True)


# Acts


def test_a_paused_voter_gets_no_battle_and_reads_why(open_arena, panel, grace, ada, sign_in):
    voter = panel["ada"]
    fresh = factories.make_prompt(open_arena)
    for contestant in of(open_arena, 5):
        factories.make_response(fresh, contestant)
    browser = sign_in(grace)
    answer = browser.post(
        f"{MANAGE}quality/{voter.pk}/", {"act": "paused", "reason": "Please read the guidelines again."}
    )

    assert answer.status_code == 302
    with pytest.raises(NotAllowed, match="Please read the guidelines again"):
        start_battle(arena=open_arena, voter=voter)
    assert VoterRuling.objects.get().evidence["votes"] == 6
    page = sign_in(ada).get("/arenas/garden/")
    assert page.status_code == 403
    assert "Please read the guidelines again" in page.content.decode()

    browser.post(f"{MANAGE}quality/{voter.pk}/", {"act": "cleared", "reason": "We talked."})
    assert start_battle(arena=open_arena, voter=voter)


def test_a_warned_voter_reads_the_warning_and_goes_on_voting(open_arena, grace, ada, sign_in):
    voter = factories.make_voter(user=ada)
    standing.rule_on_voter(
        arena=open_arena, voter=voter, action="warned", reason="Please read to the end.", by=grace
    )

    page = sign_in(ada).get("/arenas/garden/")

    assert page.status_code == 200
    assert "Please read to the end." in page.content.decode()
    assert start_battle(arena=open_arena, voter=voter)


def test_votes_are_taken_out_and_put_back_all_at_once(open_arena, panel, grace, sign_in):
    voter, browser = panel["ben"], sign_in(grace)
    before = current_leaderboard(open_arena).rows
    address = f"{MANAGE}quality/{voter.pk}/"

    browser.post(address, {"act": "quarantine", "reason": "Votes by a script."})
    assert Vote.objects.counted().filter(voter=voter).count() == 0
    assert current_leaderboard(open_arena).counts["ruled_out"] == 6

    browser.post(address, {"act": "restore", "reason": "It was no script."})
    assert Vote.objects.counted().filter(voter=voter).count() == 6
    assert current_leaderboard(open_arena).rows == before


def test_what_a_voter_withdrew_is_not_put_back(open_arena, panel, grace):
    mine = Vote.objects.filter(voter=panel["ben"]).first()
    rule_on_vote(vote=mine, action="withdrawn", reason="I was wrong.", by=grace)
    standing.quarantine_votes(arena=open_arena, voters=[panel["ben"].pk], reason="A test.", by=grace)

    assert standing.restore_votes(arena=open_arena, voters=[panel["ben"].pk], reason="Back.", by=grace) == 5
    assert mine not in Vote.objects.counted()


@pytest.mark.parametrize("act", ["warned", "quarantine", "promoted", ""])
def test_an_act_without_a_reason_or_without_a_name_changes_nothing(open_arena, panel, grace, sign_in, act):
    reason = "A reason." if act in ("promoted", "") else "  "
    answer = sign_in(grace).post(f"{MANAGE}quality/{panel['ben'].pk}/", {"act": act, "reason": reason})

    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()
    assert not VoterRuling.objects.exists()
    assert Vote.objects.counted().count() == 36


def test_the_leaderboard_without_a_voter_leaves_the_real_one_alone(open_arena, panel, grace, sign_in):
    boards = Leaderboard.objects.count()
    page = sign_in(grace).get(f"{MANAGE}quality/{panel['ben'].pk}/without/").content.decode()

    assert "Rating without" in page
    assert Leaderboard.objects.count() <= boards + 1
    assert Vote.objects.counted().count() == 36


# Pages


@pytest.mark.parametrize("page", ["dashboard/", "dashboard.json", "annotators.csv", "quality/"])
def test_pages_of_an_arena_without_votes_are_served(page, open_arena, grace, sign_in):
    assert sign_in(grace).get(MANAGE + page).status_code == 200


def test_the_dashboard_shows_and_exports_the_same_figures(open_arena, panel, grace, sign_in):
    browser = sign_in(grace)
    page = browser.get(f"{MANAGE}dashboard/").content.decode()
    data = json.loads(browser.get(f"{MANAGE}dashboard.json").content)
    rows = list(csv.DictReader(io.StringIO(browser.get(f"{MANAGE}annotators.csv").content.decode())))

    assert data["votes"] == {"ranking": 36}
    assert data["agreement"]["alpha"]["lower"] < data["agreement"]["alpha"]["value"]
    assert f"{data['agreement']['alpha']['value']:.2f}" in page
    assert {row["name"] for row in rows} == set(panel)
    assert {"gold.value", "alpha.lower", "seconds_per_vote.median"} <= set(rows[0])
    assert 'role="img"' in page  # a chart
    assert "As a table" in page  # and the same for those who cannot see it


def test_bars_are_by_the_hour_at_first_and_by_the_day_later(open_arena, panel):
    assert dashboard_of(open_arena).totals.bars.unit == "hour"

    # Votes cannot be moved into the past, so the facts of a week are made by hand.
    facts = vote_facts.read_facts(open_arena)
    facts.at[:6] -= 7 * 86_400
    week = dashboard._bars(facts)
    assert (week.unit, len(week.counts)) == ("day", 8)
    assert (week.counts[0], sum(week.counts)) == (6, 36)


def test_pages_take_few_queries_however_many_vote(
    open_arena, panel, grace, sign_in, django_assert_max_num_queries
):
    browser = sign_in(grace)
    for page in ("dashboard/", "quality/", f"quality/{panel['ben'].pk}/"):
        browser.get(MANAGE + page)
        with django_assert_max_num_queries(22):
            assert browser.get(MANAGE + page).status_code == 200


def test_a_campaign_of_another_arena_is_not_there(open_arena, panel, grace, sign_in):
    assert sign_in(grace).get(f"{MANAGE}dashboard/?campaign=nowhere").status_code == 404


def test_somebody_who_never_voted_here_is_not_there(open_arena, closed_arena, panel, grace, sign_in):
    other = factories.make_vote(closed_arena).voter

    assert sign_in(grace).get(f"{MANAGE}quality/{other.pk}/").status_code == 404
