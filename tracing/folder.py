"""An EdNet-shaped folder read straight into frames, for evaluation without a database.

`contents/questions.csv`, `KT1/u<n>.csv` (and `KT2`-`KT4` for learners without KT1), optional `folds.csv`
(user_id,fold). The bytes of many files are joined and parsed at once: a parse per file is ten times slower.
"""

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from tracing.ednet import ACTIONS, FIRST_OPEN_CODE, KT1, LEVELS, NOT_AVAILABLE, QUESTIONS, answers
from tracing.errors import SchemaError

FILES_PER_PARSE = 500
_MEMBER = re.compile(r"u(\d+)\.csv")
_FOLDS = {"user_id": pl.Int64, "fold": pl.Int64}


@dataclass(frozen=True, eq=False)
class EdnetFolder:
    """What a folder holds. `seq` of `answers` is the 0-based row of the learner's file.

    answers: frame ednet.ANSWERS, learner = n of `u<n>.csv`; items: frame ednet.ITEMS of all questions;
    item_names: question id -> item key; folds: columns user_id, fold, or None without folds.csv;
    unlabelled: rows of KT1 files that carry no label (blank, or a question without a key).
    """

    answers: pl.DataFrame
    items: pl.DataFrame
    item_names: Mapping[str, int]
    folds: pl.DataFrame | None
    unlabelled: int


def read_folder(folder: Path, folds: Iterable[int] | None = None) -> EdnetFolder:
    """Everything in `folder`, or only the learners of these folds. Raises SchemaError naming the file."""
    questions = _read_csv(folder / "contents" / "questions.csv", dict(QUESTIONS))
    if questions["question_id"].is_duplicated().any():
        repeated = questions["question_id"].filter(questions["question_id"].is_duplicated())[0]
        raise SchemaError(f"{folder / 'contents' / 'questions.csv'}: {repeated} has more than one row")
    fold_table = read_folds(folder)
    wanted = _learners_of(folder, fold_table, folds)
    files = _members(folder, wanted)
    if not files:
        raise SchemaError(f"{folder}: no learner's file KT1/u<n>.csv .. KT4/u<n>.csv to read")
    rows = _rows(files)
    names = pl.concat([questions["question_id"], questions["bundle_id"].drop_nulls(), rows["item_id"]])
    item_names = {name: key for key, name in enumerate(names.unique(maintain_order=True))}
    try:
        keyed = _keyed(questions, item_names)
    except pl.exceptions.PolarsError as error:
        raise SchemaError(
            f"{folder / 'contents' / 'questions.csv'}: tags: {error}".splitlines()[0]
        ) from error
    interactions = rows.with_columns(item=pl.col("item_id").replace_strict(item_names, return_dtype=pl.Int64))
    labelled = answers(interactions, keyed.select("item", "answer_key", "bundle"))
    labelled_rows = labelled.filter(pl.col("stream") == KT1).height
    return EdnetFolder(
        answers=labelled,
        items=keyed.select("item", "components", "bundle", "part"),
        item_names=item_names,
        folds=fold_table,
        unlabelled=rows.filter(pl.col("stream") == KT1).height - labelled_rows,
    )


def read_folds(folder: Path) -> pl.DataFrame | None:
    """The columns user_id, fold of `folds.csv`; None where there is none."""
    path = folder / "folds.csv"
    return _read_csv(path, dict(_FOLDS)) if path.is_file() else None


def _learners_of(folder: Path, table: pl.DataFrame | None, folds: Iterable[int] | None) -> set[int] | None:
    if folds is None:
        return None
    if table is None:
        raise SchemaError(f"{folder}: folds were asked for, but there is no folds.csv (user_id,fold)")
    return set(table.filter(pl.col("fold").is_in(list(folds)))["user_id"].to_list())


def _members(folder: Path, wanted: set[int] | None) -> list[tuple[int, int, Path]]:
    """(level, learner, path) of each file that `answers()` can use: KT1, else the highest level."""
    best: dict[int, tuple[int, int, Path]] = {}
    for level in (2, 3, 4, 1):
        directory = folder / f"KT{level}"
        for path in directory.iterdir() if directory.is_dir() else ():
            match = _MEMBER.fullmatch(path.name)
            if match and (wanted is None or int(match[1]) in wanted):
                best[int(match[1])] = (level, int(match[1]), path)
    return [best[learner] for learner in sorted(best)]


def _rows(files: list[tuple[int, int, Path]]) -> pl.DataFrame:
    frames = []
    for level in LEVELS:
        of_level = [(learner, path) for at, learner, path in files if at == level]
        starts = range(0, len(of_level), FILES_PER_PARSE)
        frames += [_parse(level, of_level[start : start + FILES_PER_PARSE]) for start in starts]
    return pl.concat(frames, how="diagonal")


