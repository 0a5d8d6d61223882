"""The Pyro models: which sites they have, and what their log joints are."""

import numpy as np
import pyro
import pyro.poutine as poutine
import pytest
import torch
from torch import Tensor

from tracing.guide import item_guide, population_guide, trait_guide
from tracing.model import (
    EDGE_PRIOR_LOGIT,
    TRAIT_SPREAD_PRIOR,
    item_model,
    node_weights,
    population_model,
    trait_model,
)
from tracing.population import prior_location, prior_spread

BATCH = np.array([1, 3])


def evidence(constants: Tensor, edges: Tensor, batch: np.ndarray) -> Tensor:
    """Made up; depends on constants and edges."""
    return torch.as_tensor(batch) * 0.1 - (constants**2).mean() - edges.sum()


def sample_sites(trace: poutine.Trace) -> set[str]:
    """Latent and observed sites, without plates."""
    return {
        name
        for name, node in trace.nodes.items()
        if node["type"] == "sample" and type(node["fn"]).__name__ != "_Subsample"
    }


def test_no_site_stands_for_a_state() -> None:
    """However many answers there are, the population's model has its constants, edges and one factor."""
    trace = poutine.trace(population_model).get_trace(evidence, 7, 4, BATCH)
    assert sample_sites(trace) == {"constants", "edges", "answers"}
    assert trace.nodes["constants"]["value"].shape == (18,)
    assert trace.nodes["edges"]["value"].shape == (4,)
    without = poutine.trace(population_model).get_trace(evidence, 7, 0, BATCH)
    assert sample_sites(without) == {"constants", "answers"}
    traits = poutine.trace(trait_model).get_trace(
        torch.zeros(5, 2, 5).double(), torch.linspace(-1, 1, 5).double()
    )
    assert sample_sites(traits) == {"log_spread", "answers"}
    items = poutine.trace(item_model).get_trace(
        torch.zeros(3, 2).double(), torch.ones(2).double(), torch.ones(3).double()
    )
    assert sample_sites(items) == {"effects", "right"}


def test_a_batch_of_windows_stands_for_all_of_them() -> None:
    zero, logits = torch.zeros(18).double(), torch.full((4,), EDGE_PRIOR_LOGIT + 1.0).double()
    held = poutine.condition(population_model, data={"constants": zero, "edges": logits})
    trace = poutine.trace(held).get_trace(evidence, 7, 4, BATCH)
    centre = torch.as_tensor(prior_location())
    normal = -0.5 * np.log(2 * np.pi)
    prior = 18 * normal + 4 * (normal - 0.5)
    said = evidence(centre, logits, BATCH).sum() * 7 / 2
    assert float(trace.log_prob_sum()) == pytest.approx(float(said) + prior)


def test_constants_are_sampled_in_units_of_their_priors() -> None:
    seen = []

    def look(constants: Tensor, edges: Tensor, batch: np.ndarray) -> Tensor:
        seen.append(constants)
        return torch.zeros(len(batch)).double()

    held = poutine.condition(population_model, data={"constants": torch.ones(18).double()})
    poutine.trace(held).get_trace(look, 7, 0, BATCH)
    np.testing.assert_allclose(seen[0].numpy(), prior_location() + prior_spread())


def test_guides_cover_the_latent_sites_of_their_models() -> None:
    with torch.random.fork_rng(devices=[]), pyro.get_param_store().scope():
        start = torch.zeros(18).double()
        for edges in (0, 3):
            guide = poutine.trace(population_guide).get_trace(start, torch.full((edges,), 1.5).double())
            model = poutine.trace(population_model).get_trace(evidence, 7, edges, BATCH)
            assert sample_sites(guide) == sample_sites(model) - {"answers"}
        traits = poutine.trace(trait_guide).get_trace(torch.zeros(2).double())
        assert sample_sites(traits) == {"log_spread"}
        items = poutine.trace(item_guide).get_trace(torch.zeros(4).double(), torch.ones(4).double())
        assert sample_sites(items) == {"effects"}
        assert set(pyro.get_param_store().keys()) == {
            f"{site}.{part}"
            for site in ("constants", "edges", "log_spread")
            for part in ("location", "scale")
        }


def test_traits_are_summed_out_over_the_nodes() -> None:
    nodes = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0]).double()
    generator = np.random.default_rng(0)
    log_evidence = torch.tensor(generator.normal(size=(6, 2, 5)))
    spread = torch.tensor([0.2, 0.7], dtype=torch.float64)
    weights = node_weights(spread, nodes)
    np.testing.assert_allclose(weights.exp().sum(-1).numpy(), 1.0)
    np.testing.assert_allclose(
        (weights[:, 4] - weights[:, 2]).numpy(), -0.5 / spread.numpy() ** 2, rtol=1e-12
    )
    held = poutine.condition(trait_model, data={"log_spread": spread.log()})
    trace = poutine.trace(held).get_trace(log_evidence, nodes)
    by_hand = np.log((np.exp(log_evidence.numpy()) * weights.exp().numpy()).sum(-1)).sum()
    location, width = TRAIT_SPREAD_PRIOR
    prior = sum(
        -0.5 * ((np.log(s) - location) / width) ** 2 - np.log(width) - 0.5 * np.log(2 * np.pi)
        for s in (0.2, 0.7)
    )
    assert float(trace.log_prob_sum()) == pytest.approx(by_hand + prior)
