"""What is refused, and that every way of handing votes over means the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ranking import BadVotes, Votes, fit
from ranking.blocks import RUN, sampled
from ranking.columns import codes_of

AB = ["A", "B"]
PAIRS = {"models_a": ["A", "B", "C"], "models_b": ["B", "C", "A"], "winners": ["model_a", "tie", "model_b"]}


def pairs(**changes):
    columns = PAIRS | changes
    return Votes.from_pairs(
        columns.pop("models_a"), columns.pop("models_b"), columns.pop("winners"), **columns
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"winners": ["model_a", "left", "tie"]}, "Vote 1 has 'left' as its winner; the words are model_a"),
        ({"winners": ["model_a", None, "tie"]}, "Vote 1 has no winner as its winner"),
        ({"models_a": ["A", "C", "C"]}, "Vote 1 compares a model with itself"),
        ({"models_a": ["A", None, "C"]}, "Vote 1 has no model name"),
        ({"models_b": ["B", "", "A"]}, "Vote 1 has no model name"),
        ({"weights": [1, -2, 1]}, "Vote 1 has the negative weight -2"),
        ({"counts": [1, 1, float("nan")]}, "Vote 2 has no number as its count"),
        ({"weights": [1, 2]}, "There are 3 votes but 2 values of weight"),
        ({"voters": ["x"]}, "There are 3 votes but 1 voters"),
        ({"models": ["A", "B"]}, "names the model 'C', which is not in the list"),
        ({"models": ["A", "B", "C", "A"]}, "The model 'A' is listed twice"),
        ({"models_b": ["B"]}, "The columns differ in length"),
        ({"covariates": {"length": [0.0, 0.0, 0.0]}}, "The covariate 'length' never differs"),
        ({"covariates": {"length": [1.0, np.inf, 0.0]}}, "Vote 1 has no number as its length"),
        ({"all_bad": "drop", "winners": ["both_bad"] * 3}, "all_bad is 'drop'"),
        ({"models_a": np.array([0, 1, 7]), "models_b": np.array([1, 2, 0]), "models": ["A", "B", "C"]},
         "Vote 2 names model 7"),
        ({"models_a": np.array([0, -1, 1]), "models_b": np.array([1, 2, 0])}, "Vote 1 names model -1"),
    ],
)  # fmt: skip
def test_bad_pairs_are_refused_with_one_sentence(changes, sentence):
    with pytest.raises(BadVotes, match=sentence):
        pairs(**changes)


@pytest.mark.parametrize(
    ("groups", "ranks", "sentence"),
    [
        ([[0, 1, 1]], [[1, 2, 3]], "Vote 0 ranks the same model twice"),
        ([[0, 1], [0, 1, 2]], [[1, 2], [1, 2]], "Vote 1 has 3 models but 2 ranks"),
        ([[0, 1, 2], [0]], [[1, 2, 3], [1]], "Vote 1 compares fewer than two models"),
        ([[0, 1, 3]], [[1, 2, 3]], "Vote 0 names a model outside the ids 0 to 2"),
        ([[0, 1, 2]], [[0, 2, 3]], "Vote 0 has a rank below 1"),
        ([[0, 1, 2]], [[1.5, None, 3]], "Vote 0 has a rank that is not a whole number"),
        ([[0, 1, 2]], [[1, 2, 3], [1, 2, 3]], "There are 1 groups but 2 rankings"),
    ],
)
def test_bad_rankings_are_refused_with_one_sentence(groups, ranks, sentence):
    with pytest.raises(BadVotes, match=sentence):
        Votes.from_rankings(["A", "B", "C"], groups, ranks)


def test_lists_arrays_pandas_and_arrow_mean_the_same():
    frame = pd.DataFrame(
        {"a": list("ABCA"), "b": list("BCAC"), "w": ["model_a", "tie", "model_b", "model_a"]}
    )
    columns = [list(frame[name]) for name in "abw"]
    expected = fit(Votes.from_pairs(*columns)).strengths
    makers = {
        "numpy objects": lambda column: np.array(column, dtype=object),
        "numpy text": np.array,
        "pandas": pd.Series,
        "pandas categories": lambda column: pd.Series(column, dtype="category"),
        "arrow": pa.array,
        "arrow chunks": lambda column: pa.chunked_array([column[:1], column[1:]]),
        "a generator": iter,
    }
    for name, make in makers.items():
        found = fit(Votes.from_pairs(*[make(column) for column in columns]))
        assert found.models == ("A", "B", "C"), name
        assert found.strengths == pytest.approx(expected), name


@pytest.mark.parametrize("width", [3, 4, 6, 7])
def test_whole_ranks_are_sorted_as_numbers_with_fractions_are(width):
    rng = np.random.default_rng(width)
    groups = rng.permuted(np.tile(np.arange(9), (500, 1)), axis=1)[:, :width]
    score = rng.integers(0, width, groups.shape)
    ranks = 1 + (score[:, None, :] < score[:, :, None]).sum(axis=2)  # ties leave gaps: 1, 1, 3
    names = [f"m{i}" for i in range(9)]

    whole = Votes.from_rankings(names, groups, ranks).blocks
    sorted_ = Votes.from_rankings(names, groups, ranks.astype(float)).blocks

    assert len(whole) == len(sorted_) > 1
    for ours, theirs in zip(whole, sorted_, strict=True):
        assert ours.sizes == theirs.sizes
        np.testing.assert_array_equal(ours.items, theirs.items)
        np.testing.assert_array_equal(ours.rows, theirs.rows)


@pytest.mark.parametrize("wrong", [(135_999, 3), (135_999, -1), (135_999, 40)])
def test_a_bad_id_in_a_later_chunk_is_named_by_its_row(wrong):
    row, model = wrong
    first, second = np.zeros(140_000, dtype=int), np.full(140_000, 3)
    first[row] = model

    with pytest.raises(BadVotes, match=f"Vote {row} "):
        Votes.from_pairs(first, second, np.zeros(140_000, dtype=np.int8), models=["a", "b", "c", "d"])


@pytest.mark.parametrize("late", ["m 3", "seen once", None])
def test_a_long_column_of_text_has_the_codes_of_a_list(late):
    rng = np.random.default_rng(0)
    words = [f"m {i}" for i in np.minimum(rng.geometric(0.1, 140_000), 40)]
    words[137_001] = late  # between the slices in which the values are looked for

    for column in (pd.Series(words, dtype="str"), pa.array(words), pa.chunked_array([words[:9], words[9:]])):
        codes, values = codes_of(column)

        assert values == [word for word in dict.fromkeys(words) if word is not None]
        assert [None if code < 0 else values[code] for code in codes.tolist()] == words


def test_missing_names_in_arrow_and_pandas_are_refused():
    for make in (pa.array, pd.Series):
        with pytest.raises(BadVotes, match="Vote 1 has no model name"):
            pairs(models_a=make(["A", None, "C"]))


def test_integer_arrays_are_used_where_they_lie():
    first, second = np.array([0, 1, 2]), np.array([1, 2, 0])
    votes = Votes.from_pairs(first, second, np.array([0, 1, 0], dtype=np.int8), models=["A", "B", "C"])

    assert votes.blocks[0].first is first
    assert votes.blocks[0].second is second


def test_both_bad_is_no_tie_and_is_reported():
    votes = pairs(winners=["model_a", "both_bad", "model_b"])

    found = fit(votes)

    assert found.method == "bradley-terry"  # no tie was invented
    assert found.votes.tolist() == [2, 1, 1]
    assert any("1 vote says that all responses were bad" in sentence for sentence in found.warnings)
    as_tie = fit(pairs(winners=["model_a", "tie (bothbad)", "model_b"], all_bad="tie"))
    assert as_tie.method == "davidson"
    assert as_tie.votes.tolist() == [2, 2, 2]


def test_a_vote_that_ranks_nobody_is_all_bad():
    votes = Votes.from_rankings([*AB, "C"], [[0, 1, 2], [0, 1, 2]], [[1, 2, 3], [None, None, None]])

    assert votes.all_bad == 1
    assert fit(votes).votes.tolist() == [1, 1, 1]


def test_best_only_is_one_above_the_rest_and_orders_nothing_else():
    best_only = Votes.from_rankings(
        ["A", "B", "C"], [[0, 1, 2]] * 4 + [[1, 2, 0]] * 2 + [[2, 0, 1]], [[1, None, None]] * 7
    )

    found = fit(best_only)

    # One choice among three: the strengths are the logs of the shares of wins.
    shares = np.log([4 / 7, 2 / 7, 1 / 7])
    assert found.strengths == pytest.approx(shares - shares.mean(), abs=1e-6)
    assert found.log_likelihood == pytest.approx(4 * np.log(4 / 7) + 2 * np.log(2 / 7) + np.log(1 / 7))


def test_voter_codes_fill_the_gaps_and_keep_strangers_apart():
    votes = pairs(voters=["x", None, "x"], prompts=np.array([5, 900, 5]))

    assert votes.voters.tolist() == [0, 1, 0]
    assert votes.prompts.tolist() == [0, 1, 0]


def test_covariates_are_divided_by_their_typical_difference_among_the_votes_that_count():
    style = {"length": [1.0, -2.0, 100.0, 2.0], "lists": [0.0, 4.0, 7.0, 0.0]}
    votes = Votes.from_pairs(
        ["a", "b", "a", "b"], ["b", "a", "b", "a"], ["model_a", "tie", "both_bad", "model_b"],
        covariates=style,
    )  # fmt: skip

    assert votes.feature_scale == pytest.approx([np.sqrt(3.0), 4.0 / np.sqrt(3.0)])  # the bad one is left out
    assert votes.blocks[0].features[0] == pytest.approx(np.array([1.0, -2.0, 2.0]) / np.sqrt(3.0))


def test_a_covariate_that_never_differs_is_refused():
    with pytest.raises(BadVotes, match="'length' never differs"):
        Votes.from_pairs(["a", "b"], ["b", "a"], ["model_a", "tie"], covariates={"length": [0.0, 0.0]})


def test_a_sample_is_spread_over_all_votes_and_holds_each_once():
    places = sampled(10_000, 16)

    assert len(places) == len(set(places.tolist())) == pytest.approx(10_000 / 16, rel=0.1)
    assert places.max() < 10_000
    assert np.diff(places).max() <= 16 * RUN
