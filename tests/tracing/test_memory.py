"""Laws of the memory of one item."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracing.likelihood import site
from tracing.memory import Memory, recall, remember
from tracing.population import default_population
from tracing.transition import half_life

CONSTANTS = default_population()
memories = st.builds(Memory, st.floats(-3, 3), st.floats(0, 1))


@given(memories, st.floats(0, 400), st.floats(0, 1))
def test_two_gaps_are_one_gap(memory: Memory, gap: float, share: float) -> None:
    twice = recall(recall(memory, gap * share, CONSTANTS), gap * (1 - share), CONSTANTS)
    assert twice == pytest.approx(recall(memory, gap, CONSTANTS), rel=1e-9, abs=1e-12)


def test_an_item_never_met_has_stood_at_its_law_for_ever() -> None:
    fresh = Memory(0.0, CONSTANTS.item_variance)
    assert recall(fresh, 40.0, CONSTANTS) == pytest.approx(fresh)
    assert recall(Memory(2.0, 0.0), 1e9, CONSTANTS) == pytest.approx(fresh)


def test_half_of_a_gain_is_left_after_the_half_life() -> None:
    after = recall(Memory(1.2, 0.0), float(half_life(CONSTANTS.item_forgetting_rate)), CONSTANTS)
    assert after.mean == pytest.approx(0.6)


@given(memories, st.floats(-3, 3), st.floats(0, 3), st.sampled_from([0.0, 1.0]))
def test_meeting_an_item_informs_and_strengthens(
    memory: Memory, mean: float, other: float, right: float
) -> None:
    said = site(mean, memory.variance + other, right)
    after = remember(memory, said, right, 1.0, CONSTANTS)
    gain = CONSTANTS.item_gain_right if right else CONSTANTS.item_gain_wrong
    assert after.mean == pytest.approx(memory.mean + memory.variance * said.slope + gain)
    assert 0 <= after.variance <= memory.variance


@given(memories, st.sampled_from([0.0, 1.0]))
def test_padding_leaves_a_memory_alone(memory: Memory, right: float) -> None:
    silent = site(0.3, 0.5, right)._replace(slope=0.0, curvature=0.0)
    assert remember(memory, silent, right, 0.0, CONSTANTS) == memory
