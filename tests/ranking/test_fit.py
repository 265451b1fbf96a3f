"""What a fit promises: invariances, agreement with choix, recovery, honest intervals at the edges."""

from __future__ import annotations

from itertools import combinations

import choix
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranking import BadVotes, Votes, fit
from ranking.aggregate import aggregated
from tests.ranking.worlds import NAMES, random_rankings, random_votes

TRUTH = [1.0, 0.5, 0.0, -0.5, -1.0]
QUICK = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def rankings(draw):
    """(n, full rankings best first) of up to five among up to six models, strongly connected by a cycle."""
    n = draw(st.integers(2, 6))
    orders = draw(st.lists(st.permutations(range(n)).map(lambda order: order[:5]), min_size=1, max_size=30))
    cycle = [[i, (i + 1) % n] for i in range(n)] + [[(i + 1) % n, i] for i in range(n)]
    return n, [list(order) for order in orders] + cycle


@given(rankings())
@QUICK
def test_plackett_luce_agrees_with_choix(case):
    n, orders = case
    votes = Votes.from_rankings(NAMES[:n], orders, [list(range(1, len(order) + 1)) for order in orders])

    found = fit(votes)

    assert found.strengths == pytest.approx(choix.ilsr_rankings(n, orders, max_iter=500, tol=1e-10), abs=1e-5)
    assert found.converged


@given(rankings())
@QUICK
def test_bradley_terry_agrees_with_choix(case):
    n, orders = case
    duels = [order[:2] for order in orders]
    wins = np.array(duels)
    votes = Votes.from_pairs(wins[:, 0], wins[:, 1], np.zeros(len(wins), dtype=np.int8), models=NAMES[:n])

    assert fit(votes).strengths == pytest.approx(choix.opt_pairwise(n, duels, tol=1e-10), abs=1e-4)


