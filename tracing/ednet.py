"""The EdNet contract: names, dtypes, vocabularies, sentinels, and what counts as an answer.

Columns are EdNet's own (riiid/ednet; Choi et al. 2020). Times are integer milliseconds since
1970-01-01 UTC. `answers()` is the only place where events turn into labels: fit, replay, dashboard and
evaluation all call it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import polars as pl

from tracing.errors import SchemaError

MS_PER_DAY: Final = 86_400_000
NOT_AVAILABLE: Final = -1
"""Sentinel of tags, video_length, deployed_at, duration, number_of_*: EdNet does not know."""
ITEM_NOT_AVAILABLE: Final = "-1"
"""The undocumented item_id of 722 KT4 rows."""

KT1: Final = 1
NATIVE: Final = 9
"""Streams: 1-4 are rows of KT1-KT4 files, 9 is what came over HTTP."""

Schema = Mapping[str, type[pl.DataType] | pl.DataType]


def _frozen(columns: dict[str, type[pl.DataType] | pl.DataType]) -> Schema:
    return MappingProxyType(columns)


_ACTION_COLUMNS: Final[Schema] = _frozen(
    {
        "timestamp": pl.Int64,
        "action_type": pl.String,
        "item_id": pl.String,
        "source": pl.String,
        "user_answer": pl.String,
        "platform": pl.String,
    }
)
LEVELS: Final[Mapping[int, Schema]] = MappingProxyType(
    {
        1: _frozen(
            {
                "timestamp": pl.Int64,
                "solving_id": pl.Int64,
                "question_id": pl.String,
                "user_answer": pl.String,
                "elapsed_time": pl.Int64,
            }
        ),
        2: _ACTION_COLUMNS,
        3: _ACTION_COLUMNS,
        4: _frozen(
            {
                "timestamp": pl.Int64,
                "action_type": pl.String,
                "item_id": pl.String,
                "cursor_time": pl.Int64,
                "source": pl.String,
                "user_answer": pl.String,
                "platform": pl.String,
            }
        ),
    }
)
"""Columns of `KTn/u*.csv` in the file's order. KT2 and KT3 differ only in the actions they hold."""

QUESTIONS: Final[Schema] = _frozen(
    {
        "question_id": pl.String,
        "bundle_id": pl.String,
        "explanation_id": pl.String,
        "correct_answer": pl.String,
        "part": pl.Int64,
        "tags": pl.String,
        "deployed_at": pl.Int64,
    }
)
LECTURES: Final[Schema] = _frozen(
    {
        "lecture_id": pl.String,
        "part": pl.Int64,
        "tags": pl.String,
        "video_length": pl.Int64,
        "deployed_at": pl.Int64,
    }
)
COUPONS: Final[Schema] = _frozen({"coupon_id": pl.String, "coupon_type": pl.String, "duration": pl.Int64})
PAYMENTS: Final[Schema] = _frozen(
    {
        "payment_item_id": pl.String,
        "payment_type": pl.String,
        "duration": pl.Int64,
        "number_of_questions": pl.Int64,
    }
)
"""The released file misspells `duration` as `duaration` and may name the count `number_of_bundles`."""

ACTIONS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "enter": 1,
        "respond": 2,
        "submit": 3,
        "quit": 4,
        "erase_choice": 5,
        "undo_erase_choice": 6,
        "play_audio": 7,
        "pause_audio": 8,
        "play_video": 9,
        "pause_video": 10,
        "pay": 11,
        "refund": 12,
        "enroll_coupon": 13,
        "eliminate_choice": 14,
        "text_enter": 15,
        "hint": 16,
        "help": 17,
        "abandon": 18,
        "answer": 19,
    }
)
"""1-13 occur in EdNet, 14-15 only in its README, 16-19 only natively. Codes never change."""

