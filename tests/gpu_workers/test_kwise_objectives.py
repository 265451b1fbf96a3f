"""Objectives against numbers worked out by hand, brute force, and what must not change them."""

import math
from itertools import pairwise, permutations

import pytest
import torch
from torch import Tensor

from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.objectives import OBJECTIVES, Scores, find_objective, winner_nll
from gpu_workers.kwise.votes import vote_batch

BETA = 0.3


def make_scores(log_ratios: list[list[float]], lengths: list[list[int]] | None = None) -> Scores:
    ratios = torch.tensor(log_ratios, dtype=torch.float64)
    reference = -20.0 - torch.arange(ratios.numel(), dtype=torch.float64).view(ratios.shape)
    counts = torch.full(ratios.shape, 5) if lengths is None else torch.tensor(lengths)
    return Scores(policy=reference + ratios, reference=reference, lengths=counts)


def losses(
    name: str, log_ratios: list[list[float]], ranks: list[list[int | None]], **options: float
) -> Tensor:
    lengths = [[5 + i for i in range(len(row))] for row in log_ratios]
    return OBJECTIVES[name](make_scores(log_ratios, lengths), vote_batch(ranks), beta=BETA, **options)


def probability_of_order(rewards: list[float], order: tuple[int, ...]) -> float:
    product = 1.0
    for at in range(len(order)):
        product *= math.exp(rewards[order[at]]) / sum(math.exp(rewards[i]) for i in order[at:])
    return product


def probability_by_brute_force(rewards: list[float], ranks: list[int | None]) -> float:
    """Summed over every order of all responses that does not contradict the vote."""
    places = [99 if rank is None else rank for rank in ranks]
    return sum(
        probability_of_order(rewards, order)
        for order in permutations(range(len(rewards)))
        if all(places[a] <= places[b] for a, b in pairwise(order))
    )


@pytest.mark.parametrize(
    "ranks",
    [
        [1, 2, 3, 4],
        [4, 1, 3, 2],
        [1, 2, 2, 4],
        [1, 1, 3, 3],
        [2, 1, 2, 2],
        [None, 1, None, None],
        [1, None, 2, None],
        [1, 1, None, None],
    ],
)
def test_plackett_luce_is_the_sum_over_every_order_the_vote_allows(ranks):
    ratios = [1.3, -0.4, 2.0, 0.1]

    loss = losses("plackett-luce", [ratios], [ranks])

    truth = probability_by_brute_force([BETA * ratio for ratio in ratios], ranks)
    assert loss.item() == pytest.approx(-math.log(truth), abs=1e-12)


def test_plackett_luce_learns_nothing_from_a_vote_that_ties_all():
    scores = make_scores([[1.0, 2.0, 3.0]])
    scores.policy.requires_grad_()

    loss = OBJECTIVES["plackett-luce"](scores, vote_batch([[1, 1, 1]]), beta=BETA)
    loss.sum().backward()

    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert scores.policy.grad.abs().max().item() == pytest.approx(0, abs=1e-12)


def test_for_two_responses_plackett_luce_is_dpo():
    ratios, ranks = [[0.7, -1.1], [3.0, 2.0]], [[1, 2], [2, 1]]

    assert torch.allclose(losses("plackett-luce", ratios, ranks), losses("dpo", ratios, ranks), atol=1e-14)


def test_a_best_only_vote_is_the_top_one_loss():
    ratios, ranks = [[0.7, -1.1, 0.2]], [[None, 1, None]]

    listwise, top = losses("plackett-luce", ratios, ranks), losses("top-1", ratios, ranks)

    assert listwise.item() == pytest.approx(top.item(), abs=1e-14)
    truth = -math.log(math.exp(-0.33) / sum(map(math.exp, (0.21, -0.33, 0.06))))
    assert top.item() == pytest.approx(truth, abs=1e-12)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# Log-ratios 2 and -1: d = .3 * 3 = .9; lengths 5 and 6; policies -18 and -22.
@pytest.mark.parametrize(
    ("name", "options", "truth"),
    [
        ("plackett-luce", {}, -math.log(sigmoid(0.9))),
        ("top-1", {}, -math.log(sigmoid(0.9))),
        ("dpo", {}, -math.log(sigmoid(0.9))),
        ("dpo", {"label_smoothing": 0.2}, -0.8 * math.log(sigmoid(0.9)) - 0.2 * math.log(sigmoid(-0.9))),
        (
            "robust-dpo",
            {"label_smoothing": 0.2},
            (-0.8 * math.log(sigmoid(0.9)) + 0.2 * math.log(sigmoid(-0.9))) / 0.6,
        ),
        ("ipo", {}, (2 / 5 + 1 / 6 - 1 / 0.6) ** 2),
        ("hinge", {}, 0.1),
        ("simpo", {"gamma": 0.5}, -math.log(sigmoid(0.3 * (-18 / 5 + 22 / 6) - 0.5))),
        (
            "davidson",
            {"nu": 2.0},
            -math.log(math.exp(0.6) / (math.exp(0.6) + math.exp(-0.3) + 2 * math.exp(0.15))),
        ),
        ("rao-kupper", {"nu": 3.0}, -math.log(math.exp(0.6) / (math.exp(0.6) + 3 * math.exp(-0.3)))),
    ],
)
def test_each_objective_gives_the_number_worked_out_by_hand(name, options, truth):
    loss = losses(name, [[2.0, -1.0]], [[1, 2]], **options)

    assert loss.item() == pytest.approx(truth, abs=1e-9)


