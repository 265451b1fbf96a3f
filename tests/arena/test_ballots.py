from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.errors import BadBallot
from arena.services.ballots import Ballot

# How long an example takes says nothing on a machine that is shared.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PLACES = st.lists(st.integers(1, 8), min_size=2, max_size=8).filter(lambda ranks: max(ranks) <= len(ranks))


@patient
@given(PLACES)
def test_any_ranks_keep_their_order_and_ties(ranks):
    kept = Ballot.parse({"ranks": ranks}, len(ranks)).ranks

    for i in range(len(ranks)):
        assert kept[i] == 1 + sum(other < ranks[i] for other in ranks)
        for j in range(len(ranks)):
            assert (kept[i] < kept[j], kept[i] == kept[j]) == (ranks[i] < ranks[j], ranks[i] == ranks[j])


@patient
@given(PLACES)
def test_reading_what_was_kept_changes_nothing(ranks):
    kept = Ballot.parse({"ranks": ranks}, len(ranks))

    assert Ballot.parse({"ranks": list(kept.ranks)}, len(ranks)) == kept


VALUES = st.none() | st.booleans() | st.integers() | st.text("ab \x00\n", max_size=300)


@patient
@given(
    st.dictionaries(
        st.sampled_from(["ranks", "best", "all_bad", "skip", "other"]),
        VALUES | st.lists(VALUES | st.floats(), max_size=6),
    )
)
def test_anything_else_is_a_ballot_or_a_sentence(data):
    ballot, said = None, ""
    try:
        ballot = Ballot.parse(data, 4)
    except BadBallot as refusal:
        said = str(refusal)

    if ballot is None:
        assert said.endswith(".")
        return
    assert ballot.kind in ("ranking", "best", "all_bad", "skip")
    assert (ballot.ranks is None) == (ballot.kind in ("all_bad", "skip"))
    assert ballot.ranks is None or len(ballot.ranks) == 4


def test_the_first_response_can_be_the_best():
    assert Ballot.parse({"best": 0}, 3).ranks == (1, None, None)


def test_a_reason_is_one_line():
    assert Ballot.parse({"skip": " not\n my  field\x00 "}, 3).skip_reason == "not my field"


def test_a_false_all_bad_beside_ranks_is_no_second_answer():
    assert Ballot.parse({"ranks": [1, 2], "all_bad": False, "skip": None}, 2).kind == "ranking"
