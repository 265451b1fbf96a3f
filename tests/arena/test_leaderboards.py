import csv
import io
from datetime import timedelta

import pytest
from django.utils import timezone

from arena.models import Contestant, Leaderboard
from arena.services import board_fit, leaderboards, vote_log
from arena.services.leaderboards import (
    current_leaderboard,
    leaderboard_csv,
    leaderboard_data,
    recent_leaderboard,
    reproduce,
)
from arena.services.votes import reveal, rule_on_vote
from tests import factories

pytestmark = pytest.mark.django_db


def ratings(board):
    return {row["model"]: row["rating"] for row in board.rows}


@pytest.fixture
def arena(db):
    """Ann beats Ben beats Cid, by six voters who do not quite agree."""
    arena = factories.make_pool(names=["Ann", "Ben", "Cid"], k=3)
    for ranks in ([1, 2, 3], [1, 2, 3], [2, 1, 3], [1, 3, 2], [1, 2, 2], [1, 2, 3]):
        factories.make_vote(arena, ranks)
    return arena


def test_the_board_is_in_the_order_of_the_votes(arena):
    board = current_leaderboard(arena)

    assert [row["model"] for row in board.rows] == ["Ann", "Ben", "Cid"]
    for row in board.rows:
        assert set(row) == {
            "contestant", "model", "rating", "lower", "upper", "rank", "rank_lower", "rank_upper", "votes",
            "new", "retired",
        }  # fmt: skip
        assert row["lower"] < row["rating"] < row["upper"]
        assert row["rank_lower"] <= row["rank"] <= row["rank_upper"]
        assert row["votes"] == 6
        assert Contestant.objects.get(pk=row["contestant"]).name == row["model"]


def test_an_empty_arena_has_an_empty_board():
    board = current_leaderboard(factories.make_arena())

    assert board.rows == []
    assert board.counts["votes"] == 0


def test_without_votes_all_are_listed_and_nobody_is_ahead(open_arena):
    board = current_leaderboard(open_arena)

    assert len(board.rows) == 5
    assert len({row["rating"] for row in board.rows}) == 1
    assert all(row["votes"] == 0 and row["new"] for row in board.rows)


def test_a_contestant_nobody_voted_on_has_no_rank_and_takes_none(arena):
    before = current_leaderboard(arena)
    factories.make_contestant(arena, "Dee")

    board = current_leaderboard(arena)

    assert [(row["model"], row["rank"], row["new"]) for row in board.rows] == [
        ("Ann", 1, False), ("Ben", 2, False), ("Cid", 3, False), ("Dee", None, True),
    ]  # fmt: skip
    assert [(row["rank_lower"], row["rank_upper"]) for row in board.rows[:3]] == [
        (row["rank_lower"], row["rank_upper"]) for row in before.rows
    ]
    assert board.rows[3]["rank_lower"] is board.rows[3]["rank_upper"] is None
    assert leaderboard_csv(board).splitlines()[4].startswith(",,,Dee,")


def test_nothing_new_costs_no_fit(arena, django_assert_num_queries):
    board = current_leaderboard(arena)

    with django_assert_num_queries(4):
        assert current_leaderboard(arena) == board

    assert Leaderboard.objects.count() == 1


def test_a_vote_moves_the_board_at_once(arena):
    before = ratings(current_leaderboard(arena))

    factories.make_vote(arena, [3, 2, 1])

    after = ratings(current_leaderboard(arena))
    assert after["Ann"] < before["Ann"]
    assert after["Cid"] > before["Cid"]


def test_a_ruling_moves_the_board_and_back_again(arena, grace):
    before = current_leaderboard(arena)
    vote = factories.make_vote(arena, [3, 2, 1])
    moved = current_leaderboard(arena)
    factories.make_member(arena, grace, "lead")

    rule_on_vote(vote=vote, action="quarantined", reason="a bot", by=grace)
    without = current_leaderboard(arena)
    rule_on_vote(vote=vote, action="restored", reason="no bot", by=grace)
    restored = current_leaderboard(arena)

    assert ratings(without) == ratings(before)
    assert ratings(restored) == ratings(moved) != ratings(before)
    assert (without.counts["ruled_out"], restored.counts["ruled_out"]) == (1, 0)


