"""Answers of several learners taken in side by side: `observe` and `glance` at a fraction of their cost.

The equations are those of `batch.step`: the loop that replays and fits histories also serves a group of
requests. Worth it from a few learners on; alone, a learner is quicker with `observe`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracing.batch import Carried, Course, Padded, step
from tracing.belief import Belief, Loading, elapse, foresee
from tracing.errors import TimeReversed
from tracing.filtering import ITEM_LIMIT, inserted
from tracing.glance import Glance
from tracing.likelihood import logistic, probability
from tracing.memory import Memory
from tracing.parameters import Components, Floats, Keys, Parameters
from tracing.population import Population, personalise
from tracing.predict import NINETY
from tracing.state import Items, KnowledgeState, Observation

CELLS = 8192
"""Learners times components that are held side by side at once; more are taken in turn."""
_MOMENTS = Belief._fields[5:]
_LASTING, _PASSING = _MOMENTS.index("var_lasting"), _MOMENTS.index("var_passing")


@dataclass(frozen=True, slots=True)
class Turn:
    """A learner's state, its next answers in order of time, and components (keys) asked for at day `at`."""

    state: KnowledgeState
    answers: Sequence[Observation]
    touched: Sequence[int]
    at: float


class Said(NamedTuple):
    """The state after a turn, and the mastery of the turn's touched components."""

    state: KnowledgeState
    touched: list[Glance]


def fits_together(turn: Turn) -> bool:
    """Whether a turn can be taken side by side: it must not push old items out of the state."""
    return len(turn.state.items.keys) + len(turn.answers) <= ITEM_LIMIT


def observe_together(turns: Sequence[Turn], parameters: Parameters) -> list[Said]:
    """Each learner's state after its answers, and what it then knows. Raises TimeReversed.

    Every answer needs an outcome, every turn must pass `fits_together`; all states are of this fit.
    """
    said: list[Said] = []
    waiting = list(turns)
    while waiting:
        wide, taken = 0, 0
        while taken < len(waiting):
            wide = max(wide, len(waiting[taken].state.components) + 8)
            if taken and wide * (taken + 1) > CELLS:
                break
            taken += 1
        said += _observe(waiting[:taken], parameters)
        del waiting[:taken]
    return said


def _observe(turns: Sequence[Turn], parameters: Parameters) -> list[Said]:
    states = [turn.state for turn in turns]
    traits = np.array([(state.forgetting, state.volatility) for state in states])
    constants = parameters.population
    if traits.any():
        constants = personalise(constants, traits[:, 0], traits[:, 1])
    loads = _Loads(turns, parameters)
    table = _Table(states, loads.keys, constants)
    padded, slots = _pad(turns, parameters, loads)
    items = _ItemTable(states, slots, padded, constants)
    stood = np.array([state.at for state in states])
    day = np.where(np.isfinite(stood), stood, padded.days[:, 0])
    carried = Carried(table.belief, items.memory, items.day, day)
    for t in range(padded.days.shape[1]):
        carried, _ = step(padded, t, carried, loads.course, constants)
        table.meet(padded, t, loads.course)
    glances = _glances(turns, carried, table, loads, parameters, constants)
    moments = np.array(carried.belief[5:])
    forms = np.array([np.broadcast_to(field, len(turns)) for field in carried.belief[:5]]).T.tolist()
    said = []
    for b, turn in enumerate(turns):
        state = turn.state
        if turn.answers:
            place = table.met[b, :-1].nonzero()[0]
            state = KnowledgeState(
                state.fit_id,
                state.answers + len(turn.answers),
                state.last_seq,
                turn.answers[-1].at,
                state.forgetting,
                state.volatility,
                loads.keys[place],
                table.evidence[b, place],
                Belief(*forms[b], *moments[:, b, place]),
                items.merge(b, state.items, carried),
            )
        said.append(Said(state, glances[b]))
    return said


