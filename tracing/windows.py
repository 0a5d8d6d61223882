"""Long histories in windows: each starts from the posterior that the filter carried up to it.

The sum of the windows' log evidences is the learners' log evidence. A carried posterior depends on the
constants too: `carry` can keep its slopes, and a window then starts from the first-order expansion around
the constants it was carried at, so that gradients reach back over the whole history.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracing.batch import Carried, Course, Padded, begin, pad, run
from tracing.belief import Belief, is_law
from tracing.graph import Closure, transfer_weights
from tracing.loadings import Combinations, loading_weights
from tracing.memory import Memory
from tracing.population import from_vector, prior_location, prior_spread, with_floats
from tracing.sequences import Sequences

CELLS = 40_000
"""Learners x answers that are filtered side by side in numpy."""
STEP = 1e-3
"""Finite step, in prior spreads, for the slopes of a carried posterior."""
Floats = NDArray[np.float64]


@dataclass(slots=True)
class Kept:
    """What stood at a window's start, aligned with the window's own components and items.

    values[0] is at the constants carried at, values[1 + p] the slope in constant p: x [P, 5], moments
    [P, 9, n], memory [P, 2, m]. known [n], met [m]: what had been met before; met_day [m]; day.
    """

    x: Floats
    moments: Floats
    memory: Floats
    known: NDArray[np.bool_]
    met: NDArray[np.bool_]
    met_day: Floats
    day: float


@dataclass
class Windows:
    """Windows of at most `width` answers, and the evidence of any batch of them on a torch device."""

    sequences: Sequences
    difficulty: Floats  # [R]
    closure: Closure
    combinations: Combinations
    width: int
    device: torch.device
    kept: dict[int, Kept] = field(default_factory=dict)
    centre: Floats = field(default_factory=prior_location)

    def __post_init__(self) -> None:
        lengths = self.sequences.lengths
        counts = -(-lengths // self.width)
        learner = np.repeat(np.arange(len(lengths)), counts)
        number = np.arange(len(learner)) - np.repeat(np.cumsum(counts) - counts, counts)
        start = self.sequences.offsets[learner] + number * self.width
        self.first = np.cumsum(counts) - counts
        self.cut = replace(
            self.sequences,
            learners=np.arange(len(learner)),
            offsets=np.append(start, self.sequences.rows).astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.cut.learners)

    def carry(self, vector: Floats, edge_probability: Floats, slopes: bool) -> None:
        """Filter all histories at the constants `vector` [18] and keep what stood at windows' starts.

        slopes: also at 18 shifted vectors, for the first-order expansion (19 times the work).
        """
        shifts = STEP * prior_spread() if slopes else np.empty(0)
        self.kept, self.centre = {}, vector.copy()
        long = np.flatnonzero(self.sequences.lengths > self.width)
        for chosen in self.sequences.select(long).buckets(CELLS):
            padded = pad(self.sequences, self.difficulty, long[chosen], self.combinations)
            for p in range(len(shifts) + 1):
                moved = vector.copy()
                if p:
                    moved[p - 1] += shifts[p - 1]
                for window, b, stand in self._starts(padded, moved, edge_probability):
                    if not p:
                        self.kept[window] = self._empty(window, len(shifts) + 1)
                    self._keep(window, padded, b, stand, p, shifts)

    def _starts(
        self, padded: Padded, vector: Floats, edge_probability: Floats
    ) -> Iterator[tuple[int, int, Carried]]:
        constants = with_floats(from_vector(vector))
        edges = self.sequences.catalogue.edges
        transfer = transfer_weights(self.closure, edges, edge_probability, constants.transfer)
        course = Course(
            loading_weights(self.combinations, transfer, constants.sharing), self.combinations.practised
        )
        lengths = self.sequences.lengths[padded.learners]
        stop = (int(lengths.max()) - 1) // self.width * self.width  # where the last window starts
        for t, stand, _ in run(padded, begin(padded, constants), course, constants, stop=stop):
            if (t + 1) % self.width == 0:
                for b in np.flatnonzero(lengths > t + 1).tolist():
                    yield int(self.first[padded.learners[b]]) + (t + 1) // self.width, b, stand

    def _empty(self, window: int, variants: int) -> Kept:
        own = pad(self.cut, self.difficulty, np.array([window]), self.combinations)
        n, m = int((own.keys >= 0).sum()), int((own.met >= 0).sum())
        return Kept(
            np.zeros((variants, 5)),
            np.zeros((variants, 9, n)),
            np.zeros((variants, 2, m)),
            np.zeros(n, bool),
            np.zeros(m, bool),
            np.zeros(m),
            0.0,
        )

    def _keep(self, window: int, padded: Padded, b: int, stand: Carried, p: int, shifts: Floats) -> None:
        kept = self.kept[window]
        own = pad(self.cut, self.difficulty, np.array([window]), self.combinations)
        _, here, there = np.intersect1d(own.keys[0][own.keys[0] >= 0], padded.keys[b], return_indices=True)
        _, item_here, item_there = np.intersect1d(
            own.met[0][own.met[0] >= 0], padded.met[b], return_indices=True
        )
        # Of an item that the learner meets later, the filter holds the stationary law of a day before all.
        before = stand.memory_day[b][item_there] >= padded.days[b, 0]
        item_here, item_there = item_here[before], item_there[before]
        x = np.array([values[b] for values in stand.belief[:5]])
        moments = np.array([values[b][there] for values in stand.belief[5:]])
        memory = np.array([values[b][item_there] for values in stand.memory])
        if p:
            kept.x[p] = (x - kept.x[0]) / shifts[p - 1]
            kept.moments[p][:, here] = (moments - kept.moments[0][:, here]) / shifts[p - 1]
            kept.memory[p][:, item_here] = (memory - kept.memory[0][:, item_here]) / shifts[p - 1]
        else:
            kept.x[0], kept.moments[0][:, here], kept.memory[0][:, item_here] = x, moments, memory
            kept.known[here], kept.met[item_here] = True, True
            kept.met_day[item_here], kept.day = stand.memory_day[b][item_there], float(stand.day[b])

    def log_evidence(self, vector: Tensor, edge_logits: Tensor, batch: NDArray[np.int64]) -> Tensor:
        """Log evidence [B] of the windows `batch` at constants `vector` [18], edge logits [E]."""
        constants = from_vector(vector)
        edges = self.sequences.catalogue.edges
        transfer = transfer_weights(self.closure, edges, torch.sigmoid(edge_logits), constants.transfer)
        # The loadings are small and stay on the CPU; histories are filtered where the device is.
        weight = loading_weights(self.combinations, transfer, constants.sharing).to(self.device)
        course = Course(weight, torch.as_tensor(self.combinations.practised, device=self.device))
        there = vector.to(self.device)
        constants = from_vector(there)
        found = there.new_zeros(len(batch))
        for group in self._groups(batch):
            padded = pad(self.cut, self.difficulty, batch[group], self.combinations)
            tensors = to_device(padded, self.device)
            stand = self._resume(padded, batch[group], begin(tensors, constants), there)
            total = there.new_zeros(len(group))
            for _, _, said in run(tensors, stand, course, constants):
                total = total + said.log_evidence
            found = found.index_add(0, torch.as_tensor(group, device=self.device), total)
        return found.to(vector.device)

    def _groups(self, batch: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Positions in `batch` of short, middling and long windows: a step costs much the same for many."""
        bucket = np.digitize(self.cut.lengths[batch], (self.width // 8, self.width // 2), right=True)
        return [np.flatnonzero(bucket == n) for n in range(3) if (bucket == n).any()]

    def _resume(self, padded: Padded, batch: NDArray[np.int64], fresh: Carried, vector: Tensor) -> Carried:
        """Where each window starts: as carried where something was, fresh (and differentiable) elsewhere."""
        variants = max((len(self.kept[w].x) for w in batch.tolist() if w in self.kept), default=0)
        if not variants:
            return fresh
        width, wide = padded.keys.shape[1], padded.met.shape[1]
        x, moments = np.zeros((variants, 5, len(batch))), np.zeros((variants, 9, len(batch), width))
        memory, met_day = np.zeros((variants, 2, len(batch), wide)), np.zeros((len(batch), wide))
        seen, day = np.zeros(len(batch), bool), padded.days[:, 0].copy()
        known, met = np.zeros((len(batch), width), bool), np.zeros((len(batch), wide), bool)
        for b, window in enumerate(batch.tolist()):
            kept = self.kept.get(window)
            if kept is None:
                continue
            n, m = len(kept.known), len(kept.met)
            seen[b], day[b], x[:, :, b] = True, kept.day, kept.x
            known[b, :n], moments[:, :, b, :n] = kept.known, kept.moments
            met[b, :m], memory[:, :, b, :m], met_day[b, :m] = kept.met, kept.memory, kept.met_day

        def move(values: NDArray[Any]) -> Tensor:
            return torch.as_tensor(values, device=self.device)

        shift = vector - move(self.centre)

        def start(belief: Sequence[Tensor], memory: Sequence[Tensor]) -> tuple[Belief, Memory]:
            mask = [move(seen)] * 5 + [move(known)] * 9
            mixed = (torch.where(m, b, f) for m, b, f in zip(mask, belief, fresh.belief, strict=True))
            recalled = zip(memory, fresh.memory, strict=True)
            return Belief(*mixed), Memory(*(torch.where(move(met), r, f) for r, f in recalled))

        tensors = move(x), move(moments), move(memory)
        at_x, at_moments, at_memory = (tensor[0] for tensor in tensors)
        belief, recalled = start([*at_x, *at_moments], [*at_memory])
        if variants > 1:
            far_x, far_moments, far_memory = (t[0] + torch.tensordot(shift, t[1:], 1) for t in tensors)
            moved, moved_memory = start([*far_x, *far_moments], [*far_memory])
            # A long step can leave the laws; such a window starts where it was carried to.
            legal = is_law(moved) & (moved_memory.variance > 0).all(-1)
            belief = Belief(
                *(torch.where(shaped(legal, b), m, b) for m, b in zip(moved, belief, strict=True))
            )
            both = zip(moved_memory, recalled, strict=True)
            recalled = Memory(*(torch.where(shaped(legal, r), m, r) for m, r in both))
        return Carried(belief, recalled, torch.where(move(met), move(met_day), fresh.memory_day), move(day))


def shaped(mask: Tensor, values: Tensor) -> Tensor:
    """A mask [B] made to broadcast with values [B] or [B, K]."""
    return mask if values.ndim == 1 else mask[:, None]


def to_device(padded: Padded, device: torch.device) -> Padded:
    """The batch's numbers as tensors; positions as int64."""

    def move(values: NDArray[Any]) -> Any:
        wide = values if values.dtype == np.float64 else values.astype(np.int64)
        return torch.as_tensor(wide, device=device)

    return replace(
        padded,
        days=move(padded.days),
        right=move(padded.right),
        answered=move(padded.answered),
        difficulty=move(padded.difficulty),
        combination=move(padded.combination),
        component=move(padded.component),
        item=move(padded.item),
    )
