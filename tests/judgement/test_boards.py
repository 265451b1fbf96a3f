"""Leaderboards by criterion, and the composite by their weights."""

import json

import pytest

from arena.errors import BadInput
from arena.models import Arena, Leaderboard
from arena.services.criterion_boards import criterion_board
from arena.services.data_sets import data_set_folder, request_data_set, write_data_set
from arena.services.guidelines import revise
from arena.services.judgement import Criterion, Judgement
from arena.services.votes import rule_on_vote
from tests import factories

CRITERIA = (Criterion("helpful", "Helpful", weight=3.0), Criterion("truth", "Truthful", kind="choice"))


@pytest.fixture
def judged(db) -> Arena:
    """Alpha is the more helpful one, Beta the more truthful one, and overall they are even."""
    arena = factories.make_pool("judged", names=["alpha", "beta"], k=2)
    revise(arena=arena, by=None, form=Judgement(criteria=CRITERIA))
    for number in range(40):
        helpful = [2, 1] if number % 8 == 0 else [1, 2]
        truth = [1, None] if number % 4 == 0 else [None, 1]
        details = {"criteria": {"helpful": {"ranks": helpful}, "truth": {"ranks": truth}}}
        factories.make_vote(arena, [1, 2] if number % 2 else [2, 1], details=details)
    factories.make_vote(arena, [1, 2])  # said nothing of the criteria
    return arena


def ratings(arena: Arena, key: str) -> dict[str, float]:
    return {row["model"]: row["rating"] for row in criterion_board(arena, key).rows}


def test_each_criterion_has_its_own_order(judged):
    assert [row["model"] for row in criterion_board(judged, "helpful").rows] == ["alpha", "beta"]
    assert [row["model"] for row in criterion_board(judged, "truth").rows] == ["beta", "alpha"]
    assert criterion_board(judged, "helpful").counts == {"votes": 40, "voters": 40}
    assert not Leaderboard.objects.exists()  # they are no snapshots


def test_the_composite_lies_between_by_the_weights(judged):
    helpful, truth, both = (ratings(judged, key) for key in ("helpful", "truth", "composite"))

    def lead(of: dict[str, float]) -> float:
        return of["alpha"] - of["beta"]

    assert lead(truth) < lead(both) < lead(helpful)
    assert lead(both) == pytest.approx(0.75 * lead(helpful) + 0.25 * lead(truth), rel=0.15)


def test_a_vote_out_of_the_count_is_out_here_too(judged):
    before = ratings(judged, "truth")
    vote = judged.votes.exclude(details={}).first()
    rule_on_vote(vote=vote, action="quarantined", reason="Too quick", by=None)

    assert criterion_board(judged, "truth").counts["votes"] == 39
    assert ratings(judged, "truth") != before


def test_votes_on_some_of_the_criteria_are_taken(judged):
    factories.make_vote(judged, [1, 2], details={"criteria": {"truth": {"ranks": [1, 1]}}})

    assert criterion_board(judged, "truth").counts["votes"] == 41
    assert criterion_board(judged, "helpful").counts["votes"] == 40
    assert criterion_board(judged, "composite").counts["votes"] == 41


def test_unknown_criteria_and_a_lonely_composite_are_refused(judged):
    with pytest.raises(BadInput, match='Did you mean "helpful"'):
        criterion_board(judged, "helpfull")
    revise(arena=judged, by=None, form=Judgement(criteria=CRITERIA[:1]))
    with pytest.raises(BadInput, match="at least two criteria"):
        criterion_board(judged, "composite")


def test_page_json_csv_and_api_show_the_board(client, judged):
    page = client.get("/arenas/judged/leaderboard/?criterion=truth").content.decode()
    plain = client.get("/arenas/judged/leaderboard/").content.decode()
    table = client.get("/arenas/judged/leaderboard.json?criterion=truth").json()
    api = client.get("/api/v1/arenas/judged/leaderboard/?criterion=composite").json()
    rows = client.get("/arenas/judged/leaderboard.csv?criterion=truth").content.decode()

    assert page.index(">beta<") < page.index(">alpha<")
    assert "?criterion=composite" in plain
    assert table["leaderboard"][0]["model"] == "beta"
    assert table["settings"]["criterion"] == "truth"
    assert api["settings"]["weights"] == {"helpful": 3.0, "truth": 1.0}
    assert "beta" in rows.splitlines()[1]
    assert client.get("/arenas/judged/leaderboard/?criterion=nonsense").status_code == 400


def test_an_arena_without_criteria_has_no_such_boards(client, open_arena):
    assert "criterion=" not in client.get("/arenas/garden/leaderboard/").content.decode()
    assert client.get("/api/v1/arenas/garden/leaderboard/?criterion=helpful").status_code == 400


def test_nobody_judged_by_criterion_yet(client, db):
    arena = factories.make_pool("fresh", k=2)
    revise(arena=arena, by=None, form=Judgement(criteria=CRITERIA))

    for key in ("helpful", "composite"):
        assert client.get(f"/arenas/fresh/leaderboard/?criterion={key}").status_code == 200


def test_an_export_holds_what_was_said_beside_the_order(judged, tmp_path, settings):
    settings.DATA_SETS_DIR = tmp_path
    details = {
        "schema": 1,
        "guidelines": 1,
        "criteria": {"helpful": {"ranks": [1, 2]}},
        "reason": {"tags": ["Clearer"], "text": "Shorter."},
        "spans": [{"slot": 0, "start": 0, "end": 3, "label": "good"}],
        "timing": {"first_ms": 900},
    }
    vote = factories.make_vote(judged, [1, 2], details=details)
    data_set = write_data_set(request_data_set(arena=judged, formats=("kwise",)))

    lines = [
        line for file in data_set_folder(data_set).rglob("*.jsonl") for line in file.read_text().splitlines()
    ]
    row = next(row for row in map(json.loads, lines) if row["vote_id"] == str(vote.pk))
    assert json.loads(row["details"]) == details
