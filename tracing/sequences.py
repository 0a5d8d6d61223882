"""Answers as flat, ragged arrays over learners: what fits, filters and evaluations read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tracing.ednet import ANSWERS, ANSWERS_REQUIRED, ITEMS, ITEMS_REQUIRED, MS_PER_DAY, validate
from tracing.errors import NotEnoughData, SchemaError

Ints = NDArray[np.int64]
Indices = NDArray[np.int32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """All items and components of a course; a position in `item_keys` is an item's index, and so on.

    item_keys int64 [I] and component_keys int64 [K] ascend. item_components int32 [I, J]: component
    indices, unique, -1 pads. item_bundle, item_part int32 [I]: -1 none. item_combination int32 [I]: number
    of the item's set of components, -1 for the empty set. edges int32 [E, 2]: component indices (from, to).
    """

    item_keys: Ints
    component_keys: Ints
    item_components: Indices
    item_bundle: Indices
    item_part: Indices
    item_combination: Indices
    edges: Indices = field(default_factory=lambda: np.empty((0, 2), np.int32))

    @property
    def items(self) -> int:
        """How many items there are."""
        return len(self.item_keys)

    @property
    def components(self) -> int:
        """How many components there are."""
        return len(self.component_keys)

    def item_index(self, keys: Ints) -> Indices:
        """Indices of item keys; -1 where unknown."""
        return _index(self.item_keys, keys)

    def component_index(self, keys: Ints) -> Indices:
        """Indices of component keys; -1 where unknown."""
        return _index(self.component_keys, keys)


@dataclass(frozen=True, eq=False)
class Sequences:
    """Answers of L learners: row r of learner l lies in `offsets[l] : offsets[l + 1]`, in order of time.

    learners int64 [L] keys; offsets int64 [L + 1]; item int32 [R] indices into the catalogue; correct bool
    [R]; days float64 [R] since 1970-01-01 UTC; elapsed_time (ms), attempt, hints float64 [R] or None, nan
    where not known. One row an answer, never one a component.
    """

    catalogue: Catalogue
    learners: Ints
    offsets: Ints
    item: Indices
    correct: Flags
    days: Floats
    elapsed_time: Floats | None = None
    attempt: Floats | None = None
    hints: Floats | None = None

    @property
    def rows(self) -> int:
        """How many answers there are."""
        return len(self.item)

    @property
    def lengths(self) -> Ints:
        """Answers of each learner, int64 [L]."""
        return np.diff(self.offsets)

    @property
    def learner_of_row(self) -> Ints:
        """Index of the learner of each row, int64 [R]."""
        return np.repeat(np.arange(len(self.learners)), self.lengths)

    @property
    def position(self) -> Ints:
        """0-based place of each row within its learner, int64 [R]."""
        return np.arange(self.rows) - np.repeat(self.offsets[:-1], self.lengths)

    def select(self, learner_indices: Sequence[int] | Ints) -> "Sequences":
        """These learners, in this order, with the same catalogue."""
        chosen = np.asarray(learner_indices, dtype=np.int64)
        lengths = self.lengths[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], lengths)
        return replace(self._take(rows), learners=self.learners[chosen], offsets=offsets)

    def keep_rows(self, keep: Flags) -> "Sequences":
        """The rows where `keep` (bool [R]) is true; learners left without rows stay, with length 0."""
        counts = np.bincount(self.learner_of_row[keep], minlength=len(self.learners))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return replace(self._take(np.flatnonzero(keep)), offsets=offsets)

    def buckets(self, max_cells: int) -> Iterator[Ints]:
        """Learner indices in groups of similar length: learners x longest <= max_cells (at least one)."""
        if max_cells < 1:
            raise ValueError(f"max_cells is {max_cells}; it must be at least 1")
        lengths = self.lengths
        order = np.argsort(-lengths, kind="stable")
        start = 0
        while start < len(order):
            size = max(1, max_cells // max(1, int(lengths[order[start]])))
            yield order[start : start + size]
            start += size

    def row_matrix(self, learner_indices: Sequence[int] | Ints | None = None) -> Ints:
        """Row numbers int64 [learners, longest]; -1 pads at the end."""
        chosen = np.arange(len(self.learners)) if learner_indices is None else np.asarray(learner_indices)
        lengths = self.lengths[chosen]
        steps = np.arange(lengths.max(initial=0))
        matrix = self.offsets[chosen, None] + steps[None, :]
        return np.where(steps[None, :] < lengths[:, None], matrix, -1)

    def _take(self, rows: Ints) -> "Sequences":
        return replace(
            self,
            item=self.item[rows],
            correct=self.correct[rows],
            days=self.days[rows],
            elapsed_time=None if self.elapsed_time is None else self.elapsed_time[rows],
            attempt=None if self.attempt is None else self.attempt[rows],
            hints=None if self.hints is None else self.hints[rows],
        )


def build_sequences(
    answers: pl.DataFrame, items: pl.DataFrame, edges: Sequence[tuple[int, int]] = ()
) -> Sequences:
    """Sequences from an answers frame (ednet.ANSWERS) and a frame of all items (ednet.ITEMS).

    Rows of a learner keep the frame's order, but for a stable sort by time. An item that `items` lacks
    gets an entry without components. edges: pairs of component keys (from, to). Raises SchemaError.
    """
    table = validate(answers, ANSWERS, ANSWERS_REQUIRED, "answers").sort(
        "learner", "timestamp", maintain_order=True
    )
    catalogue = build_catalogue(items, edges, also=table["item"])
    learners, counts = np.unique(table["learner"].to_numpy(), return_counts=True)
    return Sequences(
        catalogue=catalogue,
        learners=learners,
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        item=catalogue.item_index(table["item"].to_numpy()),
        correct=table["correct"].to_numpy().astype(np.bool_),
        days=table["timestamp"].to_numpy() / MS_PER_DAY,
        elapsed_time=_optional(table["elapsed_time"]),
        attempt=_optional(table["attempt"]),
        hints=_optional(table["hints"]),
    )


def build_catalogue(
    items: pl.DataFrame, edges: Sequence[tuple[int, int]] = (), also: pl.Series | None = None
) -> Catalogue:
    """The catalogue of an items frame; `also`: item keys (with repeats) that must have an entry.

    A component that only an edge names has an entry too.
    """
    known = validate(items, ITEMS, ITEMS_REQUIRED, "items")
    if known["item"].is_duplicated().any():
        repeated = known["item"].filter(known["item"].is_duplicated())[0]
        raise SchemaError(f"items: item {repeated} has more than one row")
    if also is not None:
        asked = pl.DataFrame({"item": also.unique()})
        extra = asked.join(known, on="item", how="anti")
        known = pl.concat([known, validate(extra.with_columns(components=None), ITEMS, ITEMS_REQUIRED)])
    known = known.sort("item")
    tags = (
        known.select(row=pl.int_range(pl.len(), dtype=pl.Int64), component=pl.col("components"))
        .explode("component", empty_as_null=True, keep_nulls=True)
        .drop_nulls()
        .unique(maintain_order=True)
    )
    pairs = np.array(edges, dtype=np.int64).reshape(-1, 2)
    component_keys = np.union1d(tags["component"].to_numpy(), pairs)
    component = np.searchsorted(component_keys, tags["component"].to_numpy())
    components = _ragged_to_padded(tags["row"].to_numpy(), component, known.height)
    return Catalogue(
        item_keys=known["item"].to_numpy().copy(),
        component_keys=component_keys,
        item_components=components,
        item_bundle=_codes(known["bundle"]),
        item_part=known["part"].fill_null(-1).cast(pl.Int32).to_numpy().copy(),
        item_combination=_combinations(components),
        edges=np.searchsorted(component_keys, pairs).astype(np.int32),
    )


def learner_folds(learners: int, folds: int, seed: int) -> Ints:
    """A fold 0..folds-1 for each of `learners` learners, of even sizes, drawn with `seed`; int64 [L]."""
    if learners < folds:
        raise NotEnoughData(f"{folds} folds need at least {folds} learners; there are {learners}")
    return np.random.default_rng(seed).permutation(np.arange(learners) % folds)


def _ragged_to_padded(row: Ints, value: Ints, rows: int) -> Indices:
    counts = np.bincount(row, minlength=rows)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    padded = np.full((rows, int(counts.max(initial=0))), -1, np.int32)
    padded[row, place] = value
    return padded


def _combinations(components: Indices) -> Indices:
    if not components.shape[1]:
        return np.full(len(components), -1, np.int32)
    _, code = np.unique(np.sort(components, axis=1), axis=0, return_inverse=True)
    has_any = (components >= 0).any(axis=1)
    numbers = np.full(len(components), -1, np.int32)
    numbers[has_any] = np.unique(code[has_any], return_inverse=True)[1]
    return numbers


def _codes(column: pl.Series) -> Indices:
    codes = np.full(len(column), -1, np.int32)
    present = column.is_not_null().to_numpy()
    codes[present] = np.unique(column.drop_nulls().to_numpy(), return_inverse=True)[1]
    return codes


def _index(sorted_keys: Ints, keys: Ints) -> Indices:
    if not len(sorted_keys):
        return np.full(len(keys), -1, np.int32)
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.where(sorted_keys[place] == keys, place, -1).astype(np.int32)


def _optional(column: pl.Series) -> Floats | None:
    if column.null_count() == len(column):
        return None
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
