"""The population's constants: names, priors, units and the map to an unconstrained vector.

Each constant has a prior on an unconstrained scale (log for positive ones, logit for shares, as it is for
gains), centred where four public data sets agree, wide enough for a course to move it.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tracing.likelihood import logistic
from tracing.transition import Array, namespace


@dataclass(frozen=True, slots=True)
class Prior:
    """Centre (natural scale) and spread (unconstrained scale) of one constant."""

    scale: Literal["positive", "share", "real"]
    centre: float
    spread: float
    unit: str


@dataclass(frozen=True, slots=True)
class Population:
    """The constants of the filter; each a float, or an array or tensor that broadcasts over the batch.

    Variances are in squared logits, rates per day, gains in logits.
    """

    ability_variance: Array
    ability_drift: Array
    form_variance: Array
    form_rate: Array
    lasting_variance: Array
    lasting_drift: Array
    passing_variance: Array
    forgetting_rate: Array
    item_variance: Array
    item_forgetting_rate: Array
    item_gain_right: Array
    item_gain_wrong: Array
    lasting_gain_right: Array
    lasting_gain_wrong: Array
    passing_gain_right: Array
    passing_gain_wrong: Array
    sharing: Array
    transfer: Array


PRIORS: dict[str, Prior] = {
    "ability_variance": Prior("positive", 0.55, 0.5, "logit^2"),
    "ability_drift": Prior("positive", 0.001, 1.0, "logit^2/answer"),
    "form_variance": Prior("positive", 0.25, 0.5, "logit^2"),
    "form_rate": Prior("positive", 168.0, 0.5, "1/day"),
    "lasting_variance": Prior("positive", 0.1, 0.5, "logit^2"),
    "lasting_drift": Prior("positive", 0.002, 1.0, "logit^2/answer"),
    "passing_variance": Prior("positive", 0.03, 1.0, "logit^2"),
    "forgetting_rate": Prior("positive", 0.1, 1.0, "1/day"),
    "item_variance": Prior("positive", 0.12, 0.7, "logit^2"),
    "item_forgetting_rate": Prior("positive", 0.072, 1.0, "1/day"),
    "item_gain_right": Prior("real", 1.2, 0.7, "logit"),
    "item_gain_wrong": Prior("real", 0.5, 0.7, "logit"),
    "lasting_gain_right": Prior("real", 0.01, 0.02, "logit/answer"),
    "lasting_gain_wrong": Prior("real", 0.005, 0.02, "logit/answer"),
    "passing_gain_right": Prior("real", 0.02, 0.03, "logit/answer"),
    "passing_gain_wrong": Prior("real", 0.01, 0.03, "logit/answer"),
    "sharing": Prior("real", 0.3, 0.3, "1"),
    "transfer": Prior("share", 0.3, 0.7, "1"),
}
NAMES: tuple[str, ...] = tuple(f.name for f in fields(Population))


def constrain(name: str, value: Array) -> Array:
    """From the unconstrained scale to the natural one."""
    match PRIORS[name].scale:
        case "positive":
            return namespace(value).exp(value)
        case "share":
            return logistic(value)
        case _:
            return value


def unconstrain(name: str, value: float) -> float:
    """From the natural scale to the unconstrained one."""
    match PRIORS[name].scale:
        case "positive":
            return float(np.log(value))
        case "share":
            return float(np.log(value) - np.log1p(-value))
        case _:
            return float(value)


def from_vector(vector: Array) -> Population:
    """The constants of an unconstrained vector [..., 18] in the order of `NAMES`."""
    return Population(**{name: constrain(name, vector[..., n]) for n, name in enumerate(NAMES)})


def to_vector(population: Population) -> NDArray[np.float64]:
    """The unconstrained vector [18] of a population of floats."""
    return np.array([unconstrain(name, float(getattr(population, name))) for name in NAMES])


def prior_location() -> NDArray[np.float64]:
    """Prior means on the unconstrained scale [18]."""
    return np.array([unconstrain(name, PRIORS[name].centre) for name in NAMES])


def prior_spread() -> NDArray[np.float64]:
    """Prior standard deviations on the unconstrained scale [18]."""
    return np.array([PRIORS[name].spread for name in NAMES])


def default_population(**changed: Any) -> Population:
    """The constants at their prior centres, some changed."""
    return Population(**{name: changed.get(name, PRIORS[name].centre) for name in NAMES})


def personalise(population: Population, forgetting: Array, volatility: Array) -> Population:
    """A learner's constants: traits are log factors on the population's (0 = like the population).

    forgetting speeds the decay of components and items; volatility widens what moves: form, passing
    deviations and drift.
    """
    xp = namespace(forgetting)
    faster, wider = xp.exp(forgetting), xp.exp(volatility)
    return replace(
        population,
        forgetting_rate=population.forgetting_rate * faster,
        item_forgetting_rate=population.item_forgetting_rate * faster,
        form_variance=population.form_variance * wider,
        passing_variance=population.passing_variance * wider,
        ability_drift=population.ability_drift * wider,
        lasting_drift=population.lasting_drift * wider,
    )


def with_floats(population: Population) -> Population:
    """The same constants as plain floats."""
    return Population(**{name: float(getattr(population, name)) for name in NAMES})
