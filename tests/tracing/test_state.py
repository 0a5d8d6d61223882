"""A state as bytes: the same again, or refused."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tracing.courses import small_course
from tracing import KnowledgeState, Observation, mastery, observe, start_state
from tracing.belief import Belief
from tracing.errors import ArtifactError
from tracing.filtering import ITEM_LIMIT
from tracing.state import Items

keys = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 2**32 + 3), unique=True, max_size=8)
counts = st.integers(0, 2**62)


@st.composite
def states(draw: st.DrawFn) -> KnowledgeState:
    """Any state, with components and items of any keys."""
    components, items = (np.array(sorted(draw(keys)), np.int64) for _ in range(2))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    k, r = len(components), len(items)
    means = [generator.normal(size=k) for _ in range(2)]
    covariances = [generator.normal(size=k).astype(np.float32).astype(np.float64) for _ in range(7)]
    memory = [generator.normal(size=r).astype(np.float32).astype(np.float64) for _ in range(2)]
    return KnowledgeState(
        draw(st.integers(-(2**63), 2**63 - 1)),
        draw(counts),
        draw(counts),
        draw(st.floats(allow_nan=False)),
        *draw(st.tuples(st.floats(-3, 3), st.floats(-3, 3))),
        components,
        generator.integers(0, 65536, k),
        Belief(*generator.normal(size=5).tolist(), *means, *covariances),
        Items(items, memory[0], memory[1], generator.normal(20_000, 100, r)),
    )


def same(a: KnowledgeState, b: KnowledgeState) -> bool:
    """Whether two states are equal to the last bit."""
    scalars = ("fit_id", "answers", "last_seq", "at", "forgetting", "volatility")
    pairs = [*zip(a.belief, b.belief, strict=True), *zip(a.items, b.items, strict=True)]
    pairs += [(a.components, b.components), (a.evidence, b.evidence)]
    return all(getattr(a, name) == getattr(b, name) for name in scalars) and all(
        np.array_equal(x, y) for x, y in pairs
    )


@given(states())
def test_bytes_give_the_state_again(state: KnowledgeState) -> None:
    again = KnowledgeState.from_bytes(state.to_bytes())
    assert same(again, state)
    assert again.to_bytes() == state.to_bytes()


@given(states(), st.data())
def test_damaged_bytes_are_refused(state: KnowledgeState, data: st.DataObject) -> None:
    good = state.to_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(bad), good[:place], good + b"\0", good[1:]):
        with pytest.raises(ArtifactError, match="replay it"):
            KnowledgeState.from_bytes(damaged)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="knowledge state"):
        KnowledgeState.from_bytes(data)


def test_another_format_is_named() -> None:
    data = start_state(small_course().parameters).to_bytes()
    with pytest.raises(ArtifactError, match="format 9, not 1"):
        KnowledgeState.from_bytes(struct.pack("<B", 9) + data[1:])


def met(components: int, items: int, wide: bool = False) -> KnowledgeState:
    """A state that has met so many components and items."""
    course = small_course(components=components, items=items, tags=1, edges=())
    state = start_state(course.parameters)
    for n in range(max(components, items)):
        key = 10 * (1 + n % components) + (2**40 if wide else 0)
        item = 1000 + 7 * (n % items) + (2**40 if wide else 0)
        state = observe(state, Observation(item, (key,), n % 3 > 0, 20_000 + n / 100), course.parameters)
    return state


def test_size_of_a_usual_state() -> None:
    state = met(50, 40)
    assert (len(state.components), len(state.items.keys)) == (50, 40)
    assert len(state.to_bytes()) <= 4096


@pytest.mark.parametrize("wide", [False, True])
def test_size_of_the_largest_state(wide: bool) -> None:
    """300 components, more items than are kept; keys of 32 and of 64 bits."""
    state = met(300, ITEM_LIMIT + 100, wide)
    assert (len(state.components), len(state.items.keys)) == (300, ITEM_LIMIT)
    assert len(state.to_bytes()) <= 65_536


def test_keeping_a_state_as_bytes_after_every_answer_loses_nothing_that_shows() -> None:
    course = small_course()
    p = course.parameters
    kept = stored = start_state(p)
    keys = p.component_keys.tolist()
    for observation in course.history(np.random.default_rng(0), 600):
        kept = observe(kept, observation, p)
        stored = KnowledgeState.from_bytes(observe(stored, observation, p).to_bytes())
        assert stored.evidence.tolist() == kept.evidence.tolist()
        shown = mastery([kept, stored], keys, observation.at, p)
        for values in (shown.mean, shown.low, shown.high):
            np.testing.assert_allclose(values[1], values[0], atol=1e-6)


def test_evidence_is_capped_and_not_wrapped() -> None:
    state = met(2, 2)
    many = replace(state, evidence=np.array([70_000, 3]))
    assert KnowledgeState.from_bytes(many.to_bytes()).evidence.tolist() == [65_535, 3]


def test_states_read_from_bytes_can_go_on() -> None:
    """What is read is not written to: the buffer may be read-only."""
    course = small_course()
    state = start_state(course.parameters)
    history = course.history(np.random.default_rng(3), 40)
    for o in history[:20]:
        state = observe(state, o, course.parameters)
    data = state.to_bytes()
    again = KnowledgeState.from_bytes(data)
    for o in history[20:]:
        again = observe(again, o, course.parameters)
    assert again.answers == 40
    assert state.to_bytes() == data
