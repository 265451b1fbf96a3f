"""Studies side by side follow the same arithmetic as one study alone."""

import numpy as np
import pytest

from ranking.matchmaking import Posterior, stakes
from ranking.matchmaking.choose import _situation
from ranking.matchmaking.lockstep import Lockstep
from ranking.matchmaking.strategies import information


@pytest.mark.parametrize("k", [2, 3, 4])
def test_the_posteriors_are_those_of_single_studies(k):
    rng = np.random.default_rng(0)
    studies = Lockstep(3, 6, k)
    alone = [Posterior.prior(6) for _ in range(3)]
    for _ in range(25):
        orders = np.argsort(rng.random((3, 6)), axis=1)[:, :k]
        studies.learn(orders)
        alone = [
            board.updated(order.tolist(), list(range(1, k + 1)))
            for board, order in zip(alone, orders, strict=True)
        ]

    for study, board in enumerate(alone):
        assert np.allclose(studies.mean[study], board.mean, atol=1e-4)
        assert np.allclose(studies.covariance[study], board.covariance, atol=1e-4)


def test_refits_are_those_of_single_studies():
    rng = np.random.default_rng(1)
    studies = Lockstep(2, 5, 3)
    for _ in range(40):
        studies.learn(np.argsort(rng.random((2, 5)), axis=1)[:, :3])
    studies.refit()

    for study in range(2):
        groups = [order[study].tolist() for order in studies.orders]
        alone = Posterior.refit(5, groups, [[1, 2, 3]] * len(groups))
        assert np.allclose(studies.mean[study], alone.mean, atol=1e-3)
        assert studies.sd[study] == pytest.approx(alone.prior_sd, rel=0.01)


def test_battles_are_drawn_as_often_as_choose_says():
    rng = np.random.default_rng(2)
    board = Posterior.prior(6)
    for _ in range(40):
        group = rng.choice(6, size=3, replace=False)
        noisy = -0.5 * group + rng.gumbel(size=3)
        board = board.updated(group.tolist(), (1 + np.argsort(np.argsort(-noisy))).tolist())
    many = 3000
    studies = Lockstep(many, 6, 3, explore=0.0)
    studies.mean[:] = board.mean
    studies.covariance[:] = board.covariance
    drawn, often = np.unique(np.sort(studies.draw(rng), axis=1), axis=0, return_counts=True)

    way = information(_situation(board, 3, "order", None, None, (), stakes(board)))
    for group, count in zip(drawn, often, strict=True):
        expected = way.probability(tuple(group.tolist()))
        assert abs(count / many - expected) < 4.5 * np.sqrt(expected * (1 - expected) / many) + 1e-9


def test_battles_in_flight_are_expected_as_in_single_studies():
    rng = np.random.default_rng(4)
    studies = Lockstep(2, 6, 3)
    alone = [Posterior.prior(6) for _ in range(2)]
    for _ in range(10):
        orders = np.argsort(rng.random((2, 6)), axis=1)[:, :3]
        studies.learn(orders)
        alone = [board.updated(order.tolist(), [1, 2, 3]) for board, order in zip(alone, orders, strict=True)]
    groups = np.array([[0, 1, 2], [3, 4, 5]])
    mean = studies.mean.copy()

    studies.expect(groups)

    for study, board in enumerate(alone):
        expected = board.expecting([groups[study].tolist()])
        assert np.allclose(studies.covariance[study], expected.covariance, atol=1e-4)
    assert (studies.mean == mean).all()
