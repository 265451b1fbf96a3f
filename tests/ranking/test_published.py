"""Tables with printed answers, to the printed digits."""

from __future__ import annotations

import numpy as np
import pytest

from ranking import Votes, fit
from tests.ranking.published import (
    CITATION_ERRORS,
    CITATION_FIRTH,
    CITATION_STRENGTHS,
    CITATIONS,
    PUDDING_WORTH,
    puddings,
    toy,
)


def test_citations_have_the_strengths_and_errors_of_turner_and_firth():
    found = fit(CITATIONS, covariance="model")

    assert np.round(found.strengths - found.strengths[0], 4).tolist() == CITATION_STRENGTHS
    variance = np.diag(found.covariance) + found.covariance[0, 0] - 2 * found.covariance[0]
    assert np.round(np.sqrt(variance[1:]), 4).tolist() == CITATION_ERRORS
    assert found.prior == "none"  # no prior was slipped in


def test_citations_under_firth_are_pulled_in_as_printed():
    found = fit(CITATIONS, prior="firth")

    assert np.round(found.strengths - found.strengths[0], 4).tolist() == CITATION_FIRTH
    assert found.converged


def test_puddings_have_davidsons_worth_and_tie_strength():
    found = fit(puddings(), covariance="model")

    worth = np.exp(found.strengths) / np.exp(found.strengths).sum()
    assert np.round(worth, 4).tolist() == PUDDING_WORTH
    assert round(float(np.exp(found.ties[2].value)), 4) == 0.7468
    assert round(found.ties[2].value, 4) == -0.2919
    assert round(found.ties[2].se, 4) == 0.0825
    assert round(-2 * found.log_likelihood, 1) == 1619.4
    assert found.method == "davidson"


def test_the_toy_has_the_strengths_of_choix():
    found = fit(toy(with_loser=False))

    assert np.round(found.strengths - found.strengths[0], 4).tolist() == [0.0, 0.8392, 0.4196]


def test_half_a_ghost_win_and_loss_each_keep_the_loser_finite():
    found = fit(toy(with_loser=True))

    gaps = found.strengths - found.strengths[0]
    assert np.round(gaps, 7).tolist() == pytest.approx([0.0, 0.5184185, 0.1354707, -1.1537565], abs=2e-7)
    assert "D has never won" in found.warnings[0]
    assert found.prior.startswith("ghost")


def test_one_vote_under_firth_is_a_difference_of_log_three():
    found = fit(Votes.from_pairs(["A"], ["B"], ["model_a"]), prior="firth")

    assert found.strengths[0] - found.strengths[1] == pytest.approx(np.log(3))
    assert found.converged