def test_contestants_that_come_go_or_change_their_name_are_seen(arena):
    current_leaderboard(arena)
    newcomer = factories.make_contestant(arena, "Dee")
    assert "Dee" in ratings(current_leaderboard(arena))

    Contestant.objects.filter(pk=newcomer.pk).update(name="Eve", retired_at=timezone.now())

    board = current_leaderboard(arena)
    assert [row["retired"] for row in board.rows if row["model"] == "Eve"] == [True]
    assert "Dee" not in ratings(board)


def test_another_version_of_the_method_is_fitted_anew(arena, monkeypatch):
    board = current_leaderboard(arena)
    monkeypatch.setattr(leaderboards, "METHOD_VERSION", "other")

    assert current_leaderboard(arena) != board


def test_all_bad_and_skips_are_counted_and_move_nobody(arena):
    before = ratings(current_leaderboard(arena))
    factories.make_vote(arena, kind="all_bad")
    factories.make_vote(arena, kind="skip", skip_reason="not my field")
    factories.make_vote(arena, [None, 1, None], kind="best")

    board = current_leaderboard(arena)

    assert board.counts == {
        "ranking": 6, "best": 1, "all_bad": 1, "skip": 1, "votes": 9, "ruled_out": 0, "voters": 9
    }  # fmt: skip
    assert ratings(board)["Ben"] > before["Ben"]
    rule_out = arena.votes.get(kind="best")
    rule_on_vote(vote=rule_out, action="quarantined", reason="to compare", by=None)
    assert ratings(current_leaderboard(arena)) == before


def test_a_snapshot_is_made_again_to_the_last_bit(arena, grace):
    factories.make_member(arena, grace, "lead")
    out = factories.make_vote(arena, [3, 2, 1])
    rule_on_vote(vote=out, action="quarantined", reason="a bot", by=grace)
    board = current_leaderboard(arena)
    # What comes afterwards is not in it.
    rule_on_vote(vote=out, action="restored", reason="no bot", by=grace)
    rule_on_vote(vote=arena.votes.first(), action="withdrawn", reason="a slip", by=grace)
    factories.make_vote(arena, [3, 2, 1])
    Contestant.objects.filter(name="Ann").update(name="Ada")
    factories.make_contestant(arena, "Dee")
    vote_log.forget()

    board.refresh_from_db()
    assert reproduce(board) == board.rows
    assert reproduce(current_leaderboard(arena)) != board.rows


def test_enough_voters_widen_the_intervals_by_their_differences(arena):
    assert current_leaderboard(arena).settings["cluster"] is None

    for number in range(board_fit.VOTERS_TO_CLUSTER):
        factories.make_vote(arena, [1, 2, 3] if number % 3 else [2, 1, 3])

    assert current_leaderboard(arena).settings["cluster"] == "voter"


def test_what_cannot_be_known_is_said_in_words(open_arena):
    first, second, *_ = open_arena.contestants.order_by("id")
    factories.make_vote(open_arena, contestants=[first, second])

    warnings = leaderboard_data(current_leaderboard(open_arena))["warnings"]

    assert any(first.name in sentence and sentence.endswith(".") for sentence in warnings)


def test_spreadsheets_find_no_formula_in_the_csv():
    arena = factories.make_arena()
    names = ["=1+1", "+a", "-b", "@c", "\td", 'has "quotes", commas', "plain"]
    for name in names:
        factories.make_contestant(arena, name)

    text = leaderboard_csv(current_leaderboard(arena))

    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {row["model"] for row in rows} == {"'=1+1", "'+a", "'-b", "'@c", "'\td", names[5], "plain"}
    assert text.count("\r\n") == 8


