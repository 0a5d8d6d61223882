"""Side by side and one after the other are the same; a glance is mastery."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from tests.tracing.courses import SmallCourse, small_course
from tracing import KnowledgeState, Observation, filter_sequence, mastery, population_parameters, start_state
from tracing import together as module
from tracing.errors import TimeReversed
from tracing.filtering import ITEM_LIMIT
from tracing.glance import glance
from tracing.together import Turn, fits_together, observe_together

STRANGE = 999
"""An item and a component that no fit knows."""


def same(state: KnowledgeState, other: KnowledgeState) -> None:
    assert (state.fit_id, state.answers, state.at) == (other.fit_id, other.answers, other.at)
    for name in ("components", "evidence"):
        np.testing.assert_array_equal(getattr(state, name), getattr(other, name))
    for here, there in zip((*state.belief, *state.items), (*other.belief, *other.items), strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-12, atol=1e-13)


def turns(course: SmallCourse, seed: int, learners: int) -> list[Turn]:
    """Learners with none to some sixty answers behind them and none to nine before them."""
    generator = default_rng(seed)
    parameters = course.parameters
    keys = [*(key for tags in course.tags.values() for key in tags), STRANGE]
    found = []
    for learner in range(learners):
        past, ahead = generator.integers(0, 60) * (learner % 4 > 0), generator.integers(0, 10)
        seen = course.history(generator, int(past + ahead))
        if len(seen) > past and learner % 3 == 0:
            seen[-1] = replace(seen[-1], item=STRANGE, components=(STRANGE, *seen[-1].components))
        state = filter_sequence(start_state(parameters, learner), seen[:past], parameters)
        touched = generator.choice(keys, generator.integers(0, 4), replace=False).tolist()
        at = seen[-1].at if seen else 20_000.0
        found.append(Turn(state, seen[past:], touched, at + (learner % 2) * 3.5))
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cells", [8192, 40])
def test_together_is_one_after_the_other(seed: int, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CELLS", cells)
    course = small_course()
    parameters = course.parameters if seed else population_parameters()
    given = turns(replace(course, parameters=parameters), seed, 17)
    for turn, said in zip(given, observe_together(given, parameters), strict=True):
        alone = filter_sequence(turn.state, turn.answers, parameters)
        same(said.state, alone)
        assert len(said.touched) == len(turn.touched)
        for key, found in zip(turn.touched, said.touched, strict=True):
            np.testing.assert_allclose(found, glance(alone, key, turn.at, parameters), rtol=1e-12)
        again = KnowledgeState.from_bytes(said.state.to_bytes())
        assert (again.answers, again.at) == (alone.answers, alone.at)


def test_what_was_given_stays() -> None:
    course = small_course()
    given = turns(course, 3, 8)
    before = [turn.state.to_bytes() for turn in given]
    observe_together(given, course.parameters)
    assert [turn.state.to_bytes() for turn in given] == before


def test_nobody_and_nothing() -> None:
    parameters = small_course().parameters
    assert observe_together([], parameters) == []
    state = start_state(parameters)
    [said] = observe_together([Turn(state, (), (), 20_000.0)], parameters)
    assert said.state is state
    assert said.touched == []


def test_time_running_backwards_is_refused() -> None:
    course = small_course()
    parameters = course.parameters
    first, second = course.history(default_rng(1), 2)
    state = filter_sequence(start_state(parameters), [replace(second, at=first.at + 1)], parameters)
    for turn in (Turn(state, [first], (), first.at + 1), Turn(state, [], (10,), first.at)):
        with pytest.raises(TimeReversed):
            observe_together([turn], parameters)


def test_a_state_full_of_items_is_not_taken() -> None:
    course = small_course()
    state = start_state(course.parameters)
    seen = [Observation(n, (10,), True, 20_000.0) for n in range(5)]
    assert fits_together(Turn(state, seen, (), 20_000.0))
    many = np.arange(ITEM_LIMIT - 4)
    full = replace(state, items=state.items._replace(keys=many))
    assert not fits_together(Turn(full, seen, (), 20_000.0))


def test_a_glance_is_mastery() -> None:
    course = small_course()
    parameters = course.parameters
    for turn in turns(course, 11, 12):
        at = max(turn.at, turn.state.at)
        keys = [10, 20, 30, 40, STRANGE]
        found = mastery([turn.state], keys, at, parameters)
        columns = (found.mean[0], found.low[0], found.high[0], found.evidence[0])
        for key, *told in zip(keys, *columns, strict=True):
            np.testing.assert_allclose(glance(turn.state, key, at, parameters), told, rtol=1e-12)
