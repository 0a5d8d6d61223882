"""How a state moves: in time, by answers, to what it has never met."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tracing import courses
from tests.tracing.courses import BEGIN_MS, small_course
from tracing import (
    KnowledgeState,
    Observation,
    Parameters,
    advance,
    filter_sequence,
    observe,
    p_correct,
    population_parameters,
    start_state,
)
from tracing.ednet import MS_PER_DAY
from tracing.errors import TimeReversed
from tracing.filtering import ITEM_LIMIT

DAY = BEGIN_MS / MS_PER_DAY
COURSE = small_course()
P = COURSE.parameters


def same(a: KnowledgeState, b: KnowledgeState, tolerance: float = 0.0) -> None:
    """The states agree in everything but last_seq."""
    assert (a.fit_id, a.answers, a.at) == (b.fit_id, b.answers, b.at)
    for x, y in zip(
        (a.components, a.evidence, *a.belief, *a.items),
        (b.components, b.evidence, *b.belief, *b.items),
        strict=True,
    ):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def after(
    answers: int, seed: int = 0, parameters: Parameters = P, learner: int | None = None
) -> KnowledgeState:
    """A learner of the course after random answers."""
    history = COURSE.history(np.random.default_rng(seed), answers)
    return filter_sequence(start_state(parameters, learner), history, parameters)


def test_time_running_backwards_is_refused() -> None:
    state = after(5)
    for move in (
        lambda: advance(state, state.at - 1e-6, P),
        lambda: observe(state, Observation(1000, COURSE.tags[1000], True, state.at - 1.0), P),
        lambda: p_correct(state, 1000, COURSE.tags[1000], state.at - 1.0, P),
        lambda: advance(state, float("nan"), P),
    ):
        with pytest.raises(TimeReversed, match="replay the learner"):
            move()


def test_events_may_share_a_moment() -> None:
    state = start_state(P)
    for item, tags in list(COURSE.tags.items())[:6]:
        state = observe(state, Observation(item, tags, True, DAY), P)
    assert (state.answers, state.at) == (6, DAY)
    same(advance(state, DAY, P), state)


@given(st.integers(0, 60), st.integers(0, 10**6))
@settings(max_examples=25)
def test_a_state_is_the_replay_of_its_answers(split: int, seed: int) -> None:
    history = COURSE.history(np.random.default_rng(seed), 60)
    whole = filter_sequence(start_state(P), history, P)
    half = filter_sequence(start_state(P), history[:split], P)
    same(filter_sequence(half, history[split:], P), whole)
    assert whole.answers == 60
    assert whole.evidence.sum() == sum(len(o.components) for o in history)


@given(st.floats(0, 1), st.floats(0, 300))
@settings(max_examples=40)
def test_advancing_in_two_steps_is_advancing_in_one(share: float, gap: float) -> None:
    state = after(30)
    twice = advance(advance(state, state.at + share * gap, P), state.at + gap, P)
    same(twice, replace(advance(state, state.at + gap, P), at=twice.at), 1e-9)


def test_advancing_before_an_answer_changes_nothing() -> None:
    state = after(30)
    o = Observation(1000, COURSE.tags[1000], False, state.at + 2.0)
    same(observe(advance(state, state.at + 0.7, P), o, P), observe(state, o, P), 1e-9)


def test_an_event_without_outcome_only_lets_time_pass() -> None:
    state = after(10)
    event = Observation(77, (999,), None, state.at + 3.0)
    same(observe(state, event, P), advance(state, state.at + 3.0, P))


def test_values_are_new_and_the_old_ones_stay() -> None:
    state = after(20)
    before = state.to_bytes()
    observe(state, Observation(1000, COURSE.tags[1000], False, state.at + 1.0), P)
    observe(state, Observation(5, (5, 6), True, state.at + 1.0), P)
    assert state.to_bytes() == before


def test_what_nobody_has_seen_is_met_like_anything_else() -> None:
    """An item and a component that the fit lacks: placed in order, expected at the prior, then remembered."""
    state = after(12)
    o = Observation(5, (25, 3), True, state.at + 1.0)
    assert p_correct(state, 5, (25, 3), o.at, P) == pytest.approx(0.5, abs=0.35)
    later = observe(state, o, P)
    assert (np.diff(later.components) > 0).all()
    assert {3, 25} <= set(later.components.tolist())
    assert 5 in later.items.keys
    assert later.evidence[np.searchsorted(later.components, [3, 25])].tolist() == [1, 1]
    assert later.belief.lasting[np.searchsorted(later.components, 25)] > 0
    assert p_correct(later, 5, (25, 3), o.at, P) > p_correct(state, 5, (25, 3), o.at, P)


def test_a_prerequisite_is_met_but_not_practised() -> None:
    state = observe(start_state(P), Observation(1, (20,), True, DAY), P)
    assert state.components.tolist() == [10, 20]
    assert state.evidence.tolist() == [0, 1]
    assert state.belief.lasting[0] > 0


def test_an_item_without_components_informs_ability_alone() -> None:
    state = observe(start_state(P), Observation(8, (), True, DAY), P)
    assert len(state.components) == 0
    assert state.belief.ability > 0


def test_a_learner_of_the_fit_starts_with_its_traits() -> None:
    stranger, known = start_state(P), start_state(P, 7)
    assert (known.forgetting, known.volatility) == (0.4, -0.3)
    assert (stranger.forgetting, stranger.volatility) == (0.0, 0.0)
    same(start_state(P, 12345), stranger)
    assert known.belief.var_form == pytest.approx(P.population.form_variance * np.exp(-0.3))


def test_traits_say_how_fast_a_learner_forgets() -> None:
    faster, slower = after(40, learner=7), after(40, learner=9)
    fast, slow = (
        float(np.abs(advance(s, s.at + 4.0, P).belief.passing).sum() / np.abs(s.belief.passing).sum())
        for s in (faster, slower)
    )
    assert fast == pytest.approx(np.exp(-4 * P.population.forgetting_rate * np.exp(0.4)), rel=1e-6)
    assert slow == pytest.approx(np.exp(-4 * P.population.forgetting_rate * np.exp(-0.5)), rel=1e-6)


def test_right_answers_raise_and_wrong_ones_lower_what_is_expected() -> None:
    state, tags = after(15), COURSE.tags[1000]
    at = state.at + 0.01
    here = p_correct(state, 1021, COURSE.tags[1021], at, P)
    up, down = (observe(state, Observation(1000, tags, right, at), P) for right in (True, False))
    assert p_correct(down, 1021, COURSE.tags[1021], at, P) < here
    assert p_correct(up, 1021, COURSE.tags[1021], at, P) > here


def test_the_item_met_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracing.filtering.ITEM_LIMIT", 4)
    events = [Observation(item, (10,), True, DAY + n) for n, item in enumerate((50, 30, 40, 10, 50, 20))]
    state = filter_sequence(start_state(P), events, P)
    assert state.items.keys.tolist() == [10, 20, 40, 50]
    assert state.items.day.tolist() == [DAY + 3, DAY + 5, DAY + 2, DAY + 4]
    same(filter_sequence(start_state(P), events, P), state)
    ties = [Observation(item, (10,), True, DAY) for item in (3, 9, 7, 5, 8)]
    assert filter_sequence(start_state(P), ties, P).items.keys.tolist() == [5, 7, 8, 9]


def test_the_limit_is_reached_and_not_passed() -> None:
    state = start_state(P)
    for n in range(ITEM_LIMIT + 3):
        state = observe(state, Observation(n, (10,), True, DAY + n / 1000), P)
    assert state.items.keys[[0, -1]].tolist() == [3, ITEM_LIMIT + 2]
    assert len(state.items.keys) == ITEM_LIMIT


def test_a_course_without_a_fit_is_served_by_irt() -> None:
    """Ability alone moves, by the closed-form step of the IRT baseline; time and practice change nothing."""
    p = population_parameters()
    assert (p.fit_id, p.model) == (0, "irt")
    state, mean, variance = start_state(p), 0.0, p.population.ability_variance
    for n, o in enumerate(COURSE.history(np.random.default_rng(2), 50)):
        kappa = (1 + np.pi * variance / 8) ** -0.5
        predicted = 1 / (1 + np.exp(-kappa * mean))
        assert p_correct(state, o.item, o.components, o.at, p) == pytest.approx(predicted, abs=1e-6), n
        state = observe(state, o, p)
        slope, curvature = kappa * (bool(o.outcome) - predicted), kappa**2 * predicted * (1 - predicted)
        mean, variance = mean + variance * slope, variance - variance**2 * curvature
    assert state.belief.ability == pytest.approx(mean, abs=1e-6)
    assert state.belief.var_ability == pytest.approx(variance, abs=1e-6)


def test_gaps_of_the_histories_are_the_ones_meant() -> None:
    assert 0 in courses.GAPS
    assert max(courses.GAPS) == 90 * MS_PER_DAY