def test_the_board_beside_a_vote_may_be_seconds_old_and_no_more(arena):
    board = recent_leaderboard(arena)
    factories.make_vote(arena, [3, 2, 1])
    assert recent_leaderboard(arena) == board

    Leaderboard.objects.update(created_at=timezone.now() - leaderboards.RECENT)
    assert recent_leaderboard(arena) == board  # nobody waits for the next,
    assert recent_leaderboard(arena).last_vote > board.last_vote  # which was made at once


def test_a_voter_gets_the_names_before_the_next_board_is_fitted(arena, client, monkeypatch):
    boards = []
    recent_leaderboard(arena)
    Leaderboard.objects.update(created_at=timezone.now() - leaderboards.RECENT)
    battle = client.post("/api/v1/battles/", {"arena": arena.slug}, "application/json").json()

    def noted(vote):
        told = reveal(vote)
        boards.append(Leaderboard.objects.count())
        return told

    monkeypatch.setattr("arena.api.battles.reveal", noted)
    told = client.post(f"/api/v1/battles/{battle['id']}/vote/", {"best": 0}, "application/json").json()

    assert told["revealed"]
    assert [*boards, Leaderboard.objects.count()] == [1, 2]


def test_a_fit_that_fails_after_the_answer_costs_nobody_their_vote(arena, client, monkeypatch, caplog):
    recent_leaderboard(arena)
    Leaderboard.objects.update(created_at=timezone.now() - leaderboards.RECENT)
    monkeypatch.setattr(leaderboards, "fit_leaderboard", lambda **_: 1 / 0)
    battle = client.post("/api/v1/battles/", {"arena": arena.slug}, "application/json").json()

    answer = client.post(f"/api/v1/battles/{battle['id']}/vote/", {"best": 0}, "application/json")

    assert answer.status_code == 201
    assert f"The leaderboard of {arena.slug} failed after its request was answered." in caplog.text


def test_nobody_waits_for_the_fit_of_another(arena):
    board = recent_leaderboard(arena)
    Leaderboard.objects.update(created_at=timezone.now() - leaderboards.RECENT)
    factories.make_vote(arena, [3, 2, 1])

    with leaderboards._fitting[arena.pk]:
        assert recent_leaderboard(arena) == board


def test_past_hours_keep_their_last_snapshot(arena):
    now = timezone.now().replace(minute=30, second=0, microsecond=0)
    minutes_ago = [90, 80, 70, 20, 10, 0]
    boards = []
    for minutes in minutes_ago:
        board = leaderboards.fit_leaderboard(arena=arena)
        Leaderboard.objects.filter(pk=board.pk).update(created_at=now - timedelta(minutes=minutes))
        boards.append(board)
    newest = Leaderboard.objects.get(pk=boards[-1].pk)

    leaderboards._thin_out(newest)

    kept = set(Leaderboard.objects.values_list("pk", flat=True))
    # 90 minutes before half past is on the hour: :00, :10 and :20 are of one hour.
    assert kept == {boards[2].pk, boards[5].pk}


def test_a_weight_that_an_import_gave_counts_in_the_fit(open_arena):
    for ranks, weight in (([1, 2, 3, 4], 3.0), ([2, 1, 3, 4], 1.0)):
        factories.make_vote(open_arena, ranks, details={"weight": weight})
    weighted = current_leaderboard(open_arena).rows
    even = factories.make_pool("even", contestants=5)
    for ranks in ([1, 2, 3, 4], [2, 1, 3, 4]):
        factories.make_vote(even, ranks)
    first, second = open_arena.contestants.order_by("id")[:2]

    rating = {row["contestant"]: row["rating"] for row in weighted}
    unweighted = {row["contestant"]: row["rating"] for row in current_leaderboard(even).rows}

    assert rating[first.pk] > rating[second.pk]
    first, second = even.contestants.order_by("id")[:2]
    assert unweighted[first.pk] == pytest.approx(unweighted[second.pk], abs=1e-6)
