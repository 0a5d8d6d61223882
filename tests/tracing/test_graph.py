"""Transfer weights against the dense matrix they stand for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tracing.graph import close, transfer_weights

Floats = NDArray[np.float64]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, NDArray[np.int32], Floats, float]:
    """Components, distinct edges without self-loops (cycles may occur), probabilities, gamma."""
    components = draw(st.integers(1, 7))
    pairs = [(a, b) for a in range(components) for b in range(components) if a != b]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=12)) if pairs else []
    probability = draw(st.lists(st.floats(0, 1), min_size=len(edges), max_size=len(edges)))
    table = np.array(edges, np.int32).reshape(-1, 2)
    return components, table, np.array(probability, np.float64), draw(st.floats(0, 0.99))


def dense(components: int, edges: NDArray[np.int32], probability: Floats, gamma: float) -> Floats:
    """I + gamma A + (gamma A)^2."""
    a = np.zeros((components, components))
    for (prerequisite, dependent), p in zip(edges, probability, strict=True):
        a[dependent, prerequisite] = p / (edges[:, 1] == dependent).sum()
    step = gamma * a
    return np.eye(components) + step + step @ step


def spread(components: int, edges: NDArray[np.int32], probability: Floats, gamma: float) -> Floats:
    """The product's weights as a matrix [K, K]."""
    closure = close(edges, components)
    weights = transfer_weights(closure, edges, probability, gamma)
    matrix = np.zeros((components, components))
    for k in range(components):
        for member, weight in zip(closure.member[k], weights[k], strict=True):
            if member >= 0:
                matrix[k, member] += weight
            else:
                assert weight == 0.0
    return matrix


@given(graphs())
def test_weights_are_those_of_the_dense_matrix(graph: tuple[int, NDArray[np.int32], Floats, float]) -> None:
    np.testing.assert_allclose(spread(*graph), dense(*graph), atol=1e-14)


@given(graphs(), st.randoms(use_true_random=False))
def test_relabelling_components_commutes(
    graph: tuple[int, NDArray[np.int32], Floats, float], random: object
) -> None:
    components, edges, probability, gamma = graph
    order = list(range(components))
    random.shuffle(order)  # type: ignore[attr-defined]
    label = np.array(order, np.int32)
    renamed = spread(components, label[edges], probability, gamma)
    np.testing.assert_allclose(
        renamed[np.ix_(label, label)], spread(components, edges, probability, gamma), atol=1e-14
    )


@given(graphs())
def test_without_transfer_or_edges_components_stand_alone(
    graph: tuple[int, NDArray[np.int32], Floats, float],
) -> None:
    components, edges, probability, gamma = graph
    assert np.array_equal(spread(components, edges, probability, 0.0), np.eye(components))
    assert np.array_equal(spread(components, edges, probability * 0.0, gamma), np.eye(components))
    assert np.array_equal(spread(components, edges[:0], probability[:0], gamma), np.eye(components))


def test_transfer_reaches_two_steps_and_no_further() -> None:
    edges = np.array([(0, 1), (1, 2), (2, 3)], np.int32)
    matrix = spread(4, edges, np.array([0.8, 0.5, 1.0]), 0.5)
    assert matrix[3].tolist() == pytest.approx([0.0, 0.25 * 0.5, 0.5, 1.0])
    assert matrix[2].tolist() == pytest.approx([0.25 * 0.5 * 0.8, 0.25, 1.0, 0.0])


def test_prerequisites_share_what_they_transfer() -> None:
    edges = np.array([(0, 2), (1, 2)], np.int32)
    assert spread(3, edges, np.ones(2), 0.6)[2].tolist() == pytest.approx([0.3, 0.3, 1.0])


def test_torch_gives_the_same_weights_and_their_slopes() -> None:
    edges = np.array([(0, 1), (1, 2), (0, 2)], np.int32)
    closure, p = close(edges, 3), np.array([0.9, 0.4, 0.6])
    tensor = torch.tensor(p, requires_grad=True)
    gamma = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    weights = transfer_weights(closure, edges, tensor, gamma)
    np.testing.assert_allclose(weights.detach().numpy(), transfer_weights(closure, edges, p, 0.3), rtol=1e-14)
    weights.sum().backward()
    h = 1e-6
    total = [transfer_weights(closure, edges, p, g).sum() for g in (0.3 - h, 0.3 + h)]
    assert float(gamma.grad) == pytest.approx((total[1] - total[0]) / (2 * h), rel=1e-6)  # type: ignore[arg-type]
    assert tensor.grad is not None
    assert (tensor.grad > 0).all()
