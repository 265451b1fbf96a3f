import numpy as np
import pytest

from ranking import Votes, fit
from ranking.covariance import bread
from ranking.prior import Normal
from ranking.problem import solved
from ranking.spread import CONTESTANTS_BEFORE, UNIT, estimate_spread

NAMES = [f"model {place}" for place in range(8)]


def votes_on(truth, number, seed=0):
    rng = np.random.default_rng(seed)
    groups = np.argsort(rng.random((number, len(truth))), axis=1)[:, :3]
    score = truth[groups] + rng.gumbel(size=groups.shape)
    return Votes.from_rankings(NAMES, groups, 1 + (score[:, None, :] > score[:, :, None]).sum(axis=2))


def slow_spread(votes):
    """MacKay's fixed point, one exact solution a round."""
    problem, solution = solved(votes, None, "estimated", 1.0)
    n = len(votes.models)
    for _ in range(400):
        sd = problem.prior.sd
        inverse = bread(solution.terms.information, n)[:n, :n]
        determined = n - 1 - np.trace(inverse) / sd**2
        seen = solution.phi[:n] @ solution.phi[:n]
        new = np.sqrt((seen + CONTESTANTS_BEFORE * UNIT**2) / (determined + CONTESTANTS_BEFORE))
        problem, solution = solved(votes, None, "normal", float(new))
        if abs(new - sd) < 1e-7 * sd:
            break
    return float(new)


@pytest.mark.parametrize("number", [25, 200, 2000])
def test_the_spread_is_the_fixed_point_of_a_slow_honest_search(number):
    votes = votes_on(np.linspace(1.0, -1.0, 8), number)

    problem, _, _ = estimate_spread(*solved(votes, None, "estimated", 1.0))

    assert isinstance(problem.prior, Normal)
    assert problem.prior.sd == pytest.approx(slow_spread(votes), rel=2e-3)


def test_many_votes_leave_nothing_of_the_prior():
    votes = votes_on(np.linspace(1.0, -1.0, 8), 20_000)

    free, shrunk = fit(votes), fit(votes, prior="estimated")

    assert np.abs(free.strengths - shrunk.strengths).max() < 0.01
    assert np.allclose(free.standard_errors, shrunk.standard_errors, rtol=0.02)


def test_votes_that_show_no_differences_do_not_make_the_board_certain():
    votes = votes_on(np.zeros(8), 20)

    found = fit(votes, prior="estimated", covariance="model")

    # Without a prior contestant the fixed point falls to the narrowest spread there is, .05.
    assert found.standard_errors.min() > 0.2


def test_not_knowing_the_spread_widens_the_intervals():
    votes = votes_on(np.linspace(2.0, -2.0, 8), 30)
    problem, _, unsure = estimate_spread(*solved(votes, None, "estimated", 1.0))

    found = fit(votes, prior="estimated", covariance="model")
    told = fit(votes, prior="normal", prior_sd=problem.prior.sd, covariance="model")

    assert np.allclose(found.strengths, told.strengths, atol=1e-6)
    assert np.allclose(found.covariance - told.covariance, np.outer(unsure, unsure), atol=1e-6)
    assert np.abs(unsure).max() > 0.05


def test_an_empty_board_has_nothing_to_estimate():
    assert fit(Votes.from_rankings([], [], []), prior="estimated").strengths.shape == (0,)
