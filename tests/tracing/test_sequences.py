"""Sequences: alignment, order, selection and buckets."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracing.errors import NotEnoughData, SchemaError
from tracing.sequences import Sequences, build_sequences, learner_folds

ITEMS = pl.DataFrame(
    {
        "item": [30, 10, 20, 40],
        "components": [[7, 5, 7], [5], [], [5, 7]],
        "bundle": [900, 900, None, 800],
        "part": [1, 2, None, 1],
    },
    schema_overrides={"components": pl.List(pl.Int64)},
)
ANSWER = st.tuples(st.integers(1, 4), st.sampled_from([10, 20, 30, 40, 99]), st.booleans(), st.integers(0, 9))


def answers_frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(
        rows,
        schema={"learner": pl.Int64, "item": pl.Int64, "correct": pl.Boolean, "timestamp": pl.Int64},
        orient="row",
    )


def sample() -> Sequences:
    return build_sequences(
        answers_frame([(2, 10, True, 5), (1, 30, False, 9), (2, 20, False, 7), (2, 99, True, 7)]), ITEMS
    )


def test_catalogue() -> None:
    catalogue = build_sequences(answers_frame([(1, 99, True, 0)]), ITEMS, edges=[(7, 5), (5, 6)]).catalogue
    assert catalogue.item_keys.tolist() == [10, 20, 30, 40, 99]
    assert catalogue.component_keys.tolist() == [5, 6, 7]
    assert catalogue.item_components.tolist() == [[0, -1], [-1, -1], [2, 0], [0, 2], [-1, -1]]
    assert catalogue.item_bundle.tolist() == [1, -1, 1, 0, -1]
    assert catalogue.item_part.tolist() == [2, -1, 1, 1, -1]
    combination = catalogue.item_combination.tolist()
    assert combination[2] == combination[3] != combination[0]
    assert combination[1] == combination[4] == -1
    assert catalogue.edges.tolist() == [[2, 0], [0, 1]]
    assert catalogue.item_index(np.array([30, 31, 99])).tolist() == [2, -1, 4]


def test_rows_are_grouped_by_learner_and_keep_their_order() -> None:
    sequences = sample()
    assert sequences.learners.tolist() == [1, 2]
    assert sequences.offsets.tolist() == [0, 1, 4]
    assert sequences.catalogue.item_keys[sequences.item].tolist() == [30, 10, 20, 99]
    assert sequences.correct.tolist() == [False, True, False, True]
    assert sequences.position.tolist() == [0, 0, 1, 2]
    assert sequences.learner_of_row.tolist() == [0, 1, 1, 1]
    assert sequences.elapsed_time is None


def test_optional_columns_are_nan_where_unknown() -> None:
    frame = answers_frame([(1, 10, True, 0), (1, 10, True, 1)]).with_columns(hints=pl.Series([None, 2]))
    hints = build_sequences(frame, ITEMS).hints
    assert hints is not None
    assert np.isnan(hints[0])
    assert hints[1] == 2.0


@given(st.lists(ANSWER, max_size=40))
def test_labels_stay_with_their_rows(rows: list[tuple[int, int, bool, int]]) -> None:
    sequences = build_sequences(answers_frame(rows), ITEMS)
    expected = sorted(enumerate(rows), key=lambda numbered: (numbered[1][0], numbered[1][3], numbered[0]))
    got = zip(
        sequences.learners[sequences.learner_of_row].tolist(),
        sequences.catalogue.item_keys[sequences.item].tolist(),
        sequences.correct.tolist(),
        np.rint(sequences.days * 86_400_000).astype(int).tolist(),
        strict=True,
    )
    assert list(got) == [row for _, row in expected]


@given(st.lists(ANSWER, min_size=1, max_size=40), st.integers(1, 50), st.data())
def test_select_buckets_and_matrix_cover_each_row(
    rows: list[tuple[int, int, bool, int]], max_cells: int, data: Any
) -> None:
    sequences = build_sequences(answers_frame(rows), ITEMS)
    buckets = list(sequences.buckets(max_cells))
    assert sorted(np.concatenate(buckets).tolist()) == list(range(len(sequences.learners)))
    for bucket in buckets:
        assert len(bucket) == 1 or len(bucket) * sequences.lengths[bucket].max() <= max_cells
        matrix = sequences.row_matrix(bucket)
        chosen = sequences.select(bucket)
        np.testing.assert_array_equal(chosen.item, sequences.item[matrix[matrix >= 0]])
        np.testing.assert_array_equal(chosen.correct, sequences.correct[matrix[matrix >= 0]])
        np.testing.assert_array_equal(chosen.learners, sequences.learners[bucket])
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    kept = sequences.keep_rows(keep)
    np.testing.assert_array_equal(kept.days, sequences.days[keep])
    np.testing.assert_array_equal(kept.learner_of_row, sequences.learner_of_row[keep])


def test_empty_frame() -> None:
    sequences = build_sequences(answers_frame([]), ITEMS)
    assert sequences.rows == 0
    assert sequences.row_matrix().shape == (0, 0)
    assert list(sequences.buckets(10)) == []


def test_folds_are_even_and_repeatable() -> None:
    folds = learner_folds(10, 3, seed=4)
    assert sorted(np.bincount(folds).tolist()) == [3, 3, 4]
    np.testing.assert_array_equal(folds, learner_folds(10, 3, seed=4))
    with pytest.raises(NotEnoughData, match="3 folds need at least 3 learners; there are 2"):
        learner_folds(2, 3, seed=0)


def test_bad_frames_are_named() -> None:
    with pytest.raises(SchemaError, match="answers: column 'correct' is missing"):
        build_sequences(answers_frame([]).drop("correct"), ITEMS)
    with pytest.raises(SchemaError, match="item 10 has more than one row"):
        build_sequences(answers_frame([]), pl.concat([ITEMS, ITEMS[1:2]]))
    with pytest.raises(ValueError, match="max_cells is 0"):
        list(sample().buckets(0))
