"""How a learner's knowledge state moves: pure functions, numpy, one learner at a time.

The equations are those of `belief` and `memory`, the same that are fitted (`batch`); a state is a cache of
the learner's answers and equals their replay.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracing.belief import Belief, Loading, Outlook, assimilate, elapse, foresee, practise
from tracing.errors import TimeReversed
from tracing.likelihood import site
from tracing.memory import Memory, recall, remember
from tracing.parameters import Keys, Parameters
from tracing.population import Population
from tracing.state import Items, KnowledgeState, Observation

ITEM_LIMIT = 1500
"""Item memories kept of a learner; the one met longest ago makes room. Keeps a state below 64 kB."""


class View(NamedTuple):
    """An item as a state sees it at one moment, before an answer. `state` has a place for its components;
    `belief` is the state's, at that moment."""

    state: KnowledgeState
    belief: Belief
    loading: Loading
    outlook: Outlook
    memory: Memory
    constants: Population


def start_state(parameters: Parameters, learner: int | None = None) -> KnowledgeState:
    """A learner without answers; traits are those of the fit where it knows the learner's key."""
    forgetting, volatility = parameters.traits_of(learner)
    constants = parameters.constants(forgetting, volatility)
    none = np.empty(0)
    belief = Belief(
        0.0, 0.0, float(constants.ability_variance), 0.0, float(constants.form_variance), *([none] * 9)
    )
    keys = np.empty(0, np.int64)
    return KnowledgeState(
        parameters.fit_id,
        0,
        0,
        -np.inf,
        forgetting,
        volatility,
        keys,
        keys,
        belief,
        Items(keys, none, none, none),
    )


def advance(state: KnowledgeState, at: float, parameters: Parameters) -> KnowledgeState:
    """The state at day `at`, nothing observed. Raises TimeReversed when `at` lies before the state."""
    constants = parameters.constants(state.forgetting, state.volatility)
    return replace(state, at=at, belief=_belief_at(state, at, constants))


def view(
    state: KnowledgeState, item: int | None, components: tuple[int, ...], at: float, parameters: Parameters
) -> View:
    """What the state expects of an item at day `at` (None: the components' median item)."""
    constants = parameters.constants(state.forgetting, state.volatility)
    load = parameters.loading(components)
    state = _meet(state, load.keys, constants)
    belief = _belief_at(state, at, constants)
    loading = Loading(np.searchsorted(state.components, load.keys), load.weight, load.practised)
    outlook = foresee(belief, loading)
    if item is None:
        difficulty = max(
            (parameters.median_difficulty(k) for k in components), default=parameters.base_difficulty
        )
        outlook = outlook._replace(mean=outlook.mean - difficulty)
        return View(state, belief, loading, outlook, Memory(0.0, 0.0), constants)
    memory = _recall(state.items, item, at, constants)
    outlook = outlook._replace(
        mean=float(outlook.mean + memory.mean - parameters.difficulty(item, components)),
        variance=float(outlook.variance + memory.variance),
    )
    return View(state, belief, loading, outlook, memory, constants)


def observe(state: KnowledgeState, observation: Observation, parameters: Parameters) -> KnowledgeState:
    """The state after an event. Raises TimeReversed when the event lies before the state."""
    if observation.outcome is None:
        return advance(state, observation.at, parameters)
    item, at = observation.item, observation.at
    state, belief, loading, outlook, memory, constants = view(
        state, item, observation.components, at, parameters
    )
    right = 1.0 if observation.outcome else 0.0
    said = site(outlook.mean, outlook.variance, right)
    belief = practise(assimilate(belief, loading, outlook, said), loading, right, 1.0, constants)
    evidence = state.evidence.copy()
    evidence[loading.index] += loading.practised.astype(np.int64)
    return replace(
        state,
        at=at,
        answers=state.answers + 1,
        evidence=evidence,
        belief=belief,
        items=_store(state.items, item, remember(memory, said, right, 1.0, constants), at),
    )


def filter_sequence(
    state: KnowledgeState, observations: Iterable[Observation], parameters: Parameters
) -> KnowledgeState:
    """The state after several events in order: the replay."""
    for observation in observations:
        state = observe(state, observation, parameters)
    return state


def _belief_at(state: KnowledgeState, at: float, constants: Population) -> Belief:
    if at == state.at or state.at == -np.inf:
        return state.belief
    if not at > state.at:
        raise TimeReversed(
            f"the state stands at day {state.at:.6f}, the event lies at {at:.6f}: replay the learner"
        )
    return elapse(state.belief, at - state.at, constants)


def _meet(state: KnowledgeState, keys: Keys, constants: Population) -> KnowledgeState:
    """The state with a place for every key; new components stand at their stationary law."""
    place = np.searchsorted(state.components, keys)
    inside = place < len(state.components)
    if inside.all() and (state.components[place] == keys).all():
        return state
    components = np.unique(np.concatenate([state.components, keys]))
    old = np.searchsorted(components, state.components)
    evidence = np.zeros(len(components), np.int64)
    evidence[old] = state.evidence
    moments = np.zeros((len(Belief._fields) - 5, len(components)))
    moments[Belief._fields.index("var_lasting") - 5] = constants.lasting_variance
    moments[Belief._fields.index("var_passing") - 5] = constants.passing_variance
    moments[:, old] = state.belief[5:]
    belief = Belief(*state.belief[:5], *moments)
    return replace(state, components=components, evidence=evidence, belief=belief)


def _recall(items: Items, item: int, at: float, constants: Population) -> Memory:
    place = int(np.searchsorted(items.keys, item))
    if place < len(items.keys) and items.keys[place] == item:
        met = Memory(float(items.mean[place]), float(items.variance[place]))
        return recall(met, at - float(items.day[place]), constants)
    return Memory(0.0, float(constants.item_variance))


def _store(items: Items, item: int, memory: Memory, at: float) -> Items:
    place = int(np.searchsorted(items.keys, item))
    new = (item, memory.mean, memory.variance, at)
    if place < len(items.keys) and items.keys[place] == item:
        copies = [values.copy() for values in items[1:]]
        for values, value in zip(copies, new[1:], strict=True):
            values[place] = value
        return Items(items.keys, *copies)
    keys, mean, variance, day = (
        inserted(values, place, value) for values, value in zip(items, new, strict=True)
    )
    if len(keys) > ITEM_LIMIT:
        oldest = int(day.argmin())
        keys, mean, variance, day = (np.delete(values, oldest) for values in (keys, mean, variance, day))
    return Items(keys, mean, variance, day)


def inserted(values: NDArray[Any], place: int, value: float) -> NDArray[Any]:
    """A copy with a value put in before `place`: np.insert in an eighth of its time."""
    longer = np.empty(len(values) + 1, values.dtype)
    longer[:place], longer[place], longer[place + 1 :] = values[:place], value, values[place:]
    return longer
