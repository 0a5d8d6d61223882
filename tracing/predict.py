"""What a state says: probability of a right answer, mastery with its interval, expected gain."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracing.belief import Belief, Loading, elapse, foresee
from tracing.errors import TimeReversed
from tracing.filtering import view
from tracing.likelihood import logistic, probability
from tracing.parameters import Floats, Parameters
from tracing.population import Population, personalise
from tracing.state import KnowledgeState
from tracing.transition import retention

NINETY = 1.6448536269514722
"""The 95 % point of the standard normal: bounds of an equal-tailed 90 % interval."""


@dataclass(frozen=True, slots=True)
class Mastery:
    """Mastery of L learners in K components at one moment; all [L, K].

    mean: posterior probability that the component's median item is answered rightly; low, high: its 90 %
    equal-tailed interval; evidence: answers that practised it; half_life: days until the passing part of
    the logit has halved for good, nan where it is below .01.
    """

    mean: Floats
    low: Floats
    high: Floats
    evidence: NDArray[np.int64]
    half_life: Floats


def p_correct(
    state: KnowledgeState, item: int, components: tuple[int, ...], at: float, parameters: Parameters
) -> float:
    """Probability of a right answer to an item at day `at`. Raises TimeReversed before the state."""
    seen = view(state, item, components, at, parameters)
    return float(probability(seen.outlook.mean, seen.outlook.variance))


def mastery(
    states: Sequence[KnowledgeState], components: Sequence[int], at: float, parameters: Parameters
) -> Mastery:
    """Mastery of components (keys) at day `at`, all learners at once. Raises TimeReversed.

    Definition: P(median-difficulty item of k right at `at`), guess and slip removed.
    """
    shape = (len(states), len(components))
    if 0 in shape:
        empty = np.empty(shape)
        return Mastery(empty, empty, empty, np.empty(shape, np.int64), empty)
    loads = [parameters.loading((int(k),)) for k in components]
    keys = np.unique(np.concatenate([load.keys for load in loads]))
    wide = max(len(load.keys) for load in loads)
    index, weight = np.zeros((len(loads), wide), np.int64), np.zeros((len(loads), wide))
    for n, load in enumerate(loads):
        index[n, : len(load.keys)] = np.searchsorted(keys, load.keys)
        weight[n, : len(load.keys)] = load.weight
    belief, constants, evidence = _side_by_side(states, keys, at, parameters)
    across = Belief(*(field[:, None] for field in belief))
    outlook = foresee(across, Loading(index[None], weight[None], weight[None]))
    mean = outlook.mean - np.array([parameters.median_difficulty(int(k)) for k in components])
    spread = NINETY * np.sqrt(outlook.variance)
    passing = (weight * np.take_along_axis(across.passing, index[None], -1)).sum(-1)
    own = np.searchsorted(keys, np.array(components, np.int64))
    return Mastery(
        probability(mean, outlook.variance),
        logistic(mean - spread),
        logistic(mean + spread),
        evidence[:, own],
        _half_life(across.form + passing * 0.0, passing, constants),
    )


def expected_gain(
    state: KnowledgeState,
    item: int,
    components: tuple[int, ...],
    at: float,
    later: float,
    parameters: Parameters,
) -> float:
    """Expected change of mastery at day `later` from practising the item at day `at`.

    Mean over the item's components; counts only what practice does, lasting or still kept by then:
    what an answer merely tells has expectation zero. Raises TimeReversed when later < at.
    """
    if later < at:
        raise TimeReversed(f"later is day {later:.6f}, before the practice at {at:.6f}")
    p = p_correct(state, item, components, at, parameters)
    constants = parameters.constants(state.forgetting, state.volatility)
    lasting = p * constants.lasting_gain_right + (1 - p) * constants.lasting_gain_wrong
    passing = p * constants.passing_gain_right + (1 - p) * constants.passing_gain_wrong
    shift = float(lasting + passing * retention(constants.forgetting_rate, later - at))
    gains = []
    for k in dict.fromkeys(components):
        outlook = view(state, None, (k,), later, parameters).outlook
        load = parameters.loading((k,))
        reach = float(load.weight[np.isin(load.keys, components)].sum())
        after = probability(outlook.mean + reach * shift, outlook.variance)
        gains.append(float(after - probability(outlook.mean, outlook.variance)))
    return float(np.mean(gains)) if gains else 0.0


def _side_by_side(
    states: Sequence[KnowledgeState], keys: NDArray[np.int64], at: float, parameters: Parameters
) -> tuple[Belief, Population, NDArray[np.int64]]:
    if any(state.at > at for state in states):
        latest = max(state.at for state in states)
        raise TimeReversed(f"mastery was asked for day {at:.6f}, a state stands at {latest:.6f}: replay it")
    traits = np.array([(s.forgetting, s.volatility) for s in states])
    constants = personalise(parameters.population, traits[:, 0], traits[:, 1])
    size = (len(states), len(keys))
    moments = {name: np.zeros(size) for name in Belief._fields[5:]}
    moments["var_lasting"] += np.asarray(constants.lasting_variance)
    moments["var_passing"] += np.asarray(constants.passing_variance)[:, None]
    evidence = np.zeros(size, np.int64)
    for n, state in enumerate(states):
        _, there, here = np.intersect1d(state.components, keys, assume_unique=True, return_indices=True)
        evidence[n, here] = state.evidence[there]
        for name, values in moments.items():
            values[n, here] = getattr(state.belief, name)[there]
    x = (np.array([float(getattr(s.belief, name)) for s in states]) for name in Belief._fields[:5])
    gap = np.array([0.0 if s.at == -np.inf else at - s.at for s in states])
    return elapse(Belief(*x, **moments), gap, constants), constants, evidence


def _half_life(form: Floats, passing: Floats, constants: Population) -> Floats:
    """Days until |form e^(-r1 t) + passing e^(-r2 t)| has halved for good; [L, K].

    Terms of opposite sign may cancel first and leave the slower one to fade: only the last crossing counts.
    The bisection meets that one, as form passes in minutes and what is forgotten takes days.
    """
    slow = np.asarray(constants.forgetting_rate)[:, None]
    fast = constants.form_rate

    def left(days: Floats) -> Floats:
        kept: Floats = np.abs(form * retention(fast, days) + passing * retention(slow, days))
        return kept

    now = left(np.zeros_like(passing))
    something = now > 0.01
    target = np.where(something, now / 2, 1.0)
    low = np.zeros_like(passing)
    high = np.log(np.maximum(np.abs(form) + np.abs(passing), target) / target) / np.minimum(slow, fast)
    for _ in range(40):
        middle = (low + high) / 2
        above = left(middle) > target
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(something, high, np.nan)