@given(rankings(), st.integers(0, 1000))
@QUICK
def test_neither_names_nor_slots_nor_the_order_of_votes_matter(case, seed):
    n, orders = case
    rng = np.random.default_rng(seed)
    relabel, shuffle = rng.permutation(n), rng.permutation(len(orders))
    groups, ranks = [], []
    for vote in shuffle:
        slots = rng.permutation(len(orders[vote]))
        groups.append([int(relabel[orders[vote][slot]]) for slot in slots])
        ranks.append([int(slot) // 2 + 1 for slot in slots])  # every second one tied with the next
    plain = fit(Votes.from_rankings(NAMES[:n], orders, [[k // 2 + 1 for k in range(len(o))] for o in orders]))
    moved = fit(Votes.from_rankings(NAMES[:n], groups, ranks))

    assert moved.strengths[relabel] == pytest.approx(plain.strengths, abs=1e-6)
    assert moved.standard_errors[relabel] == pytest.approx(plain.standard_errors, abs=1e-5)
    assert moved.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)


@pytest.mark.parametrize("model", ["bradley-terry", "davidson"])
def test_splitting_counts_changes_nothing(model):
    rng = np.random.default_rng(3)
    groups, ranks = random_rankings(rng, 5, 50, 2, truth=TRUTH, grain=1.5)
    times = rng.integers(1, 6, 50)
    counted = fit(Votes.from_rankings(NAMES[:5], groups, ranks, counts=times), model=model)
    split = Votes.from_rankings(NAMES[:5], groups.repeat(times, axis=0), ranks.repeat(times, axis=0))

    for other in (fit(split, model=model), fit(aggregated(split), model=model)):
        assert other.strengths == pytest.approx(counted.strengths)
        assert other.covariance == pytest.approx(counted.covariance)
        assert other.votes.tolist() == counted.votes.tolist()


def test_a_weight_of_ten_is_less_sure_than_ten_votes():
    once = {
        "models_a": ["A", "B", "A", "B"] * 5,
        "models_b": ["B", "A", "B", "A"] * 5,
        "winners": ["model_a"] * 20,
    }
    weighed = fit(Votes.from_pairs(**once, weights=[10, 9] * 10))
    counted = fit(Votes.from_pairs(**once, counts=[10, 9] * 10))

    assert weighed.strengths == pytest.approx(counted.strengths)
    assert weighed.standard_errors == pytest.approx(counted.standard_errors * np.sqrt(9.5), rel=0.01)


def davidson_luce_votes(rng, votes, k, tau):
    """Rankings drawn stage by stage: a set of one or more is chosen from those left."""
    groups = np.argsort(rng.random((votes, 5)), axis=1)[:, :k].tolist()
    ranks = []
    for group in groups:
        place, left = dict.fromkeys(group, 0), list(group)
        while left:
            sets = [chosen for size in (1, *tau) for chosen in combinations(left, size)]
            logit = [tau.get(len(s), 0.0) + sum(TRUTH[i] for i in s) / len(s) for s in sets]
            share = np.exp(logit) / np.exp(logit).sum()
            chosen = sets[rng.choice(len(sets), p=share)]
            for i in chosen:
                place[i] = 1 + k - len(left)
            left = [i for i in left if i not in chosen]
        ranks.append([place[i] for i in group])
    return Votes.from_rankings(NAMES[:5], groups, ranks)


@pytest.mark.parametrize(("k", "tau"), [(2, {}), (2, {2: -0.5}), (4, {}), (4, {2: -1.0, 3: -2.0})])
def test_known_truth_comes_back(k, tau):
    rng = np.random.default_rng(4)
    votes = davidson_luce_votes(rng, 4000, k, tau) if tau else random_votes(rng, 5, 4000, k, truth=TRUTH)

    found = fit(votes)

    assert (np.abs(found.strengths - TRUTH) < 4 * found.standard_errors).all()
    assert found.standard_errors.max() < 0.08
    for size, value in tau.items():
        assert found.ties[size].value == pytest.approx(value, abs=4 * found.ties[size].se)
    assert found.converged
    assert not found.warnings


def test_no_votes_give_a_board_without_an_order():
    found = fit(Votes.from_pairs([], [], [], models=["A", "B", "C"]))
    rows = found.table()

    assert [(row.rating, row.rank, row.rank_lower, row.rank_upper) for row in rows] == [(1000.0, 1, 1, 3)] * 3
    assert all(row.upper - row.lower > 600 for row in rows)
    assert found.warnings == ("There are no votes yet: every rating is the prior's.",)
    assert found.converged


def test_clusters_of_no_votes_and_of_one_voter_have_answers_too():
    nobody = fit(Votes.from_pairs([], [], [], models=["A", "B"], voters=[]), cluster="voter")
    assert nobody.table()[0].upper < 2000
    assert nobody.warnings == ("There are no votes yet: every rating is the prior's.",)

    votes = Votes.from_pairs(list("ABC"), list("BCA"), ["model_a"] * 3, voters=["ada"] * 3)
    one = fit(votes, cluster="voter")
    assert one.warnings == ("The votes come from only 1 voter: with fewer than 20 the intervals are rough.",)
    assert one.table()[0].upper - one.table()[0].lower > 2 * (fit(votes).table()[0].upper - 1000)


def test_one_model_and_none_at_all_have_boards_too():
    (row,) = fit(Votes.from_pairs([], [], [], models=["A"])).table()
    assert (row.rating, row.rank, row.rank_upper) == (1000.0, 1, 1)
    assert fit(Votes.from_pairs([], [], [], models=[])).table() == []


def with_newcomer():
    rng = np.random.default_rng(5)
    groups, ranks = random_rankings(rng, 5, 5000, 2, truth=TRUTH)
    wins = [[5, 2], [5, 3], [5, 0]]
    return groups, ranks, np.concatenate([groups, wins]), np.concatenate([ranks, [[1, 2]] * 3])


def test_an_undefeated_newcomer_is_finite_wide_named_and_moves_nobody():
    groups, ranks, more_groups, more_ranks = with_newcomer()
    before = fit(Votes.from_rankings(NAMES[:5], groups, ranks))
    after = fit(Votes.from_rankings(NAMES[:6], more_groups, more_ranks))

    shift = after.strengths[:5] - after.strengths[:5].mean() - before.strengths
    assert np.abs(shift).max() * 400 / np.log(10) < 1.2
    newcomer = next(row for row in after.table() if row.model == NAMES[5])
    assert 1100 < newcomer.rating < 1800
    assert newcomer.upper - newcomer.lower > 500
    assert newcomer.rank_lower == 1
    assert newcomer.rank_upper > 3
    assert NAMES[5] + " has never lost" in after.warnings[0]


def test_without_a_prior_the_undefeated_are_reported_as_not_converged():
    _, _, groups, ranks = with_newcomer()

    found = fit(Votes.from_rankings(NAMES[:6], groups, ranks), prior="none")

    assert not found.converged
    assert any("did not converge" in sentence for sentence in found.warnings)


def test_islands_are_named_and_their_distance_is_wide():
    votes = Votes.from_pairs(list("ABCD") * 20, list("BADC") * 20, ["model_a"] * 80)

    found = fit(votes)

    assert "A and B; C and D" in found.warnings[0]
    assert found.components.tolist() == [found.components[0]] * 2 + [found.components[2]] * 2
    assert found.probability("A", "C") == pytest.approx(0.5)
    gap = found.covariance[0, 0] + found.covariance[2, 2] - 2 * found.covariance[0, 2]
    assert np.sqrt(gap) > 1.0
    with pytest.raises(BadVotes, match="not connected"):
        fit(votes, prior="firth")


def test_only_ties_are_a_dead_heat():
    found = fit(Votes.from_pairs(["A"] * 9, ["B"] * 9, ["tie"] * 9))

    assert found.strengths == pytest.approx([0, 0])
    assert found.converged


def test_probability_is_how_sure_the_order_is():
    votes = random_votes(np.random.default_rng(6), 5, 500, 2, truth=TRUTH)
    found = fit(votes)

    assert found.probability(NAMES[0], NAMES[4]) > 0.999
    assert found.probability(0, 1) + found.probability(1, 0) == pytest.approx(1)
    assert found.probability(2, 2) == 0.5
    assert found.win_probability(0, 4) < found.probability(0, 4)
    with pytest.raises(BadVotes, match="no model 'zed'"):
        found.probability("zed", 0)


def test_an_anchor_shifts_the_board_and_nothing_else():
    found = fit(random_votes(np.random.default_rng(7), 4, 400, 2))
    plain, anchored = found.table(), found.table(anchor=(NAMES[2], 1114.0))

    assert next(row.rating for row in anchored if row.model == NAMES[2]) == pytest.approx(1114)
    assert {round(b.lower - a.lower, 6) for a, b in zip(plain, anchored, strict=True)} == {
        round(anchored[0].rating - plain[0].rating, 6)
    }


def test_an_estimated_spread_shrinks_few_votes_and_not_many():
    few = random_votes(np.random.default_rng(8), 5, 12, 2, truth=TRUTH)
    many = random_votes(np.random.default_rng(8), 5, 5000, 2, truth=TRUTH)

    assert np.ptp(fit(few, prior="estimated").strengths) < np.ptp(fit(few, prior="ghost").strengths) * 1.5
    assert fit(many, prior="estimated").strengths == pytest.approx(fit(many).strengths, abs=0.02)
    assert fit(many, prior="estimated").prior.startswith("normal (sd 0.")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"model": "magic"}, "There is no model 'magic'"),
        ({"prior": "strong"}, "There is no prior 'strong'"),
        ({"prior": "normal", "prior_sd": 0.0}, "must be above zero"),
        ({"cluster": "voter"}, "no voter column"),
        ({"cluster": "country"}, "There is no cluster 'country'"),
        ({"covariance": "magic"}, "There is no covariance 'magic'"),
        ({"level": 1.0}, "must lie between 0 and 1"),
    ],
)
def test_what_has_no_answer_is_refused(options, sentence):
    votes = random_votes(np.random.default_rng(9), 4, 30, 2)
    with pytest.raises(BadVotes, match=sentence):
        fit(votes, **options)


def test_covariates_take_out_what_length_bought():
    rng = np.random.default_rng(10)
    truth = np.array([0.5, 0.2, 0.0, -0.7])
    groups = np.argsort(rng.random((6000, 4)), axis=1)[:, :3]
    length = rng.normal(size=groups.shape) + np.array([0.0, 0.0, 0.0, 2.0])[groups]  # the last one is wordy
    score = truth[groups] + 0.6 * length + rng.gumbel(size=groups.shape)
    ranks = 1 + (score[:, None, :] > score[:, :, None]).sum(axis=2)
    plain = fit(Votes.from_rankings(NAMES[:4], groups, ranks))
    controlled = fit(Votes.from_rankings(NAMES[:4], groups, ranks, covariates={"length": length}))

    effect = controlled.effects["length"]
    assert effect.value / effect.scale == pytest.approx(0.6, abs=4 * effect.se / effect.scale)
    assert controlled.strengths == pytest.approx(truth, abs=0.12)
    assert plain.strengths[3] > 0.1  # without control the wordy one looks good


def test_covariates_of_pairs_and_of_slots_agree():
    rng = np.random.default_rng(11)
    groups, ranks = random_rankings(rng, 4, 300, 2)
    length = rng.normal(size=(300, 2))
    slots = fit(Votes.from_rankings(NAMES[:4], groups, ranks, covariates={"length": length}))
    pairs = fit(
        Votes.from_pairs(
            groups[:, 0], groups[:, 1], ranks[:, 0] - 1, models=NAMES[:4],
            covariates={"length": length[:, 0] - length[:, 1]},
        )
    )  # fmt: skip

    assert slots.strengths == pytest.approx(pairs.strengths)
    assert slots.effects["length"].value == pytest.approx(pairs.effects["length"].value)
    assert slots.covariance == pytest.approx(pairs.covariance)


def test_many_rows_start_from_a_sample_and_end_at_the_same_place(monkeypatch):
    votes = random_votes(np.random.default_rng(12), 6, 3000, 3, grain=1.0)
    plain = fit(votes)

    monkeypatch.setattr("ranking.problem.MANY_ROWS", 1000)
    monkeypatch.setattr("ranking.problem.LEAST_SAMPLE", 300)
    assert fit(votes).strengths == pytest.approx(plain.strengths, abs=1e-6)
