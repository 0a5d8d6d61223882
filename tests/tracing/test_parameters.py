"""A fit as values: what it knows, and what it says about what it does not know."""

import numpy as np
import pytest

from tests.tracing.courses import small_course
from tracing import population_parameters
from tracing.population import default_population

P = small_course().parameters


def test_difficulty_of_known_items_is_the_fitted_one() -> None:
    for place in (0, 11, 23):
        assert P.difficulty(int(P.item_keys[place]), ()) == P.item_difficulty[place]


def test_difficulty_of_a_new_item_is_what_its_components_let_expect() -> None:
    levels = dict(zip(P.component_keys.tolist(), P.component_level.tolist(), strict=True))
    assert P.difficulty(1, ()) == P.base_difficulty
    assert P.difficulty(1, (20,)) == pytest.approx(P.base_difficulty + levels[20])
    both = P.base_difficulty + (levels[20] + levels[50]) / 2**0.5
    assert P.difficulty(10**9, (20, 50)) == pytest.approx(both)
    assert P.difficulty(10**9, (50, 20, 50)) == pytest.approx(both)
    assert P.difficulty(1, (20, 77)) == pytest.approx(P.base_difficulty + levels[20] / 2**0.5)


def test_median_difficulty_of_an_unknown_component_is_the_base() -> None:
    assert P.median_difficulty(30) == P.component_difficulty[2]
    assert P.median_difficulty(31) == P.base_difficulty


def test_traits_are_those_of_the_learner_or_the_populations() -> None:
    assert P.traits_of(9) == (-0.5, 0.6)
    assert P.traits_of(8) == P.traits_of(10) == P.traits_of(None) == (0.0, 0.0)


def test_constants_of_an_ordinary_learner_are_the_populations() -> None:
    assert P.constants(0.0, 0.0) is P.population
    own = P.constants(0.4, -0.3)
    assert own.forgetting_rate == pytest.approx(P.population.forgetting_rate * np.exp(0.4))
    assert own.form_variance == pytest.approx(P.population.form_variance * np.exp(-0.3))


def test_a_fit_gets_its_number() -> None:
    numbered = P.with_fit_id(41)
    assert (numbered.fit_id, P.fit_id) == (41, 3)
    assert numbered.item_difficulty is P.item_difficulty


def test_without_a_fit_ability_alone_moves() -> None:
    p = population_parameters()
    c = p.population
    assert (p.fit_id, p.model, len(p.item_keys)) == (0, "irt", 0)
    assert c.ability_variance == default_population().ability_variance
    assert c.ability_drift == c.item_gain_right == c.lasting_gain_wrong == 0.0
    assert max(c.form_variance, c.lasting_variance, c.passing_variance, c.item_variance) < 1e-9
    assert p.difficulty(5, (1, 2)) == p.median_difficulty(3) == 0.0
