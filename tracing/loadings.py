"""How sets of components load on deviations: an item of components T reads size(T)^-sharing * sum_k B u."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracing.graph import Closure
from tracing.transition import Array, namespace


@dataclass(frozen=True, slots=True)
class Combinations:
    """Distinct sets of components as they occur on items; C sets, J positions, P contributions each.

    member [C, J]: component indices (-1 pad); practised [C, J]: 1 for the set's own components;
    source [C, J, P]: positions in the flattened transfer weights, K * M where there is none; size [C].
    """

    member: NDArray[np.int32]
    practised: NDArray[np.float64]
    source: NDArray[np.int64]
    size: NDArray[np.float64]


def combine(sets: list[tuple[int, ...]], closure: Closure) -> Combinations:
    """The loadings' structure of component sets, given as tuples of component indices."""
    components, width = closure.member.shape
    reach = [
        [(int(m), k * width + n) for n, m in enumerate(closure.member[k]) if m >= 0]
        for k in range(components)
    ]
    found: list[dict[int, list[int]]] = []
    for members in sets:
        ways: dict[int, list[int]] = {k: [] for k in members}
        for k in members:
            for component, position in reach[k]:
                ways.setdefault(component, []).append(position)
        found.append(ways)
    wide = max((len(w) for w in found), default=1) or 1
    deep = max((len(p) for w in found for p in w.values()), default=1)
    member = np.full((len(sets), wide), -1, np.int32)
    practised = np.zeros((len(sets), wide))
    source = np.full((len(sets), wide, deep), components * width, np.int64)
    for c, (members, ways) in enumerate(zip(sets, found, strict=True)):
        practised[c, : len(members)] = 1.0  # a dict keeps its order: the set's own components come first
        for j, (component, positions) in enumerate(ways.items()):
            member[c, j] = component
            source[c, j, : len(positions)] = positions
    return Combinations(member, practised, source, np.array([max(len(s), 1) for s in sets], np.float64))


def loading_weights(combinations: Combinations, transfer: Array, sharing: Array) -> Array:
    """Weights [C, J] from the graph's transfer weights [K, M] and the exponent of sharing."""
    xp = namespace(transfer)
    flat = transfer.reshape(-1)
    known = xp.concatenate([flat, (flat.sum() * 0.0).reshape(1)])
    share = xp.asarray(combinations.size) ** (-1.0 * sharing)
    return known[xp.asarray(combinations.source)].sum(-1) * share[:, None]
