"""A fitted model as values: population, items, components, graph, traits. numpy only; what serves."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tracing.graph import Closure, close, transfer_weights
from tracing.loadings import combine, loading_weights
from tracing.population import (
    PRIORS,
    Population,
    default_population,
    personalise,
    prior_location,
    prior_spread,
)

Floats = NDArray[np.float64]
Keys = NDArray[np.int64]
TRAITS = ("forgetting", "volatility")
"""Learner traits fitted as log factors on the population; the long-run level is the state's ability."""


@dataclass(frozen=True, slots=True)
class Components:
    """An item's loading on components: keys, weights and which are practised; each [J]."""

    keys: Keys
    weight: Floats
    practised: Floats


@dataclass(frozen=True, eq=False)
class Parameters:
    """A fit. Keys ascend; `*_spread` are posterior standard deviations.

    population: constants at their posterior mean; population_location, population_spread [18] on the
    unconstrained scale. item_difficulty [I] logits; component_difficulty [K]: the median item's, of each
    component; component_level [K]: what a component adds to a new item's difficulty; base_difficulty:
    where an item without components starts. edges [E, 2] component indices (prerequisite, dependent) with
    edge_probability [E] and the spread of its logit. traits [L, 2] log factors of the learners in the fit,
    trait_prior_spread [2].
    """

    fit_id: int
    model: str
    population: Population
    item_keys: Keys
    item_difficulty: Floats
    item_spread: Floats
    component_keys: Keys
    component_difficulty: Floats
    component_level: Floats
    base_difficulty: float = 0.0
    population_location: Floats = field(default_factory=prior_location)
    population_spread: Floats = field(default_factory=prior_spread)
    edges: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 2), np.int32))
    edge_probability: Floats = field(default_factory=lambda: np.empty(0))
    edge_spread: Floats = field(default_factory=lambda: np.empty(0))
    learner_keys: Keys = field(default_factory=lambda: np.empty(0, np.int64))
    traits: Floats = field(default_factory=lambda: np.empty((0, 2)))
    trait_spread: Floats = field(default_factory=lambda: np.empty((0, 2)))
    trait_prior_spread: Floats = field(default_factory=lambda: np.zeros(2))

    @cached_property
    def closure(self) -> Closure:
        """Two-step closure of the prerequisite graph."""
        return close(self.edges, len(self.component_keys))

    @cached_property
    def transfer(self) -> Floats:
        """Transfer weights B on the closure [K, M]."""
        weights: Floats = transfer_weights(
            self.closure, self.edges, self.edge_probability, float(self.population.transfer)
        )
        return weights

    @cached_property
    def _loadings(self) -> dict[tuple[int, ...], Components]:
        return {}

    @cached_property
    def _medians(self) -> dict[int, float]:
        return dict(zip(self.component_keys.tolist(), self.component_difficulty.tolist(), strict=True))

    @cached_property
    def _levels(self) -> dict[int, float]:
        return dict(zip(self.component_keys.tolist(), self.component_level.tolist(), strict=True))

    def loading(self, components: tuple[int, ...]) -> Components:
        """How an item of these component keys loads; a key the fit has not seen stands by itself."""
        found = self._loadings.get(components)
        if found is None:
            found = self._loadings[components] = self._load(components)
        return found

    def _load(self, components: tuple[int, ...]) -> Components:
        keys = tuple(dict.fromkeys(components))
        index = {key: n for n, key in enumerate(self.component_keys.tolist())}
        known = tuple(index[key] for key in keys if key in index)
        unknown = [key for key in keys if key not in index]
        sharing = float(self.population.sharing)
        structure = combine([known], self.closure)
        weight = loading_weights(structure, self.transfer, sharing)[0] * len(known or (0,)) ** sharing
        member = structure.member[0]
        used = member >= 0
        return Components(
            np.concatenate([self.component_keys[member[used]], np.array(unknown, np.int64)]),
            np.concatenate([weight[used], np.ones(len(unknown))]) * max(len(keys), 1) ** -sharing,
            np.concatenate([structure.practised[0][used], np.ones(len(unknown))]),
        )

    def difficulty(self, item: int, components: tuple[int, ...]) -> float:
        """An item's difficulty; of an item the fit has not seen, what its components let expect."""
        place = int(np.searchsorted(self.item_keys, item))
        if place < len(self.item_keys) and self.item_keys[place] == item:
            return float(self.item_difficulty[place])
        keys = tuple(dict.fromkeys(components))
        level = sum(self._levels.get(key, 0.0) for key in keys)
        return float(self.base_difficulty + level / max(len(keys), 1) ** 0.5)

    def median_difficulty(self, component: int) -> float:
        """Difficulty of the component's median item; an unknown component's is the base difficulty."""
        return self._medians.get(component, self.base_difficulty)

    def traits_of(self, learner: int | None) -> tuple[float, float]:
        """(forgetting, volatility) of a learner; zeros, the population's, for one the fit has not seen."""
        if learner is not None:
            place = int(np.searchsorted(self.learner_keys, learner))
            if place < len(self.learner_keys) and self.learner_keys[place] == learner:
                return float(self.traits[place, 0]), float(self.traits[place, 1])
        return 0.0, 0.0

    def constants(self, forgetting: float, volatility: float) -> Population:
        """The filter's constants for a learner of these traits."""
        if forgetting == 0.0 and volatility == 0.0:
            return self.population
        return personalise(self.population, float(forgetting), float(volatility))

    def with_fit_id(self, fit_id: int) -> "Parameters":
        """The same fit under its registered number."""
        return replace(self, fit_id=fit_id)


def population_parameters() -> Parameters:
    """IRT with population priors: ability alone moves; what a course without a fit is served by."""
    still = {name: 0.0 for name in PRIORS if name.endswith(("_drift", "_gain_right", "_gain_wrong"))}
    tiny = dict.fromkeys(("form_variance", "lasting_variance", "passing_variance", "item_variance"), 1e-12)
    nothing = np.empty(0)
    return Parameters(
        0,
        "irt",
        default_population(**still, **tiny),
        np.empty(0, np.int64),
        nothing,
        nothing,
        np.empty(0, np.int64),
        nothing,
        nothing,
    )
