"""Windows of long histories add up to the histories, and their gradients to the histories' gradients."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.tracing.courses import BEGIN_MS, DAY, SmallCourse, small_course
from tests.tracing.oracle import draw_outcomes
from tracing.batch import Course, begin, pad, run
from tracing.graph import transfer_weights
from tracing.loadings import loading_weights
from tracing.population import NAMES, from_vector, prior_location, prior_spread, with_floats
from tracing.psi_kt import item_combinations, item_difficulties
from tracing.sequences import Sequences
from tracing.windows import Windows

Floats = NDArray[np.float64]
LENGTHS = (70, 3, 16, 33, 1, 48)
WIDTH = 16


def course_and_rows(begin_ms: int = BEGIN_MS) -> tuple[SmallCourse, Sequences]:
    """Learners whose outcomes are drawn from the model."""
    course = small_course()
    generator = np.random.default_rng(4)
    logs = [
        draw_outcomes(course.history(generator, n, begin_ms), course.parameters, generator) for n in LENGTHS
    ]
    return course, course.sequences(logs)


def windows_of(course: SmallCourse, sequences: Sequences, width: int = WIDTH) -> Windows:
    """Its windows on the CPU."""
    p = course.parameters
    return Windows(
        sequences,
        item_difficulties(p, sequences.catalogue)[sequences.item],
        p.closure,
        item_combinations(sequences.catalogue),
        width,
        torch.device("cpu"),
    )


def whole_evidence(course: SmallCourse, sequences: Sequences, vector: Floats, chance: Floats) -> Floats:
    """Log evidence [L] of whole histories by the numpy filter."""
    p, constants = course.parameters, with_floats(from_vector(vector))
    combinations = item_combinations(sequences.catalogue)
    transfer = transfer_weights(p.closure, p.edges, chance, constants.transfer)
    loads = Course(loading_weights(combinations, transfer, constants.sharing), combinations.practised)
    padded = pad(
        sequences,
        item_difficulties(p, sequences.catalogue)[sequences.item],
        np.arange(len(sequences.learners)),
        combinations,
    )
    stand = begin(padded, constants)
    return np.sum([said.log_evidence for _, _, said in run(padded, stand, loads, constants)], axis=0)


def logit(p: Floats) -> torch.Tensor:
    """Log-odds as a tensor."""
    return torch.tensor(np.log(p) - np.log1p(-p))


def test_windows_are_numbered_along_the_learners() -> None:
    course, sequences = course_and_rows()
    windows = windows_of(course, sequences)
    assert len(windows) == sum(-(-n // WIDTH) for n in LENGTHS)
    assert windows.cut.lengths.tolist() == [16, 16, 16, 16, 6, 3, 16, 16, 16, 1, 1, 16, 16, 16]
    assert windows.first.tolist() == [0, 5, 6, 7, 10, 11]


@pytest.mark.parametrize("begin_ms", [BEGIN_MS, 0, -3 * DAY])
@pytest.mark.parametrize("slopes", [False, True])
def test_evidence_of_windows_adds_up_to_the_histories(slopes: bool, begin_ms: int) -> None:
    """Learner by learner, also where the first answers lie on day 0 or before 1970."""
    course, sequences = course_and_rows(begin_ms)
    windows, vector, chance = windows_of(course, sequences), prior_location(), np.array([0.9, 0.3, 0.6, 0.8])
    windows.carry(vector, chance, slopes=slopes)
    with torch.no_grad():
        found = windows.log_evidence(torch.tensor(vector), logit(chance), np.arange(len(windows))).numpy()
    total = np.add.reduceat(found, windows.first)
    np.testing.assert_allclose(total, whole_evidence(course, sequences, vector, chance), atol=1e-8)


def test_a_window_does_not_mind_its_company() -> None:
    course, sequences = course_and_rows()
    windows, chance = windows_of(course, sequences), np.full(4, 0.7)
    windows.carry(prior_location(), chance, slopes=True)
    vector = torch.tensor(prior_location() + 0.05)
    with torch.no_grad():
        every = windows.log_evidence(vector, logit(chance), np.arange(len(windows)))
        order = np.random.default_rng(0).permutation(len(windows))
        mixed = windows.log_evidence(vector, logit(chance), order)
        alone = [windows.log_evidence(vector, logit(chance), np.array([w])) for w in range(len(windows))]
    np.testing.assert_allclose(mixed.numpy(), every.numpy()[order], atol=1e-11)
    np.testing.assert_allclose(torch.cat(alone).numpy(), every.numpy(), atol=1e-11)


def gradients(slopes: bool) -> tuple[Floats, Floats]:
    """Gradient [18] of the evidence in prior spreads: by windows, and by differences of histories."""
    course, sequences = course_and_rows()
    windows, location, chance = windows_of(course, sequences), prior_location(), np.full(4, 0.7)
    windows.carry(location, chance, slopes=slopes)
    vector = torch.tensor(location, requires_grad=True)
    windows.log_evidence(vector, logit(chance), np.arange(len(windows))).sum().backward()
    assert vector.grad is not None
    unit, h = prior_spread(), 1e-4
    differences = []
    for n in range(len(NAMES)):
        shift = np.zeros(len(NAMES))
        shift[n] = h * unit[n]
        high, low = (whole_evidence(course, sequences, location + s, chance).sum() for s in (shift, -shift))
        differences.append((high - low) / (2 * h))
    return vector.grad.numpy() * unit, np.array(differences)


def test_gradients_reach_back_over_the_whole_history() -> None:
    """The slopes are finite differences themselves (a step of 1e-3): three digits of the largest are left."""
    found, wanted = gradients(slopes=True)
    np.testing.assert_allclose(found, wanted, atol=1e-3 * np.abs(wanted).max())
    cosine = found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted)
    assert cosine > 0.99999


def test_without_slopes_gradients_are_biased() -> None:
    found, wanted = gradients(slopes=False)
    assert np.abs(found - wanted).max() > 0.05 * np.abs(wanted).max()


def test_first_order_expansion_is_good_near_the_constants_carried_at() -> None:
    course, sequences = course_and_rows()
    windows, location, chance = windows_of(course, sequences), prior_location(), np.full(4, 0.7)
    moved = location + 0.2 * prior_spread() * np.where(np.arange(18) % 2, 1, -1)
    every = np.arange(len(windows))
    wanted = whole_evidence(course, sequences, moved, chance).sum()
    errors = []
    for slopes in (True, False):
        windows.carry(location, chance, slopes=slopes)
        with torch.no_grad():
            found = windows.log_evidence(torch.tensor(moved), logit(chance), every)
        errors.append(abs(float(found.sum()) - wanted))
    assert errors[0] < errors[1] / 3


def test_a_step_out_of_the_laws_starts_where_it_was_carried() -> None:
    course, sequences = course_and_rows()
    windows, location, chance = windows_of(course, sequences), prior_location(), np.full(4, 0.7)
    windows.carry(location, chance, slopes=True)
    every = np.arange(len(windows))
    for sign in (-30.0, 30.0):  # straight lines this long make variances negative
        far = torch.tensor(location)
        far[NAMES.index("ability_variance")] += sign
        far.requires_grad_()
        evidence = windows.log_evidence(far, logit(chance), every)
        evidence.sum().backward()  # type: ignore[no-untyped-call]
        assert torch.isfinite(evidence).all()
        assert far.grad is not None
        assert torch.isfinite(far.grad).all()


def test_one_window_holds_a_whole_history() -> None:
    course, sequences = course_and_rows()
    windows, chance = windows_of(course, sequences, 100), np.full(4, 0.7)
    windows.carry(prior_location(), chance, slopes=True)
    assert windows.kept == {}
    with torch.no_grad():
        found = windows.log_evidence(torch.tensor(prior_location()), logit(chance), np.arange(len(windows)))
    np.testing.assert_allclose(
        found.numpy(), whole_evidence(course, sequences, prior_location(), chance), atol=1e-9
    )