def _parse(level: int, files: Iterable[tuple[int, Path]]) -> pl.DataFrame:
    """The files' rows with learner, stream, seq, item_id, action_type (code)."""
    bodies = [(learner, path, _body(path, level)) for learner, path in files]
    counts = [body.count(b"\n") + 1 if body else 0 for _, _, body in bodies]
    joined = b"\n".join(body for _, _, body in bodies if body)
    try:
        frame = _cells(joined, level)
        if frame.height != sum(counts):
            raise SchemaError(f"{sum(counts)} lines hold {frame.height} rows")
    except (pl.exceptions.PolarsError, SchemaError) as error:
        raise SchemaError(_blame(bodies, level) or str(error)) from error
    learner = np.repeat(np.array([learner for learner, _, _ in bodies], np.int64), counts)
    seq = np.arange(len(learner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return _with_codes(frame, level).with_columns(
        learner=pl.Series(learner), stream=pl.lit(level, pl.Int64), seq=pl.Series(seq)
    )


def _body(path: Path, level: int) -> bytes:
    """A file without its header and its last line end."""
    header, _, body = path.read_bytes().removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    expected = ",".join(LEVELS[level])
    if header.rstrip(b"\r").decode(errors="replace") != expected:
        raise SchemaError(f"{path}: line 1 is {header[:120]!r}; a file of KT{level} begins with {expected!r}")
    return body.replace(b"\r\n", b"\n").removesuffix(b"\n")


def _cells(body: bytes, level: int) -> pl.DataFrame:
    schema = dict(LEVELS[level])
    if not body:
        return pl.DataFrame(schema=schema)
    lines = body.count(b"\n") + 1
    cells = body.count(b",") + lines
    if cells != lines * len(schema) and b'"' not in body:
        raise SchemaError(f"{cells} cells on {lines} lines of {len(schema)} columns")
    frame = pl.read_csv(io.BytesIO(body), has_header=False, schema=schema)
    if frame["timestamp"].null_count():
        raise SchemaError(f"row {frame['timestamp'].is_null().arg_max()}: no timestamp")
    return frame


def _blame(bodies: list[tuple[int, Path, bytes]], level: int) -> str | None:
    """The message for the first file that does not parse on its own."""
    for _, path, body in bodies:
        try:
            frame = _cells(body, level)
        except (pl.exceptions.PolarsError, SchemaError) as error:
            return f"{path}: {str(error).splitlines()[0]}"
        if body and frame.height != body.count(b"\n") + 1:
            return f"{path}: a cell spans lines"
    return None


def _with_codes(frame: pl.DataFrame, level: int) -> pl.DataFrame:
    if level == 1:
        return frame.select(
            "timestamp",
            "user_answer",
            "elapsed_time",
            item_id=pl.col("question_id"),
            action_type=pl.lit(None, pl.Int64),
        )
    code = pl.col("action_type").replace_strict(ACTIONS, default=FIRST_OPEN_CODE, return_dtype=pl.Int64)
    return frame.select(
        "timestamp", "user_answer", "item_id", elapsed_time=pl.lit(None, pl.Int64), action_type=code
    )


def _keyed(questions: pl.DataFrame, item_names: dict[str, int]) -> pl.DataFrame:
    """Questions as item, answer_key, components (tag numbers, -1 left out), bundle, part."""
    tags = pl.col("tags").str.split(";").cast(pl.List(pl.Int64), strict=True)
    bundle = pl.col("bundle_id").replace_strict(item_names, default=None, return_dtype=pl.Int64)
    return questions.select(
        item=pl.col("question_id").replace_strict(item_names, return_dtype=pl.Int64),
        answer_key=pl.col("correct_answer"),
        components=tags.list.set_difference([NOT_AVAILABLE]),
        bundle=bundle,
        part=pl.col("part").replace(NOT_AVAILABLE, None),
    )


def _read_csv(path: Path, schema: dict[str, type[pl.DataType] | pl.DataType]) -> pl.DataFrame:
    if not path.is_file():
        raise SchemaError(f"{path}: no such file")
    try:
        frame = pl.read_csv(path, schema_overrides=schema)
    except pl.exceptions.PolarsError as error:
        raise SchemaError(f"{path}: {str(error).splitlines()[0]}") from error
    missing = [column for column in schema if column not in frame.columns]
    if missing:
        raise SchemaError(f"{path}: column {missing[0]!r} is missing; it has {frame.columns}")
    return frame.select(list(schema))
