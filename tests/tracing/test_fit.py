"""The fit: deterministic, better than its prior, one likelihood with what serves, nothing left behind."""

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl
import pyro
import pytest
import torch
from numpy.typing import NDArray

from tracing import Observation, Parameters, mastery, observe, population_parameters, start_state
from tracing.batch import Course, begin, pad, run
from tracing.errors import DeviceUnavailable, DidNotConverge, NotEnoughData
from tracing.filtering import view
from tracing.fit import FitConfig, Fitted, Progress, choose_answers, fit, known_edge_logits
from tracing.graph import transfer_weights
from tracing.items import fit_items_without_own
from tracing.likelihood import site
from tracing.loadings import loading_weights
from tracing.model import EDGE_PRIOR_LOGIT
from tracing.population import NAMES, default_population, from_vector
from tracing.psi_kt import course_of, item_combinations, item_difficulties, known_edges
from tracing.sequences import Sequences, build_sequences
from tracing.simulate import draw_parameters, simulate
from tracing.windows import to_device

SMALL = FitConfig(steps=6, window=32, batch=64, learning_rate=0.3, folds=2)
EDGES = [(101, 102), (102, 103), (103, 104)]


def school(seed: int = 0, learners: int = 40, answers: int = 40) -> Sequences:
    """Learners whose form moves more, and who gain more from an item, than the prior's centre says."""
    generator = np.random.default_rng(seed)
    items = pl.DataFrame(
        {"item": range(1, 25), "components": [[101 + n // 6] for n in range(24)]},
        schema={"item": pl.Int64, "components": pl.List(pl.Int64)},
    )
    population = default_population(form_variance=0.9, passing_variance=0.3, item_gain_right=2.2)
    truth = draw_parameters(items, EDGES, generator, population=population)
    return build_sequences(
        simulate(truth, items, np.full(learners, answers), generator).answers, items, EDGES
    )


@pytest.fixture(scope="module", autouse=True)
def quick_traits() -> Iterator[None]:
    """Fewer steps for the spread of traits, which tests/tracing/test_traits.py looks at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tracing.traits.STEPS", 10)
        yield


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    """The school's answers."""
    return school()


@pytest.fixture(scope="module")
def fitted(sequences: Sequences) -> Fitted:
    """A small fit of the school."""
    return fit(sequences, SMALL, device="cpu")


def evidence(sequences: Sequences, difficulty: NDArray[np.float64], p: Parameters) -> float:
    """Log evidence per answer at a fit's constants, difficulties of the rows given."""
    edges, chance = known_edges(p, sequences.catalogue)
    catalogue = replace(sequences.catalogue, edges=edges)
    combinations = item_combinations(catalogue)
    padded = pad(sequences, difficulty, np.arange(len(sequences.learners)), combinations)
    course = course_of(p, catalogue, chance, combinations)
    total = sum(
        said.log_evidence.sum()
        for _, _, said in run(padded, begin(padded, p.population), course, p.population)
    )
    return float(total / sequences.rows)


def arrays(p: Parameters) -> dict[str, NDArray[np.float64]]:
    """Everything that was fitted."""
    names = [name for name in p.__dataclass_fields__ if isinstance(getattr(p, name), np.ndarray)]
    found = {name: getattr(p, name) for name in names}
    return {**found, "population": np.array([getattr(p.population, name) for name in NAMES])}


def test_the_same_seed_gives_the_same_fit(sequences: Sequences, fitted: Fitted) -> None:
    again = fit(sequences, SMALL, device="cpu")
    for name, values in arrays(fitted.parameters).items():
        assert np.array_equal(arrays(again.parameters)[name], values), name
    other = fit(sequences, replace(SMALL, seed=1, steps=2), device="cpu")
    assert not np.array_equal(other.parameters.population_location, fitted.parameters.population_location)


def test_a_fit_explains_more_than_the_prior_does(sequences: Sequences, fitted: Fitted) -> None:
    """On answers whose difficulties come from other learners, and towards the truth."""
    p = fitted.parameters
    difficulty = fit_items_without_own(sequences, SMALL.folds, SMALL.seed)
    before = evidence(sequences, difficulty, replace(p, population=default_population()))
    assert evidence(sequences, difficulty, p) > before + 0.001
    assert p.population.form_variance > 0.3
    assert p.population.item_gain_right > 1.4
    assert (p.population_spread > 0).all()
    assert ((p.edge_probability > 0) & (p.edge_probability < 1)).all()


def test_what_is_fitted_is_what_serves(sequences: Sequences, fitted: Fitted) -> None:
    """Log evidence of every answer: torch at the fitted vector, and the served state one by one."""
    p = fitted.parameters
    vector, catalogue = torch.tensor(p.population_location), sequences.catalogue
    constants = from_vector(vector)
    combinations = item_combinations(catalogue)
    padded = pad(sequences, item_difficulties(p, catalogue)[sequences.item], np.arange(40), combinations)
    transfer = transfer_weights(p.closure, p.edges, torch.tensor(p.edge_probability), constants.transfer)
    course = Course(
        loading_weights(combinations, transfer, constants.sharing), torch.as_tensor(combinations.practised)
    )
    tensors = to_device(padded, torch.device("cpu"))
    with torch.no_grad():
        said = [
            s.log_evidence.numpy() for _, _, s in run(tensors, begin(tensors, constants), course, constants)
        ]
    trained = np.array(said).T
    for learner in range(0, 40, 8):
        state = start_state(p)
        for t in range(40):
            row = int(sequences.offsets[learner]) + t
            item = int(sequences.item[row])
            own = catalogue.item_components[item]
            o = Observation(
                int(catalogue.item_keys[item]),
                tuple(catalogue.component_keys[own[own >= 0]].tolist()),
                bool(sequences.correct[row]),
                float(sequences.days[row]),
            )
            outlook = view(state, o.item, o.components, o.at, p).outlook
            served = site(outlook.mean, outlook.variance, float(bool(o.outcome))).log_evidence
            assert served == pytest.approx(trained[learner, t], abs=1e-6)
            state = observe(state, o, p)


def test_a_fit_leaves_no_trace(sequences: Sequences) -> None:
    """No parameter in Pyro's store, no random state moved, and nothing that stood there lost."""
    with pyro.get_param_store().scope():
        pyro.param("mine", torch.tensor(2.0))
        before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
        fit(sequences, replace(SMALL, steps=2), device="cpu")
        assert set(pyro.get_param_store().keys()) == {"mine"}
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
        assert random.getstate() == before[2]
    assert not list(pyro.get_param_store().keys())


def test_a_fit_goes_on_from_an_earlier_one(sequences: Sequences, fitted: Fitted) -> None:
    """Constants and edges: after one tiny step they are near the earlier ones, not at the prior's."""
    crawl = replace(SMALL, steps=1, learning_rate=1e-9)
    warm = fit(sequences, crawl, device="cpu", warm_start=fitted.parameters).parameters
    np.testing.assert_allclose(warm.population_location, fitted.parameters.population_location, atol=1e-6)
    np.testing.assert_allclose(warm.edge_probability, fitted.parameters.edge_probability, atol=1e-6)
    cold = fit(sequences, crawl, device="cpu").parameters
    assert np.abs(cold.population_location - warm.population_location).max() > 0.1
    irt = fit(sequences, crawl, device="cpu", warm_start=population_parameters()).parameters
    np.testing.assert_allclose(irt.population_location, cold.population_location, atol=1e-6)


def test_edges_of_an_earlier_fit_are_found_by_their_components(fitted: Fitted, sequences: Sequences) -> None:
    p = fitted.parameters
    catalogue = replace(
        sequences.catalogue,
        component_keys=np.array([90, 101, 102, 103, 104]),
        edges=np.array([(0, 1), (3, 4), (1, 2)], np.int32),
    )
    known = np.log(p.edge_probability) - np.log1p(-p.edge_probability)
    np.testing.assert_allclose(known_edge_logits(p, catalogue), [EDGE_PRIOR_LOGIT, known[2], known[0]])


def test_the_fit_knows_its_learners_and_serves_them(sequences: Sequences, fitted: Fitted) -> None:
    p = fitted.parameters
    assert p.learner_keys.tolist() == sequences.learners.tolist()
    assert p.traits.shape == p.trait_spread.shape == (40, 2)
    state = start_state(p, int(p.learner_keys[3]))
    assert (state.forgetting, state.volatility) == tuple(p.traits[3])
    found = mastery([state], p.component_keys.tolist(), 20_000.0, p)
    assert np.isfinite(found.mean).all()


def test_progress_is_told_and_counted(sequences: Sequences) -> None:
    told: list[Progress] = []
    found = fit(sequences, replace(SMALL, steps=3), device="cpu", on_step=told.append)
    assert [p.phase for p in told] == [
        "items",
        "items",
        "population",
        "population",
        "population",
        "traits",
        "traits",
    ]
    assert [p.step for p in told if p.phase == "population"] == [1, 2, 3]
    assert all(np.isfinite(p.loss) for p in told if p.phase == "population")
    assert found.metrics["answers"] == sequences.rows
    assert found.metrics["device"] == "cpu"
    assert found.metrics["config"]["steps"] == 3
    assert found.seconds > 0


def test_answers_of_the_fit_are_the_starts_of_drawn_histories(sequences: Sequences) -> None:
    chosen, rows = choose_answers(sequences, FitConfig(answers=200, history=15, seed=3))
    assert chosen.lengths.max() == 15
    assert 200 <= chosen.rows < 200 + 15
    assert (sequences.position[rows] < 15).all()
    assert np.array_equal(chosen.item, sequences.item[rows])
    assert np.array_equal(
        chosen.learners[chosen.learner_of_row], sequences.learners[sequences.learner_of_row[rows]]
    )


def test_too_few_learners_are_refused(sequences: Sequences) -> None:
    for kept in ([], [3]):
        only = sequences.keep_rows(np.isin(sequences.learner_of_row, kept))
        with pytest.raises(NotEnoughData, match=f"at least 2 learners; there are {len(kept)}"):
            fit(only, SMALL, device="cpu")


def test_settings_that_make_no_sense_are_named_all_at_once() -> None:
    with pytest.raises(
        ValueError, match=r"steps is 0, at least 1; folds is 1, at least 2; learning_rate is 0"
    ):
        FitConfig(steps=0, folds=1, learning_rate=0.0)


def test_evidence_that_is_not_finite_stops_the_fit(sequences: Sequences) -> None:
    days = sequences.days.copy()
    days[5] = np.nan
    with pytest.raises(DidNotConverge, match="of 64 windows is not finite"):
        fit(replace(sequences, days=days), SMALL, device="cpu")


def test_two_learners_are_enough() -> None:
    found = fit(school(1, learners=2, answers=12), replace(SMALL, steps=2), device="cpu")
    assert np.isfinite(found.parameters.population_location).all()


def test_a_device_that_is_not_there_is_refused(sequences: Sequences) -> None:
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is there")
    with pytest.raises(DeviceUnavailable, match="use auto or cpu"):
        fit(sequences, SMALL, device="cuda")
