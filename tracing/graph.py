"""The prerequisite graph: how mastery of a prerequisite lifts what builds on it.

Knowledge of component k is B u, where u are the components' own deviations, independent a priori, and

    B = I + gamma A + (gamma A)^2,     A[k, i] = p(i -> k) / number of candidate prerequisites of k

so transfer reaches two steps, holds over any gap, and gamma = 0 switches it off. It replaces PSI-KT's
frozen target (Zhou et al. 2024, eq. for the long-run level), which is no semigroup in time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracing.transition import Array, namespace


@dataclass(frozen=True, slots=True)
class Closure:
    """What each component draws on: itself, then its prerequisites up to two steps; fixed positions.

    `member` [K, M] component indices (-1 pad), `edge` [K, M] lists as padded [K, M, P, 2] candidate edges
    along each path (-1 where a path has one step or none).
    """

    member: NDArray[np.int32]
    edge: NDArray[np.int32]
    fan_in: NDArray[np.float64]


def close(edges: NDArray[np.int32], components: int) -> Closure:
    """The two-step closure of candidate edges [E, 2] = (prerequisite, dependent)."""
    parents: list[list[tuple[int, int]]] = [[] for _ in range(components)]
    for number, (prerequisite, dependent) in enumerate(edges.tolist()):
        parents[dependent].append((prerequisite, number))
    paths: list[dict[int, list[tuple[int, int]]]] = []
    for k in range(components):
        found: dict[int, list[tuple[int, int]]] = {k: [(-1, -1)]}
        for i, first in parents[k]:
            found.setdefault(i, []).append((first, -1))
            for j, second in parents[i]:
                found.setdefault(j, []).append((first, second))
        paths.append(found)
    width = max((len(f) for f in paths), default=1)
    depth = max((len(p) for f in paths for p in f.values()), default=1)
    member = np.full((components, width), -1, np.int32)
    edge = np.full((components, width, depth, 2), -2, np.int32)
    for k, found in enumerate(paths):
        for m, (component, ways) in enumerate(found.items()):
            member[k, m] = component
            edge[k, m, : len(ways)] = ways
    fan_in = np.array([max(len(p), 1) for p in parents], np.float64)
    return Closure(member, edge, fan_in)


def transfer_weights(
    closure: Closure, edges: NDArray[np.int32], probability: Array, transfer: Array
) -> Array:
    """B restricted to the closure [K, M]: 1 for the component itself, 0 for padding.

    probability: [E] posterior probability of each candidate edge; transfer: gamma in (0, 1).
    """
    xp = namespace(probability)
    if not len(edges):
        return xp.asarray((closure.member >= 0).astype(np.float64))
    strength = probability * transfer / xp.asarray(closure.fan_in[edges[:, 1]])
    # Two further entries stand for "no edge on this path" (-1 -> 1) and "no path" (-2 -> 0).
    known = xp.concatenate([strength, strength[:1] * 0.0, strength[:1] * 0.0 + 1.0])
    steps = known[xp.asarray(closure.edge.astype(np.int64))]
    return (steps[..., 0] * steps[..., 1]).sum(-1)
