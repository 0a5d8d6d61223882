"""answers(): which interactions are labels, and what label they carry."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracing import ednet
from tracing.ednet import ACTIONS, KT1, NATIVE, answers, validate
from tracing.errors import SchemaError

KEYS = pl.DataFrame({"item": [1, 2, 3, 4], "answer_key": ["a", "b", "c", None], "bundle": [90, 90, 91, 91]})
ENTER, RESPOND, SUBMIT, ANSWER = (ACTIONS[name] for name in ("enter", "respond", "submit", "answer"))


def interactions(*events: tuple[Any, ...], stream: int = 4, learner: int = 7) -> pl.DataFrame:
    """Events (action, item, user_answer), one second apart, as rows of one file."""
    return pl.DataFrame(
        {
            "learner": [learner] * len(events),
            "stream": [stream] * len(events),
            "seq": range(len(events)),
            "timestamp": [1000 * second for second in range(len(events))],
            "action_type": pl.Series([event[0] for event in events], dtype=pl.Int64),
            "item": [event[1] for event in events],
            "user_answer": pl.Series([event[2] for event in events], dtype=pl.String),
        }
    )


def labels(rows: pl.DataFrame) -> list[tuple[int, bool]]:
    return answers(rows, KEYS).select("item", "correct").rows()


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([(RESPOND, 1, "a"), (SUBMIT, 90, None)], [(1, True)], id="one"),
        pytest.param([(RESPOND, 1, "a")], [], id="never submitted"),
        pytest.param(
            [(RESPOND, 1, "b"), (RESPOND, 1, "a"), (SUBMIT, 90, None)], [(1, True)], id="changed mind"
        ),
        pytest.param(
            [(RESPOND, 1, "a"), (RESPOND, 1, "b"), (SUBMIT, 90, None), (RESPOND, 1, "a")],
            [(1, False)],
            id="respond after submit",
        ),
        pytest.param(
            [(RESPOND, 1, "b"), (SUBMIT, 90, None), (RESPOND, 1, "a"), (SUBMIT, 90, None)],
            [(1, False), (1, True)],
            id="two visits",
        ),
        pytest.param(
            [(RESPOND, 2, "b"), (RESPOND, 1, "c"), (SUBMIT, 90, None)], [(2, True), (1, False)], id="bundle"
        ),
        pytest.param(
            [(RESPOND, 1, "a"), (RESPOND, 3, "c"), (SUBMIT, 91, None)], [(3, True)], id="other bundle open"
        ),
        pytest.param(
            [(RESPOND, 1, "a"), (RESPOND, 1, "a"), (SUBMIT, 90, None), (SUBMIT, 90, None)],
            [(1, True)],
            id="duplicates",
        ),
        pytest.param([(RESPOND, 1, None), (SUBMIT, 90, None)], [], id="blank"),
        pytest.param([(RESPOND, 1, " "), (SUBMIT, 90, None)], [], id="blank of spaces"),
        pytest.param([(RESPOND, 4, "a"), (SUBMIT, 91, None)], [], id="no key"),
        pytest.param([(RESPOND, 77, "a"), (SUBMIT, 77, None)], [], id="unknown question"),
        pytest.param(
            [(ENTER, 90, None), (ACTIONS["erase_choice"], 1, "a"), (SUBMIT, 90, None)], [], id="erased only"
        ),
        pytest.param([(ANSWER, 1, "a")], [], id="answer is a native action"),
    ],
)
@pytest.mark.parametrize("stream", [2, 3, 4])
def test_last_respond_before_submit(
    events: list[tuple[Any, ...]], expected: list[tuple[int, bool]], stream: int
) -> None:
    assert labels(interactions(*events, stream=stream)) == expected


def test_answer_counts_at_the_submit() -> None:
    rows = interactions((RESPOND, 1, "a"), (RESPOND, 2, "b"), (SUBMIT, 90, None))
    assert answers(rows, KEYS)["timestamp"].to_list() == [2000, 2000]


def test_kt1_wins_over_higher_levels_and_highest_level_over_lower() -> None:
    kt1 = interactions((None, 3, "c"), stream=KT1)
    kt2 = interactions((RESPOND, 1, "b"), (SUBMIT, 90, None), stream=2)
    kt4 = interactions((RESPOND, 1, "a"), (SUBMIT, 90, None), stream=4)
    assert labels(pl.concat([kt2, kt4, kt1])) == [(3, True)]
    assert labels(pl.concat([kt2, kt4])) == [(1, True)]
    assert labels(kt2) == [(1, False)]


def test_level_is_chosen_per_learner() -> None:
    first = interactions((None, 3, "c"), stream=KT1, learner=1)
    second = interactions((RESPOND, 1, "a"), (SUBMIT, 90, None), learner=2)
    table = answers(pl.concat([second, first]), KEYS)
    assert table.select("learner", "item").rows() == [(1, 3), (2, 1)]


def test_kt1_keeps_every_row_but_blanks() -> None:
    rows = interactions((None, 1, "a"), (None, 1, "a"), (None, 2, None), (None, 2, "c"), stream=KT1)
    assert labels(rows) == [(1, True), (1, True), (2, False)]
    assert answers(rows, KEYS)["seq"].to_list() == [0, 1, 3]


def test_native_answers_join_the_file_in_order_of_time() -> None:
    kt1 = interactions((None, 1, "a"), (None, 2, "b"), stream=KT1).with_columns(pl.col("timestamp") * 10)
    native = interactions((ANSWER, 3, "c"), stream=NATIVE).with_columns(
        timestamp=pl.lit(500, dtype=pl.Int64), correct=pl.lit(False)
    )
    both = pl.concat([native, kt1], how="diagonal")
    assert labels(both) == [(1, True), (3, False), (2, True)]


def test_native_verdicts() -> None:
    rows = interactions(
        (ANSWER, 1, "zzz"), (ANSWER, 2, "b"), (RESPOND, 3, "c"), (SUBMIT, 91, None), stream=NATIVE
    ).with_columns(correct=pl.Series([True, None, None, None], dtype=pl.Boolean))
    # a verdict wins over the key; an undecided answer has no label; a respond is compared with the key
    assert labels(rows) == [(1, True), (3, True)]


def test_native_item_without_bundle_is_submitted_under_its_own_key() -> None:
    rows = interactions((RESPOND, 1, "a"), (SUBMIT, 1, None), stream=NATIVE)
    assert answers(rows, KEYS.drop("bundle"))["correct"].to_list() == [True]


def test_bundle_of_a_row_wins_over_the_key_table() -> None:
    rows = interactions((RESPOND, 1, "a"), (SUBMIT, 55, None)).with_columns(bundle=pl.lit(55))
    assert labels(rows) == [(1, True)]


def test_time_that_runs_backwards_is_put_right_stably() -> None:
    rows = interactions((None, 1, "a"), (None, 2, "b"), (None, 3, "c"), stream=KT1).with_columns(
        timestamp=pl.Series([5, 5, 1])
    )
    assert [item for item, _ in labels(rows)] == [3, 1, 2]


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(["a", "b", "c", None]), st.integers(1, 3)), max_size=30
    ),
    st.randoms(use_true_random=False),
)
def test_labels_stay_with_their_rows(rows: list[tuple[int, str | None, int]], random: Any) -> None:
    frame = pl.DataFrame(
        {
            "learner": [learner for _, _, learner in rows],
            "stream": [KT1] * len(rows),
            "seq": range(len(rows)),
            "timestamp": [random.randrange(5) for _ in rows],
            "item": [item for item, _, _ in rows],
            "user_answer": [answer for _, answer, _ in rows],
        },
        schema_overrides={"user_answer": pl.String, "learner": pl.Int64, "item": pl.Int64},
    )
    shuffled = frame[random.sample(range(len(rows)), len(rows))] if rows else frame
    table = answers(shuffled, KEYS)
    key = {1: "a", 2: "b", 3: "c"}
    expected = sorted(
        (learner, frame["timestamp"][seq], seq, item, answer == key[item])
        for seq, (item, answer, learner) in enumerate(rows)
        if answer is not None and item in key
    )
    assert table.select("learner", "timestamp", "seq", "item", "correct").rows() == expected


EVENT = st.one_of(
    st.tuples(st.just(RESPOND), st.integers(1, 3), st.sampled_from(["a", "b", "c"])),
    st.tuples(st.just(SUBMIT), st.sampled_from([90, 91]), st.none()),
)


@given(st.lists(EVENT, max_size=25), st.data())
def test_repeated_events_change_nothing(events: list[tuple[Any, ...]], data: Any) -> None:
    once = interactions(*events)
    repeats = [data.draw(st.integers(1, 3)) for _ in events]
    doubled = interactions(*[event for event, n in zip(events, repeats, strict=True) for _ in range(n)])
    assert labels(once) == labels(doubled)


def test_vocabularies_have_distinct_fixed_codes() -> None:
    for vocabulary in (ednet.ACTIONS, ednet.SOURCES, ednet.PLATFORMS):
        assert sorted(vocabulary.values()) == list(range(1, len(vocabulary) + 1))
        assert max(vocabulary.values()) < ednet.FIRST_OPEN_CODE
    assert (ACTIONS["enter"], ACTIONS["respond"], ACTIONS["submit"], ACTIONS["answer"]) == (1, 2, 3, 19)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timestamp": pl.lit("late")}, "'timestamp', row 0: 'late'"),
        ({"item": pl.Series([1, None])}, "'item' is empty in row 1"),
    ],
)
def test_misfits_are_named(change: dict[str, Any], message: str) -> None:
    rows = interactions((None, 1, "a"), (None, 2, "b"), stream=KT1).with_columns(**change)
    with pytest.raises(SchemaError, match=message):
        answers(rows, KEYS)


def test_missing_column_and_repeated_key_are_named() -> None:
    rows = interactions((None, 1, "a"), stream=KT1)
    with pytest.raises(SchemaError, match="column 'seq' is missing"):
        answers(rows.drop("seq"), KEYS)
    with pytest.raises(SchemaError, match="item 1 has more than one row"):
        answers(rows, pl.concat([KEYS, KEYS[:1]]))


def test_validate_orders_columns_and_fills_optional_ones() -> None:
    fitted = validate(
        pl.DataFrame({"correct": [True], "timestamp": [5], "item": [1], "learner": [2]}),
        ednet.ANSWERS,
        ednet.ANSWERS_REQUIRED,
    )
    assert fitted.columns == list(ednet.ANSWERS)
    assert fitted["hints"].to_list() == [None]
