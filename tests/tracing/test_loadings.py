"""How items load on components, in the batch and in what serves."""

import numpy as np
import pytest
import torch

from tests.tracing.courses import small_course
from tracing.graph import close, transfer_weights
from tracing.loadings import combine, loading_weights

COMPONENTS = 5
EDGES = np.array([(0, 1), (1, 2), (2, 3), (0, 3)], np.int32)
SETS = [(1,), (3, 1), (0, 2, 4), (), (4,)]


def dense_rows(sharing: float, transfer: float) -> tuple[np.ndarray, np.ndarray]:
    """Loading rows [C, K] by matrix algebra, and the product's."""
    a = np.zeros((COMPONENTS, COMPONENTS))
    probability = np.array([0.9, 0.7, 0.5, 0.8])
    for (i, k), p in zip(EDGES, probability, strict=True):
        a[k, i] = p / (EDGES[:, 1] == k).sum()
    b = np.eye(COMPONENTS) + transfer * a + transfer**2 * a @ a
    want = np.array([max(len(s), 1) ** -sharing * b[list(s)].sum(0) for s in SETS])
    closure = close(EDGES, COMPONENTS)
    structure = combine(SETS, closure)
    weights = loading_weights(structure, transfer_weights(closure, EDGES, probability, transfer), sharing)
    got = np.zeros_like(want)
    for c, (members, row) in enumerate(zip(structure.member, weights, strict=True)):
        assert len(set(members[members >= 0].tolist())) == (members >= 0).sum()
        assert (row[members < 0] == 0).all()
        got[c, members[members >= 0]] = row[members >= 0]
    return want, got


@pytest.mark.parametrize("sharing", [0.0, 0.3, -0.2, 1.0])
@pytest.mark.parametrize("transfer", [0.0, 0.4, 0.9])
def test_loadings_are_rows_of_the_dense_matrix(sharing: float, transfer: float) -> None:
    want, got = dense_rows(sharing, transfer)
    np.testing.assert_allclose(got, want, atol=1e-14)


def test_an_items_own_components_are_practised_and_prerequisites_are_not() -> None:
    structure = combine(SETS, close(EDGES, COMPONENTS))
    for members, practised, own in zip(structure.member, structure.practised, SETS, strict=True):
        assert {int(k) for k, p in zip(members, practised, strict=True) if p} == set(own)
        assert set(practised[members < 0].tolist()) <= {0.0}


def test_torch_gives_the_same_loadings() -> None:
    closure = close(EDGES, COMPONENTS)
    structure = combine(SETS, closure)
    p = np.array([0.9, 0.7, 0.5, 0.8])
    weights = loading_weights(structure, transfer_weights(closure, EDGES, p, 0.4), 0.3)
    tensors = loading_weights(
        structure,
        transfer_weights(closure, EDGES, torch.tensor(p), torch.tensor(0.4, dtype=torch.float64)),
        torch.tensor(0.3, dtype=torch.float64),
    )
    np.testing.assert_allclose(tensors.numpy(), weights, rtol=1e-12)


def test_what_serves_loads_as_the_batch_does() -> None:
    course = small_course()
    p = course.parameters
    for tags in [*course.tags.values()]:
        load = p.loading(tags)
        index = np.searchsorted(p.component_keys, np.array(tags, np.int64)).tolist()
        structure = combine([tuple(index)], p.closure)
        weights = loading_weights(structure, p.transfer, float(p.population.sharing))[0]
        used = structure.member[0] >= 0
        assert load.keys.tolist() == p.component_keys[structure.member[0][used]].tolist()
        np.testing.assert_allclose(load.weight, weights[used], rtol=1e-13)
        assert load.practised.tolist() == structure.practised[0][used].tolist()


def test_a_component_the_fit_has_not_seen_stands_by_itself() -> None:
    p = small_course().parameters
    alone = p.loading((999,))
    assert (alone.keys.tolist(), alone.weight.tolist(), alone.practised.tolist()) == ([999], [1.0], [1.0])
    beside, known = p.loading((20, 999)), p.loading((20,))
    share = 2.0 ** -float(p.population.sharing)
    assert beside.keys.tolist() == [*known.keys.tolist(), 999]
    np.testing.assert_allclose(beside.weight, [*(known.weight * share), share])


def test_a_repeated_tag_counts_once() -> None:
    p = small_course().parameters
    once, twice = p.loading((40, 10)), p.loading((40, 10, 40))
    assert once.keys.tolist() == twice.keys.tolist()
    assert once.weight.tolist() == twice.weight.tolist()
    assert once.practised.tolist() == twice.practised.tolist()


def test_an_item_without_components_loads_on_none() -> None:
    assert len(small_course().parameters.loading(()).keys) == 0
