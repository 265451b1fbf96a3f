from datetime import timedelta

import pytest
from django.utils import timezone

from arena import tasks
from arena.errors import BadInput
from arena.models import Analysis, Contestant, Job, Leaderboard, Response
from arena.services import analyses, jobs
from arena.services.analyses import asking, sections
from arena.services.analyses.style import counts, style_of
from arena.services.leaderboards import current_leaderboard, votes_behind
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena(db):
    """Ann before Ben before Cid, by eight voters; Dee has joined and nobody has met her yet."""
    arena = factories.make_pool(names=["Ann", "Ben", "Cid"], k=3, prompts=2)
    voters = [factories.make_voter() for _ in range(8)]
    orders = ([1, 2, 3], [1, 2, 3], [2, 1, 3], [1, 3, 2], [3, 2, 1], [1, 2, 2])
    for turn in range(48):
        prompt = arena.prompts.order_by("id")[turn % 2]
        factories.make_vote(arena, orders[turn % 6], voter=voters[turn % 8], prompt=prompt)
    factories.make_contestant(arena, "Dee")
    return arena


def the_job():
    return Job.objects.get(kind=Job.Kind.ANALYSIS)


def test_looking_queues_one_job_and_its_work_is_shown_afterwards(arena):
    board = current_leaderboard(arena)
    first, second = analyses.analysis_for(board), analyses.analysis_for(board)
    assert (first.analysis, first.current) == (None, False)
    assert first.job == second.job == the_job()

    tasks.analyse_leaderboard(the_job().pk)

    shown = analyses.analysis_for(board)
    assert shown.current
    assert shown.job is None
    assert set(shown.results) == set(sections.SECTIONS)
    assert the_job().state == Job.State.DONE


def test_the_same_message_twice_computes_once(arena):
    analyses.analysis_for(current_leaderboard(arena))

    tasks.analyse_leaderboard(the_job().pk)
    tasks.analyse_leaderboard(the_job().pk)

    assert Analysis.objects.count() == 1


def test_without_votes_nothing_is_queued(open_arena):
    assert analyses.analysis_for(current_leaderboard(open_arena)).job is None
    assert not Job.objects.exists()


def test_new_votes_outdate_it_and_a_new_one_waits_a_while(arena, monkeypatch):
    analyses.compute(current_leaderboard(arena))
    factories.make_vote(arena, [3, 2, 1])
    board = current_leaderboard(arena)

    soon = analyses.analysis_for(board)
    assert soon.analysis is not None
    assert not soon.current
    assert soon.job is None

    Analysis.objects.update(created_at=timezone.now() - asking.PAUSE)
    assert analyses.analysis_for(board).job is not None
    # One that took long waits longer: it may not take a worker for itself.
    the_job().delete()
    Analysis.objects.update(seconds=60.0, created_at=timezone.now() - timedelta(seconds=500))
    assert analyses.analysis_for(board).job is None
    assert analyses.analysis_for(board, ask=False).job is None


def test_old_analyses_and_their_jobs_do_not_pile_up(arena):
    for _ in range(asking.KEPT + 2):
        Leaderboard.objects.all().delete()
        Analysis.objects.update(last_vote=0, created_at=timezone.now() - timedelta(hours=1))
        analyses.analysis_for(current_leaderboard(arena))
        tasks.analyse_leaderboard(Job.objects.get(state=Job.State.QUEUED).pk)

    assert Analysis.objects.count() == asking.KEPT
    assert Job.objects.count() == 1


def test_a_cancelled_analysis_keeps_nothing(arena):
    analyses.analysis_for(current_leaderboard(arena))
    jobs.cancel(the_job())

    tasks.analyse_leaderboard(the_job().pk)

    assert not Analysis.objects.exists()


def test_every_part_speaks_of_those_who_were_voted_on(arena):
    results = analyses.compute(current_leaderboard(arena)).results

    assert {goal["goal"] for goal in results["outlook"]["goals"]} == {"top", "width", "order"}
    assert results["fragility"]["flips"][0]["ahead"] == "Ann"
    assert 1 <= results["fragility"]["flips"][0]["votes"] < 48
    assert {row["model"] for row in results["raters"]["rows"]} == {"Ann", "Ben", "Cid"}
    assert results["pairs"]["models"] == ["Ann", "Ben", "Cid"]
    assert results["pairs"]["wins"][0][1] + results["pairs"]["wins"][1][0] == 48
    assert results["tags"] == {"missing": "no_tags"}
    assert results["circles"] == {"missing": "few_votes"}


