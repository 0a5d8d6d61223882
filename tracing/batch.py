"""Histories of several learners side by side, and the one loop that filters them.

`run` serves the numpy filter (replay, evaluation, traits) and, on torch tensors, the fit: same equations,
same order, so what is fitted is what serves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracing.belief import Belief, Loading, Outlook, assimilate, elapse, foresee, gather, practise
from tracing.likelihood import Site, site
from tracing.loadings import Combinations
from tracing.memory import Memory, recall, remember
from tracing.population import Population
from tracing.sequences import Sequences
from tracing.transition import Array, namespace


@dataclass(frozen=True, slots=True)
class Padded:
    """Answers of B learners, T steps, J loading positions, in numpy or torch.

    Padding repeats the last day and has answered 0. `component` holds positions in the learner's belief
    and `item` positions among the learner's items; the last position of each is used by padding only.
    """

    learners: NDArray[np.int64]  # [B] positions in the sequences
    days: Array  # [B, T]
    right: Array  # [B, T] 1.0 / 0.0
    answered: Array  # [B, T] 1.0 / 0.0
    difficulty: Array  # [B, T] logits
    combination: Array  # [B, T] its set of components
    component: Array  # [B, T, J]
    item: Array  # [B, T]
    keys: NDArray[np.int32]  # [B, D] component index of each position, -1 unused
    met: NDArray[np.int32]  # [B, R] item index of each position, -1 unused


@dataclass(frozen=True, slots=True)
class Course:
    """How sets of components load: weights and what is practised, both [C, J]."""

    weight: Array
    practised: Array


class Carried(NamedTuple):
    """Where a batch stands: belief, item memories [B, R] with the day each was last met, current day [B]."""

    belief: Belief
    memory: Memory
    memory_day: Array
    day: Array


def pad(
    sequences: Sequences,
    difficulty: NDArray[np.float64],
    learners: NDArray[np.int64],
    combinations: Combinations,
) -> Padded:
    """The histories of `learners` (positions in the sequences) side by side; difficulty of each row [R]."""
    lengths = sequences.offsets[learners + 1] - sequences.offsets[learners]
    batch, steps = len(learners), int(lengths.max(initial=1))
    step = np.arange(steps)
    answered = step < lengths[:, None]
    row = sequences.offsets[learners][:, None] + np.clip(step, 0, np.maximum(lengths[:, None] - 1, 0))
    row = np.minimum(row, max(sequences.rows - 1, 0))  # a learner without answers reads any row, answered 0
    combination = sequences.catalogue.item_combination[sequences.item[row]]
    members = combinations.member[combination]  # [B, T, J]
    keys, component = _positions(members, (members >= 0) & answered[..., None])
    met, item = _positions(sequences.item[row][..., None], answered[..., None])
    return Padded(
        learners,
        sequences.days[row],
        sequences.correct[row].astype(np.float64) * answered,
        answered.astype(np.float64),
        difficulty[row],
        combination,
        component.reshape(batch, steps, -1),
        item[..., 0],
        keys,
        met,
    )


def _positions(
    values: NDArray[np.int32], used: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number each learner's distinct values 0, 1, ...; unused cells get the last position."""
    distinct = [np.unique(v[u]) for v, u in zip(values, used, strict=True)]
    width = max((len(d) for d in distinct), default=0) + 1
    keys = np.full((len(values), width), -1, np.int32)
    position = np.full(values.shape, width - 1, np.int64)
    for b, found in enumerate(distinct):
        keys[b, : len(found)] = found
        position[b][used[b]] = np.searchsorted(found, values[b][used[b]])
    return keys, position


def begin(padded: Padded, constants: Population) -> Carried:
    """Learners of whom nothing is known: every coordinate at its stationary law."""
    zero = padded.days[:, 0] * 0.0
    xp = namespace(zero)
    like = {} if xp is np else {"dtype": zero.dtype, "device": zero.device}
    by_component = xp.zeros(padded.keys.shape, **like)
    by_item = xp.zeros(padded.met.shape, **like)
    belief = Belief(
        zero,
        zero,
        zero + constants.ability_variance,
        zero,
        zero + constants.form_variance,
        *(by_component,) * 6,
        by_component + _by_learner(constants.lasting_variance),
        by_component,
        by_component + _by_learner(constants.passing_variance),
    )
    memory = Memory(by_item, by_item + _by_learner(constants.item_variance))
    # An item counts as met a day before everything: what has stood still since is the stationary law.
    return Carried(belief, memory, by_item + padded.days[:, :1] - 1.0, padded.days[:, 0])


def _by_learner(value: Array) -> Array:
    return value if isinstance(value, float) or value.ndim == 0 else value[:, None]


def look(
    padded: Padded, t: int, carried: Carried, course: Course, constants: Population, day: Array | None = None
) -> tuple[Belief, Loading, Outlook, Memory]:
    """Belief, loading, outlook and item memory of the answers of step t, before they are given."""
    day = padded.days[:, t] if day is None else day
    combination = padded.combination[:, t]
    loading = Loading(padded.component[:, t], course.weight[combination], course.practised[combination])
    belief = elapse(carried.belief, day - carried.day, constants)
    place = padded.item[:, t : t + 1]
    memory = Memory(gather(carried.memory.mean, place)[:, 0], gather(carried.memory.variance, place)[:, 0])
    memory = recall(memory, day - gather(carried.memory_day, place)[:, 0], constants)
    outlook = foresee(belief, loading)
    return (
        belief,
        loading,
        outlook._replace(
            mean=outlook.mean + memory.mean - padded.difficulty[:, t],
            variance=outlook.variance + memory.variance,
        ),
        memory,
    )


def step(
    padded: Padded, t: int, carried: Carried, course: Course, constants: Population
) -> tuple[Carried, Site]:
    """Take in the answers of step t; the site holds each answer's probability and log evidence."""
    belief, loading, outlook, memory = look(padded, t, carried, course, constants)
    right, answered = padded.right[:, t], padded.answered[:, t]
    said = site(outlook.mean, outlook.variance, right)
    said = Site(
        said.probability, said.slope * answered, said.curvature * answered, said.log_evidence * answered
    )
    belief = practise(assimilate(belief, loading, outlook, said), loading, right, answered, constants)
    memory = remember(memory, said, right, answered, constants)
    place = padded.item[:, t : t + 1]
    day = padded.days[:, t]
    return (
        Carried(
            belief,
            Memory(
                put_at(carried.memory.mean, place, memory.mean),
                put_at(carried.memory.variance, place, memory.variance),
            ),
            put_at(carried.memory_day, place, day),
            day,
        ),
        said,
    )


def put_at(values: Array, place: Array, new: Array) -> Array:
    """A copy of values [B, R] with `new` [B] at positions [B, 1]."""
    if namespace(values) is not np:
        return values.scatter(-1, place, new[:, None])
    copy = values.copy()
    np.put_along_axis(copy, place, new[:, None], -1)
    return copy


def run(
    padded: Padded,
    carried: Carried,
    course: Course,
    constants: Population,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[tuple[int, Carried, Site]]:
    """Filter steps start..stop; yields (t, where the batch stands after t, the site of t)."""
    for t in range(start, padded.days.shape[1] if stop is None else stop):
        carried, said = step(padded, t, carried, course, constants)
        yield t, carried, said
