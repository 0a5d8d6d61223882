"""On a CUDA device the evidence and its gradient are those of the CPU."""

import numpy as np
import polars as pl
import pytest
import torch

from tracing.graph import close
from tracing.population import prior_location
from tracing.psi_kt import item_combinations
from tracing.sequences import Sequences, build_sequences
from tracing.simulate import draw_parameters, simulate
from tracing.windows import Windows

EDGES = [(1, 2), (2, 3), (3, 4)]


def small_course() -> Sequences:
    """Twelve learners of a course of four components in a row."""
    generator = np.random.default_rng(5)
    items = pl.DataFrame(
        {"item": list(range(1, 13)), "components": [[1 + n % 4] for n in range(12)]},
        schema={"item": pl.Int64, "components": pl.List(pl.Int64)},
    ).with_columns(bundle=pl.lit(None, pl.Int64), part=pl.lit(None, pl.Int64))
    truth = draw_parameters(items, EDGES, generator)
    return build_sequences(simulate(truth, items, np.full(12, 40), generator).answers, items, EDGES)


@pytest.mark.gpu
def test_evidence_on_cuda_is_that_of_the_cpu() -> None:
    sequences = small_course()
    found = []
    for device in ("cpu", "cuda"):
        windows = Windows(
            sequences,
            np.zeros(sequences.rows),
            close(sequences.catalogue.edges, sequences.catalogue.components),
            item_combinations(sequences.catalogue),
            16,
            torch.device(device),
        )
        windows.carry(prior_location(), np.full(len(EDGES), 0.8), slopes=True)
        vector = torch.tensor(prior_location(), requires_grad=True)
        evidence = windows.log_evidence(vector, torch.ones(len(EDGES)).double(), np.arange(len(windows)))
        evidence.sum().backward()  # type: ignore[no-untyped-call]
        assert vector.grad is not None
        found.append((evidence.detach().numpy(), vector.grad.numpy()))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-9)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-6, atol=1e-8)