SOURCES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "sprint": 1,
        "my_note": 2,
        "adaptive_offer": 3,
        "diagnosis": 4,
        "review_quiz": 5,
        "archive": 6,
        "review": 7,
        "tutor": 8,
        "in_review": 9,
        "todays_recommendation::sprint": 10,
        "todays_recommendation::lecture": 11,
        "after_sprint": 12,
        "after_review": 13,
        "todays_recommendation::review_quiz": 14,
    }
)
"""1-8 occur in the release, 9-14 only in its README."""

PLATFORMS: Final[Mapping[str, int]] = MappingProxyType({"mobile": 1, "web": 2})

FIRST_OPEN_CODE: Final = 100
"""Literals outside these vocabularies take codes from here on, in the order they are met."""

ANSWERS: Final[Schema] = _frozen(
    {
        "learner": pl.Int64,
        "item": pl.Int64,
        "correct": pl.Boolean,
        "timestamp": pl.Int64,
        "elapsed_time": pl.Int64,
        "attempt": pl.Int64,
        "hints": pl.Int64,
        "stream": pl.Int64,
        "seq": pl.Int64,
    }
)
"""What `answers()` gives; only the first four columns are needed downstream."""

ANSWERS_REQUIRED: Final = ("learner", "item", "correct", "timestamp")

ITEMS: Final[Schema] = _frozen(
    {"item": pl.Int64, "components": pl.List(pl.Int64), "bundle": pl.Int64, "part": pl.Int64}
)
ITEMS_REQUIRED: Final = ("item", "components")

ROWS: Final[Schema] = _frozen(
    {
        "learner": pl.Int64,
        "stream": pl.Int64,
        "seq": pl.Int64,
        "timestamp": pl.Int64,
        "action_type": pl.Int64,
        "item": pl.Int64,
        "user_answer": pl.String,
        "bundle": pl.Int64,
        "correct": pl.Boolean,
        "elapsed_time": pl.Int64,
        "attempt": pl.Int64,
        "hints": pl.Int64,
    }
)
ROWS_REQUIRED: Final = ("learner", "stream", "seq", "timestamp", "item", "user_answer")

KEYS: Final[Schema] = _frozen({"item": pl.Int64, "answer_key": pl.String, "bundle": pl.Int64})
KEYS_REQUIRED: Final = ("item", "answer_key")


def validate(
    frame: pl.DataFrame, schema: Schema, required: tuple[str, ...], name: str = "frame"
) -> pl.DataFrame:
    """`frame` cast to `schema`: its columns in that order, absent optional ones as nulls.

    A required column must be there and hold no null (but `user_answer`, `components` and `answer_key`
    may); every column must cast without loss. Raises SchemaError naming column, row and value.
    """
    missing = [column for column in required if column not in frame.columns]
    if missing:
        raise SchemaError(f"{name}: column {missing[0]!r} is missing; it has {frame.columns}")
    casts = []
    for column, dtype in schema.items():
        if column not in frame.columns:
            casts.append(pl.lit(None, dtype=dtype).alias(column))
        else:
            casts.append(pl.col(column).cast(dtype, strict=True))
    try:
        fitted = frame.select(casts)
    except pl.exceptions.PolarsError as error:
        raise SchemaError(f"{name}: {_misfit(frame, schema)}") from error
    for column in required:
        if column in _MAY_BE_NULL or not fitted[column].null_count():
            continue
        row = fitted[column].is_null().arg_max()
        raise SchemaError(f"{name}: column {column!r} is empty in row {row}; every row needs a value there")
    return fitted


_MAY_BE_NULL: Final = ("user_answer", "components", "answer_key")


def _misfit(frame: pl.DataFrame, schema: Schema) -> str:
    for column, dtype in schema.items():
        if column not in frame.columns:
            continue
        try:
            lossy = frame[column].is_not_null() & frame[column].cast(dtype, strict=False).is_null()
        except pl.exceptions.PolarsError:
            return f"column {column!r} is {frame[column].dtype}, expected {dtype}"
        if lossy.any():
            row = lossy.arg_max()
            return f"column {column!r}, row {row}: {frame[column][row or 0]!r} is no {dtype}"
    return "its columns do not fit"


