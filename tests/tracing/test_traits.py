"""Learner traits: quadrature against a fine grid, planted differences, how sure one can be."""

import numpy as np
import polars as pl
import pytest

from tests.tracing.courses import small_course
from tracing.batch import begin, pad, run
from tracing.population import default_population, personalise
from tracing.psi_kt import course_of, item_combinations, item_difficulties
from tracing.sequences import Sequences, build_sequences
from tracing.simulate import Simulated, draw_parameters, simulate
from tracing.traits import NODES, Traits, fit_spread, fit_traits, prior_spreads


def planted(
    learners: int, answers: int, spread: tuple[float, float], seed: int = 0
) -> tuple[Traits, Simulated, Sequences]:
    """Traits found at the true constants and difficulties, and the truth."""
    generator = np.random.default_rng(seed)
    items = pl.DataFrame(
        {"item": range(1, 61), "components": [[101 + n // 10] for n in range(60)]},
        schema={"item": pl.Int64, "components": pl.List(pl.Int64)},
    )
    population = default_population(form_variance=0.6, passing_variance=0.4)
    truth = draw_parameters(items, [], generator, population=population, trait_spread=spread)
    found = simulate(truth, items, np.full(learners, answers), generator)
    sequences = build_sequences(found.answers, items)
    combinations = item_combinations(sequences.catalogue)
    course = course_of(truth, sequences.catalogue, truth.edge_probability, combinations)
    difficulty = item_difficulties(truth, sequences.catalogue)[sequences.item]
    return fit_traits(sequences, difficulty, combinations, course, truth.population), found, sequences


def test_traits_are_the_posterior_on_the_nodes() -> None:
    """One learner by hand: evidence at every node, the population's Normal as prior."""
    course = small_course()
    sequences = course.sequences([course.history(np.random.default_rng(n), 40 + n) for n in range(5)])
    p = course.parameters
    combinations = item_combinations(sequences.catalogue)
    loads = course_of(p, sequences.catalogue, p.edge_probability, combinations)
    difficulty = item_difficulties(p, sequences.catalogue)[sequences.item]
    found = fit_traits(sequences, difficulty, combinations, loads, p.population)
    learner = 3
    for trait in (0, 1):
        evidence = []
        for node in NODES:
            own = personalise(p.population, *(float(node * (trait == n)) for n in (0, 1)))
            padded = pad(sequences, difficulty, np.array([learner]), combinations)
            evidence.append(sum(s.log_evidence[0] for _, _, s in run(padded, begin(padded, own), loads, own)))
        # the fitted spread itself is not kept: it is found from that of its prior on the nodes
        scales = np.exp(np.linspace(-3, 1, 4000))
        on_nodes = np.exp(-0.5 * (NODES / scales[:, None]) ** 2)
        on_nodes /= on_nodes.sum(1, keepdims=True)
        scale = scales[np.abs(np.sqrt(on_nodes @ NODES**2) - found.prior_spread[trait]).argmin()]
        weight = np.exp(np.array(evidence) - max(evidence) - 0.5 * (NODES / scale) ** 2)
        weight /= weight.sum()
        mean = weight @ NODES
        assert found.mean[learner, trait] == pytest.approx(mean, abs=2e-3)
        assert found.spread[learner, trait] == pytest.approx(np.sqrt(weight @ NODES**2 - mean**2), abs=2e-3)


def test_evidence_that_says_nothing_leaves_the_prior() -> None:
    spread = fit_spread(np.zeros((30, 2, len(NODES))))
    np.testing.assert_allclose(spread, np.exp(-1.2), rtol=0.05)


def test_evidence_for_differences_widens_the_population() -> None:
    """Half of the learners at one end and half at the other, in the second trait only."""
    evidence = np.zeros((40, 2, len(NODES)))
    evidence[:20, 1], evidence[20:, 1] = 6 * NODES, -6 * NODES
    same, apart = fit_spread(evidence)
    assert apart > 1.3 * same
    assert prior_spreads(np.array([same, apart]))[1] > prior_spreads(np.array([same, apart]))[0]


@pytest.mark.slow
def test_planted_volatility_is_ranked_right() -> None:
    traits, truth, sequences = planted(150, 300, (0.0, 0.9))
    assert traits.mean.shape == (len(sequences.learners), 2)
    rank = np.corrcoef(np.argsort(np.argsort(traits.mean[:, 1])), np.argsort(np.argsort(truth.traits[:, 1])))
    assert rank[0, 1] > 0.5
    assert ((traits.reliability >= 0) & (traits.reliability <= 1)).all()
    assert (traits.spread.mean(0) <= traits.prior_spread).all()
    assert traits.prior_spread[1] > traits.prior_spread[0]
    assert traits.reliability[:, 1].mean() > traits.reliability[:, 0].mean()


@pytest.mark.slow
def test_reliability_is_low_where_learners_do_not_differ() -> None:
    traits, _, _ = planted(60, 60, (0.0, 0.0), seed=1)
    assert np.median(traits.reliability) < 0.3
    assert np.abs(traits.mean).max() < 0.6