class _Loads:
    """The distinct loadings of a group, with positions among all its components; the last one is padding."""

    def __init__(self, turns: Sequence[Turn], parameters: Parameters) -> None:
        self._place: dict[int, int] = {}
        self._found: list[Components] = []
        self.of_answers = [
            [self._number(parameters.loading(seen.components)) for seen in turn.answers] for turn in turns
        ]
        self.of_touched = [
            [self._number(parameters.loading((key,))) for key in turn.touched] for turn in turns
        ]
        own = [turn.state.components for turn in turns]
        self.keys: Keys = np.unique(np.concatenate([*own, *(load.keys for load in self._found)]))
        self.padding = len(self._found)
        width = max((len(load.keys) for load in self._found), default=1) or 1
        shape = (self.padding + 1, width)
        self.index = np.full(shape, len(self.keys), np.int64)
        self.course = Course(np.zeros(shape), np.zeros(shape))
        for c, load in enumerate(self._found):
            j = len(load.keys)
            self.index[c, :j] = np.searchsorted(self.keys, load.keys)
            self.course.weight[c, :j] = load.weight
            self.course.practised[c, :j] = load.practised

    def _number(self, load: Components) -> int:
        # Parameters keep every loading they have given, so its identity is its name.
        place = self._place.get(id(load))
        if place is None:
            place = self._place[id(load)] = len(self._found)
            self._found.append(load)
        return place


class _Table:
    """Beliefs [B, D + 1] over the group's components, what each learner has met, and the evidence."""

    def __init__(self, states: Sequence[KnowledgeState], keys: Keys, constants: Population) -> None:
        sizes = [len(state.components) for state in states]
        rows = np.repeat(np.arange(len(states)), sizes)
        columns = np.searchsorted(keys, np.concatenate([state.components for state in states]))
        shape = (len(states), len(keys) + 1)
        moments = np.zeros((len(_MOMENTS), *shape))
        moments[_LASTING] = _column(constants.lasting_variance)
        moments[_PASSING] = _column(constants.passing_variance)
        moments[:, rows, columns] = np.concatenate([np.array(state.belief[5:]) for state in states], axis=1)
        x = np.array([[float(value) for value in state.belief[:5]] for state in states]).T
        self.belief = Belief(*x, *moments)
        self.evidence = np.zeros(shape, np.int64)
        self.evidence[rows, columns] = np.concatenate([state.evidence for state in states])
        self.met = np.zeros(shape, bool)
        self.met[rows, columns] = True

    def meet(self, padded: Padded, t: int, course: Course) -> None:
        """Note the components and the evidence of step t."""
        place = (np.arange(len(self.met))[:, None], padded.component[:, t])
        self.met[place] = True
        self.evidence[place] += course.practised[padded.combination[:, t]].astype(np.int64)


def _column(value: float | Floats) -> float | Floats:
    return value if np.ndim(value) == 0 else np.asarray(value)[:, None]


def _pad(turns: Sequence[Turn], parameters: Parameters, loads: _Loads) -> tuple[Padded, list[dict[int, int]]]:
    """The answers side by side, and each learner's items in the order in which they are first met."""
    steps = max(1, max(len(turn.answers) for turn in turns))
    days, right, answered, difficulty, combination, item = ([] for _ in range(6))
    slots: list[dict[int, int]] = []
    for turn, numbers in zip(turns, loads.of_answers, strict=True):
        rest = steps - len(turn.answers)
        _check_order(turn)
        of: dict[int, int] = {}
        slots.append(of)
        last = turn.answers[-1].at if turn.answers else turn.state.at
        if last == -np.inf:
            last = turn.at
        days.append([seen.at for seen in turn.answers] + [last] * rest)
        right.append([1.0 if seen.outcome else 0.0 for seen in turn.answers] + [0.0] * rest)
        answered.append([1.0] * len(turn.answers) + [0.0] * rest)
        difficulty.append(
            [parameters.difficulty(seen.item, seen.components) for seen in turn.answers] + [0.0] * rest
        )
        combination.append(numbers + [loads.padding] * rest)
        item.append([of.setdefault(seen.item, len(of)) for seen in turn.answers] + [-1] * rest)
    place = np.array(item)
    place[place < 0] = max(len(of) for of in slots)
    numbered = np.array(combination)
    nobody = np.empty((0, 0), np.int32)
    return (
        Padded(
            np.arange(len(turns)),
            np.array(days),
            np.array(right),
            np.array(answered),
            np.array(difficulty),
            numbered,
            loads.index[numbered],
            place,
            nobody,
            nobody,
        ),
        slots,
    )