def answers(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """The labelled answers (frame ANSWERS) among the interactions of one or more learners.

    rows: frame ROWS, in any order; `action_type` is a code of ACTIONS (null in KT1). keys: frame KEYS, one
    row an item; `bundle` is the key under which `submit` rows name the item's bundle (a `bundle` in `rows`
    wins over it; an item without either is submitted under its own key).

    * A learner with KT1 rows: each of them. Else, of the highest level there: the last `respond` to each
      question before each `submit` of its bundle, counted at the time of the submit. Besides, stream 9:
      each `answer`, and `respond` .. `submit` by the same rule.
    * The label is the row's `correct`; where that is null, equality of `user_answer` with the item's key
      (not so for native `answer` rows: null there means undecided). Else blank answers, unknown items and
      items without a key have no label and are left out. Repeated `respond` or `submit` rows change nothing;
      KT1 rows all count, as KT1 has one row an answer.
    * Order: learner, timestamp, then stream and file order. Time that runs backwards in a file is put
      right by this stable sort.
    """
    rows = validate(rows, ROWS, ROWS_REQUIRED, "interactions")
    keys = validate(keys, KEYS, KEYS_REQUIRED, "answer keys")
    if keys["item"].is_duplicated().any():
        repeated = keys["item"].filter(keys["item"].is_duplicated())[0]
        raise SchemaError(f"answer keys: item {repeated} has more than one row")
    level = pl.col("stream").filter(pl.col("stream") != NATIVE)
    has_kt1 = (pl.col("stream") == KT1).any().over("learner")
    chosen = pl.when(has_kt1).then(KT1).otherwise(level.max().over("learner"))
    used = (
        rows.lazy()
        .filter((pl.col("stream") == NATIVE) | (pl.col("stream") == chosen))
        .join(keys.lazy(), on="item", how="left", suffix="_of_key")
        .with_columns(visit_of=pl.coalesce("bundle", "bundle_of_key", "item"))
        .sort("learner", "stream", "seq", maintain_order=True)
    )
    is_direct = (pl.col("stream") == KT1) | (
        (pl.col("stream") == NATIVE) & (pl.col("action_type") == ACTIONS["answer"])
    )
    direct = used.filter(is_direct).with_columns(counted_seq="seq")
    labelled = pl.concat([direct, _submitted(used)], how="diagonal").with_columns(correct=_label())
    return (
        labelled.filter(pl.col("correct").is_not_null())
        .sort("learner", "timestamp", "stream", "counted_seq", "seq", maintain_order=True)
        .select(list(ANSWERS))
        .collect()
    )


def _submitted(used: pl.LazyFrame) -> pl.LazyFrame:
    """The last respond to each question before each submit, at the time of the submit."""
    is_submit = pl.col("action_type") == ACTIONS["submit"]
    visit = ["learner", "stream", "visit_of", "visit"]
    events = used.filter(
        (pl.col("stream") != KT1) & pl.col("action_type").is_in([ACTIONS["respond"], ACTIONS["submit"]])
    ).with_columns(
        visit=(is_submit.cum_sum() - is_submit.cast(pl.Int64)).over("learner", "stream", "visit_of")
    )
    submits = events.filter(is_submit).select(
        *visit, submitted_at=pl.col("timestamp"), counted_seq=pl.col("seq")
    )
    return (
        events.filter(~is_submit)
        .unique([*visit, "item"], keep="last", maintain_order=True)
        .join(submits, on=visit, how="inner", maintain_order="left")
        .with_columns(timestamp=pl.col("submitted_at"))
    )


def _label() -> pl.Expr:
    answer = pl.col("user_answer").str.strip_chars()
    is_blank = answer.is_null() | (answer == "")
    is_judged_only = (pl.col("stream") == NATIVE) & (pl.col("action_type") == ACTIONS["answer"])
    by_key = pl.when(~is_blank & ~is_judged_only.fill_null(False)).then(answer == pl.col("answer_key"))
    return pl.coalesce("correct", by_key)
