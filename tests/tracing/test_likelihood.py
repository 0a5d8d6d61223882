"""The answer model against quadrature and its own derivatives."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tracing.likelihood import logistic, probability, site

means = st.floats(-8, 8)
variances = st.floats(1e-6, 6)
answers = st.sampled_from([0.0, 1.0])


@given(means, variances, answers)
def test_evidence_is_the_log_of_what_was_predicted(mean: float, variance: float, right: float) -> None:
    said = site(mean, variance, right)
    predicted = probability(mean, variance)
    assert said.probability == predicted
    assert said.log_evidence == pytest.approx(math.log(predicted if right else 1 - predicted), abs=1e-11)


@given(means, variances)
def test_probabilities_of_both_answers_add_up(mean: float, variance: float) -> None:
    both = [math.exp(site(mean, variance, right).log_evidence) for right in (0.0, 1.0)]
    assert sum(both) == pytest.approx(1.0, abs=1e-12)
    assert probability(mean, variance) + probability(-mean, variance) == pytest.approx(1.0)


@given(means, variances, answers)
def test_slope_and_curvature_are_derivatives_of_the_evidence_in_the_mean(
    mean: float, variance: float, right: float
) -> None:
    h = 1e-4
    low, here, high = (site(mean + d, variance, right) for d in (-h, 0.0, h))
    assert (high.log_evidence - low.log_evidence) / (2 * h) == pytest.approx(here.slope, abs=1e-8)
    assert (low.slope - high.slope) / (2 * h) == pytest.approx(here.curvature, abs=1e-8)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), answers)
def test_extremes_are_finite(mean: float, variance: float, right: float) -> None:
    said = site(mean, variance, right)
    assert all(math.isfinite(value) for value in said)
    assert said.log_evidence <= 0
    assert said.curvature >= 0
    assert 0 <= said.probability <= 1


@given(means, variances, answers)
def test_an_answer_never_takes_all_variance_away(mean: float, variance: float, right: float) -> None:
    assert site(mean, variance, right).curvature * variance < 2 / math.pi


@given(means, variances, answers)
def test_float_numpy_and_torch_agree(mean: float, variance: float, right: float) -> None:
    plain = site(mean, variance, right)
    array = site(np.array([mean]), np.array([variance]), np.array([right]))
    x = torch.tensor([mean, variance, right], dtype=torch.float64)
    for a, b, c in zip(plain, array, site(x[0], x[1], x[2]), strict=True):
        assert float(b[0]) == pytest.approx(a, rel=1e-11, abs=1e-14)
        assert float(c) == pytest.approx(a, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("mean", [-3.0, 0.0, 2.0])
def test_torch_differentiates_the_evidence_everywhere(mean: float) -> None:
    x = torch.tensor([mean], dtype=torch.float64, requires_grad=True)
    said = site(x, torch.tensor(0.8, dtype=torch.float64), 1.0)
    (gradient,) = torch.autograd.grad(said.log_evidence.sum(), x)
    assert float(gradient) == pytest.approx(float(said.slope.detach()), abs=1e-12)


def quadrature(mean: float, variance: float, points: int = 120) -> tuple[float, float, float]:
    """E[logistic(f)], and mean and variance of f after a right answer, f ~ N(mean, variance)."""
    node, weight = np.polynomial.hermite_e.hermegauss(points)
    f = mean + np.sqrt(variance) * node
    weight = weight / weight.sum()
    p = weight @ logistic(f)
    after = weight * logistic(f) / p
    return float(p), float(after @ f), float(after @ f**2 - (after @ f) ** 2)


def test_probability_is_that_of_quadrature() -> None:
    error = [
        probability(float(mean), float(variance)) - quadrature(mean, variance)[0]
        for mean in np.linspace(-6, 6, 25)
        for variance in (0.05, 0.3, 0.9, 2.0, 4.0, 8.0)
    ]
    assert np.abs(error).max() < 0.02
    assert np.abs(error).max() > 1e-4  # or the comparison compares nothing


@pytest.mark.parametrize(
    ("variance", "mean_error", "variance_error"), [(0.1, 0.002, 0.0003), (0.5, 0.03, 0.01), (1.0, 0.08, 0.05)]
)
def test_update_is_near_the_exact_one(variance: float, mean_error: float, variance_error: float) -> None:
    """Slope and curvature are exact for the evidence, but the evidence is not the logistic's own.

    Tolerances are what is measured, rounded up: logits, squared logits; 1.0 is a learner never seen before.
    """
    for mean in np.linspace(-3, 3, 13):
        said = site(float(mean), variance, 1.0)
        _, exact_mean, exact_variance = quadrature(mean, variance)
        assert mean + variance * said.slope == pytest.approx(exact_mean, abs=mean_error)
        assert variance - variance**2 * said.curvature == pytest.approx(exact_variance, abs=variance_error)
