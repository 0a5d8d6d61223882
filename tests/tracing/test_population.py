"""The population's constants: scales, priors, and what traits change."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tracing.population import (
    NAMES,
    PRIORS,
    Population,
    constrain,
    default_population,
    from_vector,
    personalise,
    prior_location,
    prior_spread,
    to_vector,
    unconstrain,
    with_floats,
)

FASTER = {"forgetting_rate", "item_forgetting_rate"}
WIDER = {"form_variance", "passing_variance", "ability_drift", "lasting_drift"}


@given(st.sampled_from(NAMES), st.floats(-8, 8))
def test_both_scales_say_the_same(name: str, value: float) -> None:
    natural = constrain(name, value)
    assert unconstrain(name, float(natural)) == pytest.approx(value, rel=1e-9, abs=1e-9)
    tensor = constrain(name, torch.tensor(value, dtype=torch.float64))
    assert float(tensor) == pytest.approx(float(natural), rel=1e-12)
    match PRIORS[name].scale:
        case "positive":
            assert natural > 0
        case "share":
            assert 0 < natural < 1
        case _:
            assert natural == value


def test_every_constant_has_a_prior_and_nothing_else_has() -> None:
    assert tuple(PRIORS) == NAMES == tuple(f.name for f in fields(Population))
    assert all(prior.spread > 0 and prior.unit for prior in PRIORS.values())


def test_the_prior_is_centred_on_the_default() -> None:
    np.testing.assert_allclose(to_vector(default_population()), prior_location())
    back = with_floats(from_vector(prior_location()))
    for name in NAMES:
        assert getattr(back, name) == pytest.approx(PRIORS[name].centre)
    assert prior_spread().tolist() == [PRIORS[name].spread for name in NAMES]


def test_a_stack_of_vectors_is_a_stack_of_populations() -> None:
    vectors = prior_location() + np.random.default_rng(0).normal(size=(4, 3, 18)) * prior_spread()
    stack = from_vector(vectors)
    one = from_vector(vectors[2, 1])
    for name in NAMES:
        assert getattr(stack, name).shape == (4, 3)
        assert getattr(stack, name)[2, 1] == pytest.approx(float(getattr(one, name)))


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_traits_are_factors_on_what_forgets_and_on_what_moves(forgetting: float, volatility: float) -> None:
    population = default_population()
    own = personalise(population, forgetting, volatility)
    arrays = personalise(population, np.array([forgetting]), np.array([volatility]))
    for name in NAMES:
        factor = np.exp(forgetting) if name in FASTER else np.exp(volatility) if name in WIDER else 1.0
        assert getattr(own, name) == pytest.approx(factor * getattr(population, name))
        assert np.ravel(getattr(arrays, name))[0] == pytest.approx(getattr(own, name))
