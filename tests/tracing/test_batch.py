"""The batch filter: one by one, in any company and order, and blind to the future."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.tracing.courses import BEGIN_MS, DAY, SmallCourse, small_course
from tracing import Observation, observe, start_state
from tracing.batch import Carried, Padded, begin, pad, run
from tracing.evaluate import check_complete, multi_step_rows
from tracing.filtering import view
from tracing.likelihood import probability, site
from tracing.psi_kt import PsiKT, course_of, item_combinations, item_difficulties
from tracing.sequences import Sequences

LENGTHS = (60, 1, 17, 75, 33)
Floats = NDArray[np.float64]


def histories(
    course: SmallCourse, lengths: tuple[int, ...] = LENGTHS, begin_ms: int = BEGIN_MS
) -> list[list[Observation]]:
    """Random learners of these lengths."""
    generator = np.random.default_rng(len(lengths))
    return [course.history(generator, n, begin_ms) for n in lengths]


def filtered(
    course: SmallCourse, sequences: Sequences, learners: list[int]
) -> tuple[Padded, Carried, Floats, Floats]:
    """The batch after all answers; probability and log evidence [B, T] of every answer."""
    p = course.parameters
    combinations = item_combinations(sequences.catalogue)
    padded = pad(
        sequences,
        item_difficulties(p, sequences.catalogue)[sequences.item],
        np.array(learners),
        combinations,
    )
    loads = course_of(p, sequences.catalogue, p.edge_probability, combinations)
    said = []
    stands = []
    for _, stand, site_ in run(padded, begin(padded, p.population), loads, p.population):
        said.append((site_.probability, site_.log_evidence))
        stands.append(stand)
    found = np.array(said)  # [T, 2, B]
    return padded, stands[-1], found[:, 0].T, found[:, 1].T


@pytest.mark.parametrize("begin_ms", [BEGIN_MS, 0, -3 * DAY])
def test_the_batch_is_the_filter_one_by_one(begin_ms: int) -> None:
    """Also where the first answers lie on day 0 or before 1970."""
    course = small_course()
    logs = histories(course, begin_ms=begin_ms)
    padded, stand, p, evidence = filtered(course, course.sequences(logs), list(range(len(logs))))
    for learner, log in enumerate(logs):
        state = start_state(course.parameters)
        for t, o in enumerate(log):
            outlook = view(state, o.item, o.components, o.at, course.parameters).outlook
            said = site(outlook.mean, outlook.variance, float(bool(o.outcome)))
            assert p[learner, t] == pytest.approx(said.probability, abs=1e-9)
            assert evidence[learner, t] == pytest.approx(said.log_evidence, abs=1e-9)
            state = observe(state, o, course.parameters)
        own = [values[learner] for values in stand.belief[:5]]
        np.testing.assert_allclose(own, state.belief[:5], atol=1e-9)
        place = padded.keys[learner] >= 0
        assert (
            course.parameters.component_keys[padded.keys[learner][place]].tolist()
            == state.components.tolist()
        )
        for values, served in zip(stand.belief[5:], state.belief[5:], strict=True):
            np.testing.assert_allclose(values[learner][place], served, atol=1e-9)
        met = padded.met[learner] >= 0
        np.testing.assert_allclose(stand.memory.mean[learner][met], state.items.mean, atol=1e-9)
        np.testing.assert_allclose(stand.memory.variance[learner][met], state.items.variance, atol=1e-9)


def test_company_and_order_change_nothing() -> None:
    course = small_course()
    sequences = course.sequences(histories(course))
    _, _, together, _ = filtered(course, sequences, [0, 1, 2, 3, 4])
    _, _, reverse, _ = filtered(course, sequences, [4, 3, 2, 1, 0])
    assert np.array_equal(together, reverse[::-1])
    for learner, length in enumerate(LENGTHS):
        _, _, alone, evidence = filtered(course, sequences, [learner])
        assert alone.shape == (1, length)
        assert np.array_equal(alone[0], together[learner, :length])
        assert (evidence < 0).all()


def test_padding_says_nothing() -> None:
    course = small_course()
    sequences = course.sequences(histories(course))
    padded, _, _, evidence = filtered(course, sequences, [0, 1, 2, 3, 4])
    for learner, length in enumerate(LENGTHS):
        assert (evidence[learner, length:] == 0).all()
        assert (padded.answered[learner] == (np.arange(padded.days.shape[1]) < length)).all()


def test_learners_without_answers_stay_where_they_begin() -> None:
    course = small_course()
    sequences = course.sequences(histories(course))
    some = sequences.keep_rows(~np.isin(sequences.learner_of_row, [1, 4]))
    padded, stand, p, evidence = filtered(course, some, [0, 1, 2, 3, 4])
    assert (evidence[[1, 4]] == 0).all()
    assert (padded.keys[[1, 4]] == -1).all()
    assert stand.belief.ability[[1, 4]].tolist() == [0.0, 0.0]
    full = filtered(course, sequences, [0, 1, 2, 3, 4])[2]
    assert np.array_equal(p[[0, 2, 3]], full[[0, 2, 3]])


def test_predict_survives_learners_and_sets_without_answers() -> None:
    course = small_course()
    sequences = course.sequences(histories(course))
    tracer = PsiKT(course.parameters)
    none = sequences.keep_rows(np.zeros(sequences.rows, bool))
    assert len(tracer.predict(none).one_step) == 0
    some = sequences.keep_rows(sequences.learner_of_row != 3)
    predictions = tracer.predict(some)
    check_complete(predictions, some)
    assert np.array_equal(
        predictions.one_step, tracer.predict(sequences).one_step[sequences.learner_of_row != 3]
    )


def test_multi_step_looks_ahead_without_an_update() -> None:
    course = small_course()
    p = course.parameters
    logs = histories(course)
    sequences = course.sequences(logs)
    found = PsiKT(p).predict(sequences).multi_step
    asked = multi_step_rows(sequences)
    assert len(found.p) == 10 * (5 + 5 + 2)
    for n in range(len(found.p)):
        learner, row, k = int(asked.learner[n]), int(asked.row[n]), int(asked.k[n])
        state = start_state(p)
        for o in logs[learner][:k]:
            state = observe(state, o, p)
        o = logs[learner][row]
        outlook = view(state, o.item, o.components, o.at, p).outlook
        wider = outlook.variance + (row - k) * p.population.ability_drift
        assert found.p[n] == pytest.approx(probability(outlook.mean, wider), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_future_changes_no_earlier_prediction(seed: int) -> None:
    """Outcomes flipped, items and times changed, or rows cut from row 31 on: bit for bit the same before."""
    course = small_course(seed)
    sequences = course.sequences(histories(course))
    tracer = PsiKT(course.parameters)
    generator = np.random.default_rng(seed)
    late = sequences.position >= 31
    item = np.where(late, generator.permutation(sequences.item), sequences.item).astype(np.int32)
    variants = [
        replace(sequences, correct=sequences.correct ^ late),
        replace(sequences, item=item),
        replace(sequences, days=sequences.days + late * (40.0 + sequences.position)),
        sequences.keep_rows(~late),
    ]
    whole = tracer.predict(sequences)
    for changed in variants:
        again = tracer.predict(changed)
        early = changed.position < 31
        assert np.array_equal(again.one_step[early], whole.one_step[~late])
    flipped = tracer.predict(variants[0]).multi_step
    first = flipped.k <= 30
    assert np.array_equal(flipped.p[first], whole.multi_step.p[whole.multi_step.k <= 30])
    assert not np.array_equal(flipped.p[~first], whole.multi_step.p[whole.multi_step.k > 30])
    keep = sequences.keep_rows(sequences.position < 40).select([0, 3])
    cut, full = tracer.predict(keep).multi_step, tracer.predict(sequences.select([0, 3])).multi_step
    assert np.array_equal(cut.p, full.p[full.k <= 30])


def test_the_fits_graph_serves_whatever_the_catalogues_is() -> None:
    """A prerequisite drawn after the fit changes no prediction; what serves does not know it either."""
    course = small_course()
    logs = histories(course)
    newer = replace(course, edges=(*course.edges, (50, 10), (50, 20)))
    fewer = replace(course, edges=course.edges[:1])
    tracer = PsiKT(course.parameters)
    want = tracer.predict(course.sequences(logs)).one_step
    for other in (newer, fewer):
        np.testing.assert_allclose(tracer.predict(other.sequences(logs)).one_step, want, rtol=1e-12)
