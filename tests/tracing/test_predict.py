"""What a state says: mastery and its interval, half-life, expected gain."""

import time
from dataclasses import replace

import numpy as np
import pytest

from tests.tracing.courses import small_course
from tracing import (
    KnowledgeState,
    Observation,
    Parameters,
    expected_gain,
    filter_sequence,
    mastery,
    observe,
    p_correct,
    population_parameters,
    start_state,
)
from tracing.errors import TimeReversed
from tracing.filtering import view
from tracing.likelihood import logistic
from tracing.population import default_population

COURSE = small_course()
P = COURSE.parameters
KEYS = P.component_keys.tolist()


def learners(count: int, answers: int = 40, parameters: Parameters = P) -> list[KnowledgeState]:
    """Learners after random answers; the first two have traits."""
    return [
        filter_sequence(
            start_state(parameters, {0: 7, 1: 9}.get(n)),
            COURSE.history(np.random.default_rng(n), answers + n),
            parameters,
        )
        for n in range(count)
    ]


STATES = learners(6)
NOW = max(state.at for state in STATES) + 0.5


def test_mastery_is_the_probability_of_the_median_item_without_item_memory() -> None:
    """An item nobody has met, of the component's median difficulty, in a fit whose items hold no memory."""
    for k, key in enumerate(KEYS):
        bare = replace(
            P,
            population=replace(P.population, item_variance=0.0),
            item_keys=np.append(P.item_keys, 9999),
            item_difficulty=np.append(P.item_difficulty, P.component_difficulty[k]),
        )
        found = mastery(STATES, [key], NOW, P)
        want = [p_correct(state, 9999, (key,), NOW, bare) for state in STATES]
        np.testing.assert_allclose(found.mean[:, 0], want, atol=1e-12)


def test_mastery_of_many_is_mastery_one_by_one() -> None:
    keys = [*KEYS[::-1], KEYS[0], 999]
    together = mastery(STATES, keys, NOW, P)
    for n, state in enumerate(STATES):
        for m, key in enumerate(keys):
            alone = mastery([state], [key], NOW, P)
            for name in ("mean", "low", "high", "evidence", "half_life"):
                np.testing.assert_allclose(
                    getattr(together, name)[n, m], getattr(alone, name)[0, 0], rtol=1e-10, err_msg=name
                )


def test_evidence_counts_the_answers_that_practised_a_component() -> None:
    history = COURSE.history(np.random.default_rng(3), 43)
    found = mastery([STATES[3]], KEYS, NOW, P).evidence[0].tolist()
    assert found == [sum(key in o.components for o in history) for key in KEYS]


def test_intervals_hold_the_mean_and_are_ordered() -> None:
    strangers = [start_state(P), start_state(P, 7)]
    found = mastery([*STATES, *strangers], [*KEYS, 999], NOW, P)
    assert ((found.low > 0) & (found.low < found.mean)).all()
    assert ((found.mean < found.high) & (found.high < 1)).all()
    assert ((found.high - found.low)[:6, :-1] < (found.high - found.low)[6, 0]).all()


def test_interval_holds_ninety_per_cent_of_the_belief() -> None:
    state = STATES[0]
    seen = view(state, None, (KEYS[1],), NOW, P).outlook
    drawn = logistic(np.random.default_rng(0).normal(seen.mean, np.sqrt(seen.variance), 200_000))
    found = mastery([state], [KEYS[1]], NOW, P)
    assert (drawn < found.low[0, 0]).mean() == pytest.approx(0.05, abs=0.003)
    assert (drawn > found.high[0, 0]).mean() == pytest.approx(0.05, abs=0.003)


def test_what_is_passing_is_forgotten_and_what_lasts_stays() -> None:
    """Mastery a long time later is the lasting level, and comes nearer to it with every half-life."""
    for state in STATES:
        level = view(state, None, (KEYS[0],), NOW + 1e7, P).outlook.mean
        still = replace(
            state, at=1e9, belief=state.belief._replace(form=0.0, passing=0.0 * state.belief.passing)
        )
        assert level == pytest.approx(view(still, None, (KEYS[0],), 1e9, P).outlook.mean, abs=1e-12)
        away = [
            abs(view(state, None, (KEYS[0],), NOW + days, P).outlook.mean - level)
            for days in (1, 10, 40, 200, 2000)
        ]
        assert away == sorted(away, reverse=True)
        assert away[-1] < 1e-6


def test_half_life_is_that_of_the_curve_itself() -> None:
    """The last moment at which more than half of the distance to the long-run logit is left, on a grid."""
    checked = 0
    for state in STATES[:4]:
        now = state.at + 1e-3
        found = mastery([state], KEYS, now, P).half_life[0]
        grid = np.concatenate([[0.0], np.geomspace(1e-5, 2000, 900)])
        for k, key in enumerate(KEYS):
            level = view(state, None, (key,), now + 1e7, P).outlook.mean
            left = np.array([abs(view(state, None, (key,), now + d, P).outlook.mean - level) for d in grid])
            if left[0] <= 0.01:
                assert np.isnan(found[k])
                continue
            last = np.flatnonzero(left > left[0] / 2)[-1]
            assert grid[last] * 0.98 <= found[k] <= grid[last + 1] * 1.02
            checked += 1
    assert checked > 8


def test_half_life_of_one_rate_is_that_rates() -> None:
    b = start_state(P).belief
    state = replace(
        STATES[2],
        at=NOW,
        belief=STATES[2].belief._replace(form=0.0, passing=np.full(len(STATES[2].components), 0.4)),
    )
    assert mastery([state], [10], NOW, P).half_life[0, 0] == pytest.approx(
        np.log(2) / P.population.forgetting_rate, rel=1e-6
    )
    assert b.form == 0.0
    assert np.isnan(mastery([start_state(P)], [10], NOW, P).half_life).all()


