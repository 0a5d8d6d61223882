"""Laws of the Ornstein-Uhlenbeck state."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tracing.transition import half_life, namespace, relax, retention

means = st.floats(-5, 5)
variances = st.floats(0, 10)
rates = st.floats(1e-4, 300)
gaps = st.floats(0, 400)


@given(means, variances, variances, rates, gaps, st.floats(0, 1))
def test_two_gaps_are_one_gap(
    mean: float, variance: float, stationary: float, rate: float, gap: float, share: float
) -> None:
    first, second = retention(rate, gap * share), retention(rate, gap * (1 - share))
    twice = relax(*relax(mean, variance, stationary, first), stationary, second)
    assert twice == pytest.approx(
        relax(mean, variance, stationary, retention(rate, gap)), rel=1e-9, abs=1e-12
    )


@given(means, variances, variances, rates)
def test_no_time_changes_nothing_and_for_ever_is_the_stationary_law(
    mean: float, variance: float, stationary: float, rate: float
) -> None:
    assert relax(mean, variance, stationary, retention(rate, 0.0)) == (mean, variance)
    assert relax(mean, variance, stationary, retention(rate, math.inf)) == (0.0, stationary)


@given(means, variances, variances, rates, gaps)
def test_variance_stays_between_where_it_was_and_where_it_goes(
    mean: float, variance: float, stationary: float, rate: float, gap: float
) -> None:
    after = relax(mean, variance, stationary, retention(rate, gap))
    low, high = sorted((variance, stationary))
    assert low - 1e-12 <= after[1] <= high + 1e-12
    assert abs(after[0]) <= abs(mean)


@given(means, variances, variances, rates, gaps)
def test_float_numpy_and_torch_agree(
    mean: float, variance: float, stationary: float, rate: float, gap: float
) -> None:
    plain = relax(mean, variance, stationary, retention(rate, gap))
    array = relax(np.array([mean]), np.array([variance]), stationary, retention(rate, np.array([gap])))
    tensor = torch.tensor([mean, variance, gap], dtype=torch.float64)
    tensors = relax(tensor[0], tensor[1], stationary, retention(rate, tensor[2]))
    for n in range(2):
        assert float(array[n][0]) == pytest.approx(plain[n], rel=1e-13, abs=1e-300)
        assert float(tensors[n]) == pytest.approx(plain[n], rel=1e-13, abs=1e-300)
    assert type(plain[0]) is float


def test_half_life_halves() -> None:
    assert retention(0.3, half_life(0.3)) == pytest.approx(0.5)


def test_law_is_that_of_the_stochastic_differential_equation() -> None:
    """Euler-Maruyama, 1e5 paths: dz = -rate z dt + sqrt(2 rate variance) dW."""
    generator = np.random.default_rng(0)
    rate, stationary, gap, steps = 0.4, 0.7, 2.0, 400
    z, dt = np.full(100_000, 1.5), gap / steps
    for _ in range(steps):
        z += -rate * z * dt + np.sqrt(2 * rate * stationary * dt) * generator.standard_normal(len(z))
    mean, variance = relax(1.5, 0.0, stationary, retention(rate, gap))
    assert z.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / len(z)) + 0.002)
    assert z.var() == pytest.approx(variance, rel=0.02)


def test_namespace_follows_the_value() -> None:
    assert namespace(1.0) is math
    assert namespace(np.float64(1.0)) is np
    assert namespace(np.ones(2)) is np
    assert namespace(torch.ones(2)) is torch
