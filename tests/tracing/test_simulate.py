"""Laws of the simulator, and that a fit gives back what was put in."""

import numpy as np
import polars as pl
import pytest

from tracing.ednet import ANSWERS, ANSWERS_REQUIRED, MS_PER_DAY, validate
from tracing.metrics import auc, metrics
from tracing.population import default_population
from tracing.sequences import build_sequences
from tracing.simulate import (
    CurriculumOrder,
    Sessions,
    Simulated,
    draw_parameters,
    draw_times,
    move_on,
    simulate,
)
from tracing.transition import retention

STILL = {
    "ability_drift": 0.0,
    "lasting_drift": 0.0,
    **{f"{kind}_gain_{way}": 0.0 for kind in ("item", "lasting", "passing") for way in ("right", "wrong")},
}


def course(components: int, items_each: int) -> tuple[pl.DataFrame, list[tuple[int, int]]]:
    """Items 1.. of components 101.. in order, each component wanted before the next."""
    tags = [[101 + n // items_each] for n in range(components * items_each)]
    items = pl.DataFrame(
        {"item": range(1, len(tags) + 1), "components": tags},
        schema={"item": pl.Int64, "components": pl.List(pl.Int64)},
    )
    return items, [(101 + k, 102 + k) for k in range(components - 1)]


def school(seed: int, learners: int = 40, answers: int = 20) -> Simulated:
    items, edges = course(4, 6)
    generator = np.random.default_rng(seed)
    truth = draw_parameters(items, edges, generator)
    return simulate(truth, items, np.full(learners, answers), generator)


def test_a_state_keeps_its_stationary_law() -> None:
    generator = np.random.default_rng(3)
    value = np.sqrt(0.4) * generator.normal(size=200_000)
    later = move_on(value, 0.4, 0.7, generator)
    assert later.var() == pytest.approx(0.4, rel=0.02)
    assert np.cov(value, later)[0, 1] == pytest.approx(0.4 * 0.7, rel=0.02)


def test_two_half_gaps_are_one_gap() -> None:
    generator = np.random.default_rng(4)
    start = np.full(200_000, 1.5)
    whole = move_on(start, 0.3, retention(0.2, 5.0), generator)
    half = retention(0.2, 2.5)
    halves = move_on(move_on(start, 0.3, half, generator), 0.3, half, generator)
    assert halves.mean() == pytest.approx(whole.mean(), abs=0.006)
    assert halves.var() == pytest.approx(whole.var(), rel=0.02)


def test_no_time_leaves_a_state_alone_and_for_ever_forgets_it() -> None:
    generator = np.random.default_rng(5)
    start = generator.normal(size=50_000)
    assert np.array_equal(move_on(start, 0.3, 1.0, generator), start)
    assert abs(np.corrcoef(start, move_on(start, 0.3, 0.0, generator))[0, 1]) < 0.02


def test_the_same_seed_gives_the_same_school_and_zero_is_a_seed() -> None:
    assert school(0).answers.equals(school(0).answers)
    assert not school(0).answers.equals(school(1).answers)


def test_answers_are_a_valid_frame_in_order_of_time() -> None:
    found = school(0)
    frame = validate(found.answers, ANSWERS, ANSWERS_REQUIRED, "answers")
    assert frame.height == len(found.probability) == len(found.ability) == 40 * 20
    gaps = frame.select(pl.col("timestamp").diff().over("learner")).to_series().drop_nulls()
    assert gaps.min() >= 1000
    assert ((found.probability > 0) & (found.probability < 1)).all()


def test_learners_may_give_different_numbers_of_answers() -> None:
    items, edges = course(3, 5)
    generator = np.random.default_rng(1)
    answers = np.array([1, 7, 30])
    found = simulate(draw_parameters(items, edges, generator), items, answers, generator)
    assert found.answers.group_by("learner").len().sort("learner")["len"].to_list() == [1, 7, 30]


def test_probabilities_are_what_outcomes_follow() -> None:
    found = school(2, learners=400, answers=40)
    measured = metrics(found.probability, found.answers["correct"].to_numpy())
    assert measured.ece < 0.02


def test_sessions_are_minutes_inside_and_days_between() -> None:
    spent, moment = draw_times(200, 60, Sessions(), np.random.default_rng(0), 0)
    days = np.diff(moment) / MS_PER_DAY
    between = days > 0.1
    assert between.mean() == pytest.approx(1 / Sessions().answers, abs=0.02)
    assert 1.5 < np.median(days[between]) < 2.5
    assert np.median(days[~between]) * 1440 < 2
    assert (spent[:, 1:] <= np.diff(moment)).all()


def test_ability_alone_stays_where_everything_else_is_still() -> None:
    items, edges = course(2, 4)
    generator = np.random.default_rng(7)
    truth = draw_parameters(items, edges, generator, population=default_population(**STILL))
    found = simulate(truth, items, np.full(30, 12), generator)
    assert (np.ptp(found.ability.reshape(30, 12), axis=1) == 0).all()
    assert np.ptp(found.ability) > 0.5


def test_a_prerequisite_lifts_what_builds_on_it() -> None:
    """Who is far above average in a component answers what builds on it better, through transfer alone."""
    items, edges = course(2, 4)
    for edge, low, high in ((1.0, 0.1, 1.0), (0.0, -0.05, 0.05)):
        generator = np.random.default_rng(8)
        constants = default_population(**STILL, lasting_variance=2.0, transfer=0.8, ability_variance=1e-9)
        truth = draw_parameters(items, edges, generator, population=constants, edge_probability=edge)
        found = simulate(
            truth, items, np.full(3000, 1), generator, choose=lambda t, met, g: np.full(len(met), 6)
        )
        strong = found.lasting[:, 0] > 1.0
        right = found.answers["correct"].to_numpy()
        assert low < right[strong].mean() - right[~strong].mean() < high


def test_practice_and_items_met_again_pay() -> None:
    items, edges = course(2, 4)
    generator = np.random.default_rng(9)
    constants = default_population(item_gain_right=2.0, item_gain_wrong=2.0, lasting_gain_right=0.1)
    truth = draw_parameters(items, edges, generator, base=0.8, spread=0.1, population=constants)
    same = simulate(truth, items, np.full(800, 6), generator, choose=lambda t, met, g: np.full(len(met), 2))
    rate = same.answers["correct"].to_numpy().reshape(800, 6).mean(0)
    assert rate[1] > rate[0] + 0.15
    other = simulate(
        truth, items, np.full(800, 6), generator, choose=lambda t, met, g: np.full(len(met), t + 2)
    )
    assert other.lasting[:, 0].mean() > 0.05


def test_curriculum_order_moves_on() -> None:
    order = CurriculumOrder(items=50, start=np.array([0, 40]), pace=2.0, reach=3)
    drawn = np.array([order(t, np.empty((2, 0), np.int64), np.random.default_rng(t)) for t in range(10)])
    assert (drawn[:, 0] >= 2 * np.arange(10)).all()
    assert (drawn[:, 0] < 2 * np.arange(10) + 3).all()
    assert drawn[:, 1].min() < 10
    assert drawn.max() < 50


@pytest.mark.slow
def test_a_fit_gives_back_what_was_put_in() -> None:
    """300 learners, 80 answers, 15 components: difficulties, discrimination, calibration."""
    from tracing.fit import FitConfig, fit
    from tracing.psi_kt import PsiKT

    items, edges = course(15, 10)
    generator = np.random.default_rng(0)
    truth = draw_parameters(items, edges, generator)

    def draw(learners: int) -> Simulated:
        start = generator.integers(0, 150, learners)
        return simulate(
            truth,
            items,
            np.full(learners, 80),
            generator,
            choose=lambda t, met, g: (start + t) % len(items),
        )

    train, strangers = draw(300), draw(60)
    test = build_sequences(strangers.answers, items, edges)
    sequences = build_sequences(train.answers, items, edges)
    fitted = fit(sequences, FitConfig(steps=40), device="cpu").parameters
    slope = np.polyfit(truth.item_difficulty, fitted.item_difficulty, 1)[0]
    assert 0.85 < slope < 1.15
    assert np.corrcoef(truth.item_difficulty, fitted.item_difficulty)[0, 1] > 0.95
    p, best = PsiKT(fitted).predict(test).one_step, PsiKT(truth).predict(test).one_step
    found, possible = auc(p, test.correct), auc(best, test.correct)
    oracle = auc(strangers.probability, test.correct)
    assert possible - found < 0.01, "what the true parameters predict is nearly reached"
    assert found < oracle, "only the simulator knows the states themselves"
    assert oracle - found < 0.08
    assert metrics(p, test.correct).ece < 0.03