def test_terms_that_cancel_do_not_shorten_the_half_life() -> None:
    """form -.9 hides passing +1.0 for minutes; what is left afterwards takes days to fade below half."""
    state = replace(STATES[2], at=NOW, belief=STATES[2].belief._replace(form=-0.9))
    state = replace(state, belief=state.belief._replace(passing=np.ones(len(state.components))))
    found = mastery([state], [10], NOW, P).half_life[0, 0]
    assert found == pytest.approx(np.log(1 / 0.05) / P.population.forgetting_rate, rel=1e-3)


def test_expected_gain_counts_practice_and_nothing_else() -> None:
    state, tags = STATES[2], COURSE.tags[1000]
    gains = {
        "lasting_gain_right": 0.1,
        "lasting_gain_wrong": 0.05,
        "passing_gain_right": 0.1,
        "passing_gain_wrong": 0.1,
    }
    none = replace(P, population=replace(P.population, **dict.fromkeys(gains, 0.0)))
    some = replace(P, population=replace(P.population, **gains))
    assert expected_gain(state, 1000, tags, NOW, NOW + 7, none) == 0.0
    soon, later = (expected_gain(state, 1000, tags, NOW, NOW + days, some) for days in (0.0, 60.0))
    assert 0 < later < soon < 0.1
    assert expected_gain(state, 1023, (), NOW, NOW, some) == 0.0


def test_expected_gain_is_the_mean_change_over_both_outcomes() -> None:
    """Against the filter: mastery afterwards, each outcome weighted by its probability. The gains are large
    and the belief is narrow, so that what the answer tells, of expectation nearly zero, stays small."""
    gains = dict.fromkeys(("lasting_gain_right", "lasting_gain_wrong", "passing_gain_right"), 0.3)
    p = replace(P, population=replace(P.population, **gains))
    state, tags = learners(3, 300, p)[2], (10, 30)
    at, later = state.at + 0.1, state.at + 5.0
    right = p_correct(state, 1000, tags, at, p)
    after = [
        mastery([observe(state, Observation(1000, tags, outcome, at), p)], tags, later, p).mean.mean()
        for outcome in (True, False)
    ]
    change = right * after[0] + (1 - right) * after[1] - mastery([state], tags, later, p).mean.mean()
    assert expected_gain(state, 1000, tags, at, later, p) == pytest.approx(change, rel=0.1)


@pytest.mark.parametrize("tags", [(20,), (10,), (40, 20), (999,)])
def test_practice_reaches_the_practised_and_not_their_prerequisites(tags: tuple[int, ...]) -> None:
    """A gain of .1 whatever the outcome: mastery as if the practised components alone stood .1 higher."""
    gains = dict.fromkeys(("lasting_gain_right", "lasting_gain_wrong"), 0.1)
    gains |= dict.fromkeys(("passing_gain_right", "passing_gain_wrong"), 0.0)
    p = replace(P, population=replace(P.population, **gains))
    state = view(STATES[2], 1, tags, STATES[2].at, p).state
    higher = state.belief.lasting + 0.1 * np.isin(state.components, tags)
    lifted = replace(state, belief=state.belief._replace(lasting=higher))
    shown = mastery([state, lifted], tags, NOW, p).mean
    wanted = (shown[1] - shown[0]).mean()
    assert expected_gain(state, 1, tags, NOW - 0.3, NOW, p) == pytest.approx(wanted, rel=1e-9)


def test_moments_before_the_state_are_refused() -> None:
    state = STATES[0]
    with pytest.raises(TimeReversed, match="replay it"):
        mastery([state], KEYS, state.at - 1.0, P)
    with pytest.raises(TimeReversed, match="before the practice"):
        expected_gain(state, 1000, (10,), NOW, NOW - 1, P)


def test_nobody_and_nothing_have_an_empty_mastery() -> None:
    assert mastery([], KEYS, NOW, P).mean.shape == (0, len(KEYS))
    assert mastery(STATES, [], NOW, P).half_life.shape == (len(STATES), 0)


def test_a_course_without_a_fit_has_a_mastery_too() -> None:
    p = population_parameters()
    states = learners(2, parameters=p)
    found = mastery(states, KEYS, NOW, p)
    np.testing.assert_allclose(found.mean, np.broadcast_to(found.mean[:, :1], found.mean.shape), rtol=1e-9)
    assert ((found.low < found.mean) & (found.mean < found.high)).all()
    assert np.isnan(found.half_life).all()
    assert mastery([start_state(p)], [10], NOW, p).mean[0, 0] == 0.5


def test_a_class_is_shown_in_no_time() -> None:
    """35 learners x 50 components in one vectorised call; the bound is ten times what it takes here."""
    edges = tuple((10 * k, 10 * k + 10) for k in range(1, 50))
    course = small_course(components=50, items=200, edges=edges, population=default_population())
    states = [
        filter_sequence(
            start_state(course.parameters), course.history(np.random.default_rng(n), 60), course.parameters
        )
        for n in range(35)
    ]
    keys = course.parameters.component_keys.tolist()
    at = max(s.at for s in states)
    mastery(states, keys, at, course.parameters)
    began = time.thread_time()
    found = mastery(states, keys, at, course.parameters)
    assert time.thread_time() - began < 0.1
    assert found.mean.shape == (35, 50)