@pytest.mark.parametrize("name", ["davidson", "rao-kupper"])
def test_win_loss_and_tie_are_all_that_can_happen(name):
    ratios = [[1.7, -0.4]] * 3

    each = losses(name, ratios, [[1, 2], [2, 1], [1, 1]])

    assert torch.exp(-each).sum().item() == pytest.approx(1, abs=1e-12)


def test_davidson_without_ties_is_dpo():
    ratios, ranks = [[0.7, -1.1, 2.0, 0.4]], [[1, 2, 3, 4]]

    without = losses("davidson", ratios, ranks, nu=1e-12)

    assert torch.allclose(without, losses("dpo", ratios, ranks), atol=1e-10)


def test_a_pairwise_objective_is_the_mean_over_the_ordered_pairs():
    ratios = [2.0, -1.0, 0.5]

    whole = losses("dpo", [ratios], [[1, 2, 2]])

    pairs = [losses("dpo", [[ratios[0], ratios[j]]], [[1, 2]]).item() for j in (1, 2)]
    assert whole.item() == pytest.approx(sum(pairs) / 2, abs=1e-12)  # the tied pair says nothing


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_the_order_of_the_slots_changes_nothing(name):
    generator = torch.Generator().manual_seed(3)
    scores = Scores(
        policy=-10 - 5 * torch.rand(3, 5, generator=generator, dtype=torch.float64),
        reference=-10 - 5 * torch.rand(3, 5, generator=generator, dtype=torch.float64),
        lengths=torch.randint(1, 9, (3, 5), generator=generator),
    )
    votes = vote_batch([[1, 2, 3, 4, 5], [1, 1, 3, None, None], [2, 2, 1, 4, 4]])
    shuffled = [3, 0, 4, 1, 2]
    moved = Scores(scores.policy[:, shuffled], scores.reference[:, shuffled], scores.lengths[:, shuffled])
    moved_votes = type(votes)(votes.places[:, shuffled], votes.weights)

    before = OBJECTIVES[name](scores, votes, beta=BETA)
    after = OBJECTIVES[name](moved, moved_votes, beta=BETA)

    assert torch.allclose(before, after, atol=1e-12)
    assert before.abs().min() > 1e-6  # a loss of nothing would agree with anything


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_a_slot_that_a_ranking_lacks_changes_nothing_and_gets_no_gradient(name):
    short = make_scores([[0.5, -0.5, 1.0]])
    filled = make_scores([[0.5, -0.5, 1.0, 0.0, 0.0]], [[5, 5, 5, 0, 0]])
    filled.policy.requires_grad_()

    alone = OBJECTIVES[name](short, vote_batch([[2, 3, 1]]), beta=BETA)
    beside = OBJECTIVES[name](filled, vote_batch([[2, 3, 1]], k=5), beta=BETA)
    (beside + winner_nll(filled, vote_batch([[2, 3, 1]], k=5))).sum().backward()

    assert beside.item() == pytest.approx(alone.item(), abs=1e-12)
    assert filled.policy.grad[0, 3:].tolist() == [0.0, 0.0]
    assert torch.isfinite(filled.policy.grad).all()


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_a_step_down_the_gradient_puts_the_winner_further_up(name):
    scores = make_scores([[0.0, 0.0, 0.0]])
    scores.policy.requires_grad_()

    OBJECTIVES[name](scores, vote_batch([[1, 2, 3]]), beta=BETA).sum().backward()

    assert scores.policy.grad[0, 0] < 0 < scores.policy.grad[0, 2]


def test_far_apart_log_probabilities_give_no_nan():
    scores = make_scores([[-900.0, 900.0, 0.0]])
    scores.policy.requires_grad_()

    loss = OBJECTIVES["plackett-luce"](scores, vote_batch([[1, 2, 2]]), beta=1.0)
    loss.sum().backward()

    assert math.isfinite(loss.item())
    assert loss.item() > 1000
    assert torch.isfinite(scores.policy.grad).all()


def test_the_winner_nll_is_per_token_and_shared_by_a_shared_top():
    scores = make_scores([[0.0, 0.0, 0.0]], [[4, 7, 3]])

    one = winner_nll(scores, vote_batch([[2, 1, 3]]))
    two = winner_nll(scores, vote_batch([[1, 1, 3]]))

    assert one.item() == pytest.approx(21 / 7)
    assert two.item() == pytest.approx((20 / 4 + 21 / 7) / 2)


def test_an_unknown_objective_is_refused_with_the_nearest_name():
    with pytest.raises(TrainingError, match=r'no objective "placket-luce"\. Did you mean "plackett-luce"'):
        find_objective("placket-luce", {})


def test_an_option_of_another_objective_or_out_of_range_is_refused():
    with pytest.raises(TrainingError, match=r'The objective hinge has no option "nu"\. It has none\.'):
        find_objective("hinge", {"nu": 1.0})
    with pytest.raises(TrainingError, match=r"The option nu of rao-kupper is 1; accepted is above 1\."):
        find_objective("rao-kupper", {"nu": 1.0})


def test_every_objective_names_its_paper_and_its_equation():
    assert len(OBJECTIVES) >= 9
    for name, entry in OBJECTIVES.items():
        assert entry.name == name
        assert len(entry.paper) > 10, name
        assert len(entry.equation) > 8, name
