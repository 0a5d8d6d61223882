"""The ridge logistic mode against its equations and against scikit-learn."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from tracing.errors import DidNotConverge, NotEnoughData
from tracing.ridge import Effect, build_design, fit_ridge_logistic


def problem(rows: int = 400, seed: int = 0) -> tuple[csr_array, Any, Any]:
    random = np.random.default_rng(seed)
    design = build_design(
        [
            Effect("constant", np.zeros(rows, np.int32), 1, 3.0),
            Effect("item", random.integers(0, 20, rows), 20, 0.9),
            Effect("tags", random.integers(-1, 6, (rows, 3)), 6, 0.4, random.random((rows, 3))),
        ]
    )
    truth = random.standard_normal(27) * design.prior_sd
    return design.matrix, random.random(rows) < expit(design.matrix @ truth), design.prior_sd


def test_design_places_levels_and_weights() -> None:
    design = build_design(
        [
            Effect("constant", np.zeros(2, np.int32), 1, 3.0),
            Effect("tags", np.array([[2, 0, -1], [-1, -1, -1]], np.int32), 3, 0.5, np.array([0.7, 1.0])),
            Effect("count", np.array([1, 1]), 2, 1.5, np.array([[2.0], [0.0]])),
        ]
    )
    assert design.matrix.toarray().tolist() == [[1, 0.7, 0, 0.7, 0, 2], [1, 0, 0, 0, 0, 0]]
    assert design.prior_sd.tolist() == [3, 0.5, 0.5, 0.5, 1.5, 1.5]
    assert design.columns == {"constant": slice(0, 1), "tags": slice(1, 4), "count": slice(4, 6)}


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_gradient_vanishes_at_the_mode(seed: int, rows: int) -> None:
    x, y, prior_sd = problem(rows, seed)
    fit = fit_ridge_logistic(x, y, prior_sd)
    gradient = x.T @ (expit(x @ fit.coefficients) - y) + fit.coefficients / prior_sd**2
    assert np.abs(gradient * prior_sd).max() < 1e-5


def test_mode_is_that_of_scikit_learn() -> None:
    x, y, prior_sd = problem()
    other = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-8, max_iter=1000)
    other.fit(x.multiply(prior_sd[None, :]).tocsr(), y)
    fit = fit_ridge_logistic(x, y, prior_sd)
    np.testing.assert_allclose(fit.coefficients, other.coef_[0] * prior_sd, atol=1e-5)


def test_variance_is_exact_for_one_coefficient_and_a_lower_bound_for_many() -> None:
    x, y, prior_sd = problem()
    fit = fit_ridge_logistic(x, y, prior_sd)
    p = expit(x @ fit.coefficients)
    hessian = (x.T.multiply(p * (1 - p)) @ x).toarray() + np.diag(1 / prior_sd**2)
    np.testing.assert_allclose(fit.variance, 1 / np.diag(hessian), rtol=1e-9)
    assert (fit.variance <= np.diag(np.linalg.inv(hessian)) + 1e-12).all()
    alone = fit_ridge_logistic(csr_array(np.ones((4, 1))), np.array([True, True, False, True]), np.ones(1))
    p_alone = expit(alone.coefficients[0])
    assert alone.variance[0] == pytest.approx(1 / (4 * p_alone * (1 - p_alone) + 1))


def test_separable_labels_have_a_finite_mode() -> None:
    fit = fit_ridge_logistic(csr_array(np.ones((500, 1))), np.ones(500, bool), np.array([30.0]))
    assert 4 < fit.coefficients[0] < 40


def test_warm_start_at_the_mode_takes_no_step() -> None:
    x, y, prior_sd = problem()
    first = fit_ridge_logistic(x, y, prior_sd)
    again = fit_ridge_logistic(x, y, prior_sd, start=first.coefficients)
    assert again.iterations == 0
    np.testing.assert_allclose(again.coefficients, first.coefficients, rtol=1e-12)


def test_unseen_level_keeps_its_prior() -> None:
    design = build_design([Effect("item", np.array([0, 0, 1]), 3, 0.9)])
    fit = fit_ridge_logistic(design.matrix, np.array([True, False, True]), design.prior_sd)
    assert fit.coefficients[2] == 0
    assert fit.variance[2] == pytest.approx(0.81)


def test_what_cannot_be_fitted_is_refused() -> None:
    x, y, prior_sd = problem()
    with pytest.raises(DidNotConverge, match="after 1 Newton steps"):
        fit_ridge_logistic(x, y, prior_sd, iterations=1)
    with pytest.raises(NotEnoughData, match="at least one answer"):
        fit_ridge_logistic(csr_array((0, 3)), np.empty(0, bool), np.ones(3))
    with pytest.raises(ValueError, match="prior_sd"):
        fit_ridge_logistic(x, y, prior_sd * 0)
