"""What comes with a vote beside the order: read, checked and stored in one form."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.errors import BadBallot
from arena.models import Vote, Voter
from arena.services.ballots import Ballot
from arena.services.battles import start_battle
from arena.services.details import read_details
from arena.services.judgement import Criterion, Judgement, Reason
from arena.services.timing import read_timing
from arena.services.votes import cast_vote
from tests import factories
from tests.judgement.conftest import EVERYTHING, TEXT

RANKING = Ballot.parse({"ranks": [2, 1, 3]}, 3)
FULL = {
    "criteria": {"helpful": [1, 1, 3], "progress": {"scores": [0, 50, 100]}, "truth": {"best": 2}},
    "confidence": 4,
    "reason": {"tags": ["Clearer"], "text": "Short and right."},
}


@pytest.fixture
def battle(study):
    return start_battle(arena=study, voter=factories.make_voter())


def read(battle, given, ballot=RANKING, form=EVERYTHING, **options):
    return read_details(form=form, battle=battle, ballot=ballot, given=given, **options)


def test_all_that_is_asked_lands_in_one_known_form(battle):
    found = read(battle, {
        **FULL,
        "spans": [{"slot": 1, "start": 11, "end": 19, "label": "good"}],
        "parts": [{"slot": 0, "part": 1, "label": "bad"}],
        "rewrite": {"text": "Better."},
        "timing": {"first_ms": 900, "revisions": 2, "dwell_ms": [1, 2, 3], "device": "touch"},
    })  # fmt: skip

    assert found == {
        "schema": 1,
        "criteria": {
            "helpful": {"ranks": [1, 1, 3]},
            "progress": {"ranks": [3, 2, 1], "scores": [0, 50, 100]},
            "truth": {"ranks": [None, None, 1]},
        },
        "confidence": 4,
        "reason": {"tags": ["Clearer"], "text": "Short and right."},
        "spans": [{"slot": 1, "start": 11, "end": 19, "label": "good"}],
        "parts": [{"slot": 0, "part": 1, "start": 53, "end": 73, "label": "bad"}],
        "rewrite": {"slot": 1, "text": "Better."},
        "timing": {"first_ms": 900, "revisions": 2, "dwell_ms": [1, 2, 3], "device": "touch"},
    }
    assert TEXT[53:73] == "At sunset it is red."


def test_no_difference_on_a_choice_is_a_tie_of_all(battle):
    found = read(battle, {**FULL, "criteria": {**FULL["criteria"], "truth": {"best": None}}})

    assert found["criteria"]["truth"] == {"ranks": [1, 1, 1]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"criteria": {"helpful": [1, 1, 3]}}, "“Progress” is not judged yet."),
        ({"criteria": {**FULL["criteria"], "kind": [1, 1, 1]}}, "no criterion “kind”. It asks for: helpful"),
        (
            {"criteria": {**FULL["criteria"], "helpful": [1, 1]}},
            "Helpful: There are 3 responses but 2 ranks.",
        ),
        ({"criteria": {**FULL["criteria"], "progress": [1, 2, 101]}}, "Response C needs a whole number"),
        ({"criteria": {**FULL["criteria"], "truth": {"best": 3}}}, "Truthful: "),
        ({"criteria": [1]}, "criteria is an object."),
        ({"confidence": None}, "Say how sure you are."),
        ({"confidence": 5}, "from 1 (guessing) to 4 (certain)"),
        ({"confidence": True}, "from 1 (guessing) to 4 (certain)"),
        ({"reason": {}}, "at least 10 characters; there are 0 so far."),
        ({"reason": "Short."}, "at least 10 characters; there are 6 so far."),
        ({"reason": {"tags": ["Prettier"], "text": "x" * 10}}, "“Prettier” is none of the reasons to tick"),
        ({"reason": "x" * 5001}, "longer than 5000 characters"),
        ({"spans": [{"slot": 0, "start": 3, "end": 3, "label": "good"}]}, "outside response A"),
        ({"spans": [{"slot": 2, "start": 3, "end": 999, "label": "good"}]}, "outside response C"),
        ({"spans": [{"slot": 0, "start": -1, "end": 3, "label": "good"}]}, "outside response A"),
        ({"spans": [{"slot": 3, "start": 0, "end": 3, "label": "good"}]}, "from 0 to 2, not 3"),
        ({"spans": [{"slot": 0, "start": 0, "end": 3, "label": "fine"}]}, "good or bad, not 'fine'"),
        ({"spans": [{"slot": 0, "start": 0, "end": 1, "label": "bad"}] * 201}, "more than 200 entries"),
        ({"parts": [{"slot": 0, "part": 2, "label": "bad"}]}, "from 0 to 1, not 2"),
        ({"rewrite": {"slot": 0, "text": "Better."}}, "of A, but you judged B best"),
        ({"rewrite": {"text": "x" * 70_000}}, "longer than 65536 characters"),
        ({"confidense": 3}, "Did you mean confidence?"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(battle, change, says):
    with pytest.raises(BadBallot) as refusal:
        read(battle, {**FULL, **change})

    assert says in str(refusal.value)


@pytest.mark.parametrize("name", ["criteria", "confidence", "reason", "spans", "parts", "rewrite"])
def test_what_the_arena_does_not_ask_is_not_taken(battle, name):
    given = {
        "criteria": {"helpful": [1, 2, 3]},
        "confidence": 2,
        "reason": "Because it is.",
        "spans": [{"slot": 0, "start": 0, "end": 1, "label": "good"}],
        "parts": [{"slot": 0, "part": 0, "label": "good"}],
        "rewrite": {"text": "Better."},
    }

    with pytest.raises(BadBallot):
        read(battle, {name: given[name]}, form=Judgement())


def test_a_text_that_was_not_changed_is_no_rewrite(battle):
    assert "rewrite" not in read(battle, {**FULL, "rewrite": {"text": f"{TEXT}\n"}})


def test_all_bad_needs_no_criteria_and_a_skip_needs_nothing(battle):
    all_bad, skip = Ballot.parse({"all_bad": True}, 3), Ballot.parse({"skip": "Unclear"}, 3)

    assert "criteria" not in read(battle, {**FULL, "criteria": {}}, all_bad)
    assert read(battle, {}, skip) == {}
    with pytest.raises(BadBallot, match="Say how sure you are"):
        read(battle, {}, all_bad)


def test_programs_answer_what_they_can(study):
    judge = factories.make_voter(kind=Voter.Kind.JUDGE)
    battle = start_battle(arena=study, voter=judge)

    vote = cast_vote(battle=battle, voter=judge, ballot=RANKING, details={"confidence": 2})

    assert vote.details["confidence"] == 2


def test_best_part_of_each_row_names_the_spans_it_was_chosen_from(asks):
    form = Judgement(ask="best", parts="preference", split="step")
    arena = asks(form, k=2, text="Plan:\n1. Look.\n2. Leap.")
    battle = start_battle(arena=arena, voter=factories.make_voter())

    found = read(battle, {"parts": [{"part": 2, "best": 1}]}, Ballot.parse({"best": 0}, 2), form)

    assert found["parts"] == [{"part": 2, "spans": [[15, 23], [15, 23]], "best": 1}]


@pytest.mark.parametrize(
    ("form", "body", "says"),
    [
        (Judgement(all_bad=False), {"all_bad": True}, 'does not take "all bad"'),
        (Judgement(skip=False), {"skip": "Unclear"}, "does not take skips"),
        (Judgement(ask="best"), {"ranks": [1, 2]}, "asks for the best response only"),
        (Judgement(ask="strength"), {"ranks": [1, 2]}, "from −3 to 3"),
        (Judgement(), {"strength": 1}, "does not ask how much better"),
    ],
)
def test_answers_that_the_arena_does_not_take(asks, form, body, says):
    arena = asks(form, k=2)
    voter = factories.make_voter()
    battle = start_battle(arena=arena, voter=voter)

    with pytest.raises(BadBallot) as refusal:
        cast_vote(battle=battle, voter=voter, ballot=Ballot.parse(body, 2))

    assert says in str(refusal.value)
    assert not Vote.objects.exists()


@pytest.mark.parametrize(("strength", "ranks"), [(-3, [1, 2]), (-1, [1, 2]), (0, [1, 1]), (2, [2, 1])])
def test_the_sign_of_a_strength_is_the_order_and_its_size_is_kept(asks, strength, ranks):
    arena = asks(Judgement(ask="strength"), k=2)
    voter = factories.make_voter()

    vote = cast_vote(
        battle=start_battle(arena=arena, voter=voter),
        voter=voter,
        ballot=Ballot.parse({"strength": strength}, 2),
    )

    assert vote.ranks == ranks
    assert vote.details == {"schema": 1, "guidelines": 1, "strength": abs(strength)}


patient = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    max_examples=80,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.floats() | st.text("ab\x00 ", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["helpful", "truth", "ranks", "best", "slot", "start", "end", "label", "text", "tags"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@patient
@given(st.dictionaries(st.sampled_from([*FULL, "spans", "parts", "rewrite", "timing", "x"]), VALUES))
def test_hostile_details_are_read_or_refused_with_a_sentence(battle, given_details):
    form = Judgement(
        criteria=(Criterion("helpful", "Helpful"), Criterion("truth", "Truth", kind="choice")),
        confidence="optional",
        reason=Reason("optional"),
        spans=True,
        parts="preference",
        rewrite=True,
    )
    found, said = {}, "."
    try:
        found = read(battle, given_details, form=form, complete=False)
    except BadBallot as refusal:
        said = str(refusal)

    assert said[-1] in ".?"
    assert set(found) <= {"schema", *FULL, "spans", "parts", "rewrite", "timing"}


@patient
@given(VALUES | st.dictionaries(st.sampled_from(["first_ms", "dwell_ms", "scroll", "device"]), VALUES))
def test_times_of_a_browser_are_cut_to_bounds_and_never_refused(given_timing):
    found = read_timing(given_timing, 3)

    assert set(found) <= {"first_ms", "revisions", "dwell_ms", "scroll", "device", "screen"}
    assert 0 <= found.get("first_ms", 0) <= 86_400_000
    assert all(0 <= share <= 1 for share in found.get("scroll", []))
    assert len(found.get("dwell_ms", [0, 0, 0])) == 3