def test_retired_contestants_are_left_out_of_the_outlook(arena):
    Contestant.objects.filter(name__in=["Ben", "Cid", "Dee"]).update(retired_at=timezone.now())

    results = analyses.compute(current_leaderboard(arena)).results

    assert results["outlook"] == {"missing": "few_contestants"}


def test_whom_nobody_voted_on_does_not_decide_the_outlook(arena):
    with_dee = analyses.compute(current_leaderboard(arena)).results["outlook"]
    Contestant.objects.filter(name="Dee").delete()
    without = analyses.compute(current_leaderboard(arena)).results["outlook"]

    assert with_dee.pop("new") == ["Dee"]
    assert without.pop("new") == []
    assert [goal["reached"] for goal in with_dee["goals"]] == pytest.approx(
        [goal["reached"] for goal in without["goals"]], rel=0.01
    )
    assert with_dee["k"] == without["k"] == 3


def test_few_votes_are_said_to_be_too_few():
    arena = factories.make_pool(names=["Ann", "Ben"], k=2)
    factories.make_vote(arena, [1, 2])

    results = analyses.compute(current_leaderboard(arena)).results

    assert all(part == {"missing": "few_votes"} for part in results.values())


def test_tags_with_votes_on_both_sides_are_compared(arena):
    tagged = arena.prompts.order_by("id").first()
    tagged.tags = ["verse", "rare"]
    tagged.save()

    part = analyses.compute(current_leaderboard(arena)).results["tags"]

    assert [one["tag"] for one in part["tags"]] == ["rare", "verse"]
    assert part["tags"][0]["votes"] == 24
    for row in part["tags"][0]["rows"]:
        assert row["lower"] < row["difference"] < row["upper"]


def test_what_style_sways_is_taken_out(db):
    """Whoever writes more wins, whichever of the two equals it is."""
    arena = factories.make_pool(names=["Ann", "Ben"], k=2, prompts=6)
    for turn, response in enumerate(Response.objects.order_by("prompt_id", "contestant_id")):
        # Ann writes more on four prompts of six.
        longer = (turn % 2 == 0) == (turn // 2 < 4)
        Response.objects.filter(pk=response.pk).update(text="word " * (60 if longer else 20))
    for turn in range(60):
        prompt = arena.prompts.order_by("id")[turn % 6]
        ann_writes_more = turn % 6 < 4
        won = ann_writes_more if turn % 5 else not ann_writes_more
        factories.make_vote(arena, [1, 2] if won else [2, 1], prompt=prompt)
    board = current_leaderboard(arena)

    part = analyses.compute(board).results["style"]

    length = next(effect for effect in part["effects"] if effect["name"] == "length")
    assert 0 < length["twice_lower"] < length["twice"] < length["twice_upper"]
    published = {row["model"]: row["rating"] for row in board.rows}
    alike = {row["model"]: row["rating"] for row in part["rows"]}
    assert abs(alike["Ann"] - alike["Ben"]) < 0.5 * abs(published["Ann"] - published["Ben"])


def test_style_is_counted_in_characters_headings_items_bold_and_code():
    text = "# Title\n\n- one\n- two\n1. three\n\nIt is **very** __good__.\n\n```\ncode # no heading\n```\n"

    assert counts(text) == (float(len(text)), 1.0, 3.0, 2.0, 1.0)


def test_a_vote_whose_texts_are_not_there_has_no_style(arena):
    Response.objects.all().update(text="")

    columns = style_of(arena, votes_behind(current_leaderboard(arena)))

    assert set(columns) == {"position"}


def test_two_are_compared_with_what_they_did_when_they_met(arena):
    board = current_leaderboard(arena)
    ids = {row["model"]: row["contestant"] for row in board.rows}
    results = analyses.compute(board).results

    found = analyses.compare(board, results, ids["Cid"], ids["Ann"])

    assert (found.ahead, found.behind) == ("Ann", "Cid")
    assert found.lower < found.gap < found.upper
    assert 0.95 < found.sure <= 1.0
    assert 0.5 < found.wins < 1.0
    assert found.met == 48
    assert 24 < found.won < 48
    assert analyses.compare(board, {}, ids["Ann"], ids["Cid"]).met is None
    for first, second in (("Ann", "Ann"), ("Ann", "Dee")):
        with pytest.raises(BadInput):
            analyses.compare(board, results, ids[first], ids[second])


def test_certainty_is_that_of_the_engine(arena):
    board = current_leaderboard(arena)

    certain = analyses.certainty(board)

    assert certain.shape == (3, 3)
    assert certain + certain.T == pytest.approx(1.0)
    assert certain[0, 2] > 0.95