def _check_order(turn: Turn) -> None:
    at = turn.state.at
    for seen in turn.answers:
        if seen.at < at:
            raise TimeReversed(
                f"the state stands at day {at:.6f}, the event lies at {seen.at:.6f}: replay the learner"
            )
        at = seen.at


class _ItemTable:
    """Memories [B, R + 1] of the items that are answered now, and the day each was last met."""

    def __init__(
        self,
        states: Sequence[KnowledgeState],
        slots: Sequence[dict[int, int]],
        padded: Padded,
        constants: Population,
    ) -> None:
        shape = (len(states), max(len(of) for of in slots) + 1)
        mean, variance = np.zeros(shape), np.full(shape, float(constants.item_variance))
        # An item not met before stands at its stationary law, whatever day it is counted from.
        self.day = np.repeat(padded.days[:, :1], shape[1], axis=1)
        self._keys = [np.fromiter(of, np.int64, len(of)) for of in slots]
        self._places: list[tuple[NDArray[np.int64], NDArray[np.bool_]]] = []
        for b, (state, keys) in enumerate(zip(states, self._keys, strict=True)):
            held = state.items
            place = held.keys.searchsorted(keys)
            inside = held.keys.take(place, mode="clip") == keys if len(held.keys) else place < 0
            self._places.append((place, inside))
            if inside.any():
                at, of = inside.nonzero()[0], place[inside]
                mean[b, at], variance[b, at] = held.mean[of], held.variance[of]
                self.day[b, at] = held.day[of]
        self.memory = Memory(mean, variance)

    def merge(self, b: int, held: Items, carried: Carried) -> Items:
        """A learner's memories with those answered now."""
        place, inside = self._places[b]
        count = len(place)
        now = (
            self._keys[b],
            carried.memory.mean[b, :count],
            carried.memory.variance[b, :count],
            carried.memory_day[b, :count],
        )
        if count == 1:
            at, put = int(place[0]), _replaced if inside[0] else inserted
            return Items(*(put(values, at, value[0]) for values, value in zip(held, now, strict=True)))
        old, new = place[inside], ~inside
        order = np.concatenate([held.keys, now[0][new]]).argsort()
        columns = []
        for values, value in zip(held, now, strict=True):
            column = np.concatenate([values, value[new]])
            column[old] = value[inside]
            columns.append(column[order])
        return Items(*columns)


def _replaced(values: NDArray[Any], place: int, value: float) -> NDArray[Any]:
    copy = values.copy()
    copy[place] = value
    return copy


def _glances(
    turns: Sequence[Turn],
    carried: Carried,
    table: _Table,
    loads: _Loads,
    parameters: Parameters,
    constants: Population,
) -> list[list[Glance]]:
    """Mastery of each turn's touched components."""
    rows = np.repeat(np.arange(len(turns)), [len(turn.touched) for turn in turns])
    if not len(rows):
        return [[] for _ in turns]
    touched = [key for turn in turns for key in turn.touched]
    numbers = [number for of in loads.of_touched for number in of]
    gap = np.array([turn.at for turn in turns]) - carried.day
    if (gap < 0).any():
        raise TimeReversed("mastery was asked for a day before the last answer: replay it")
    belief = elapse(carried.belief, gap, constants) if gap.any() else carried.belief
    each = Belief(
        *(np.broadcast_to(field, len(turns))[rows] for field in belief[:5]),
        *(field[rows] for field in belief[5:]),
    )
    loading = Loading(loads.index[numbers], loads.course.weight[numbers], loads.course.practised[numbers])
    outlook = foresee(each, loading)
    mean = outlook.mean - np.array([parameters.median_difficulty(key) for key in touched])
    spread = NINETY * np.sqrt(outlook.variance)
    evidence = table.evidence[rows, np.searchsorted(loads.keys, touched)]
    columns = (
        probability(mean, outlook.variance),
        logistic(mean - spread),
        logistic(mean + spread),
        evidence,
    )
    found = map(Glance, *(column.tolist() for column in columns))
    return [[next(found) for _ in turn.touched] for turn in turns]
