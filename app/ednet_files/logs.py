"""Log files (KT1-KT4): bytes to typed rows and back, every byte accounted for.

Nearly all files are plain: what polars writes from the typed rows is what was read. They are parsed
hundreds at a time and compared as bytes. Whatever differs is read cell by cell on its own, and the text
of a cell that its value does not give back is kept as an override.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from hashlib import sha256
from io import BytesIO
from typing import Final

import numpy as np
import polars as pl

from app.ednet_files.dialect import (
    Dialect,
    Refusal,
    bare,
    cells_of,
    check_width,
    header_names,
    integer,
    name_of,
    unwrap,
    wrap,
    written,
)
from tracing.ednet import ACTIONS, LEVELS, PLATFORMS, SOURCES

LITERALS: Final = {"action_type": ACTIONS, "source": SOURCES, "platform": PLATFORMS}
"""The columns of open vocabularies."""
HEADERS: Final = {level: ",".join(columns) for level, columns in LEVELS.items()}
KINDS: Final = "qbelpc"
"""First letters of ids: question, bundle, explanation, lecture, payment item, coupon. Else kind x."""
_KNOWN_ID: Final = re.compile(rf"[{KINDS}][a-z]?[0-9]+")
_PLAIN_TEXT: Final = r"^[!-~]([ -~]{0,198}[!-~])?$"

Value = int | str | None


class Flag(IntFlag):
    """What is unusual about an imported row; it is kept all the same (`Interaction.flags`)."""

    DUPLICATE = 1
    """An earlier row of the file is the same in every column."""
    BLANK = 2
    """An answer without an option: no label."""
    TIME_REVERSED = 4
    """Earlier than the row before it."""
    UNKNOWN_LITERAL = 8
    """An action, source or platform outside the known vocabularies."""
    UNKNOWN_ITEM = 16
    """An item id of no known kind, `-1` among them."""
    UNUSUAL_TEXT = 32
    """A cell is written in a way its value does not tell ('007', quotes, padding)."""
    UNREADABLE = 64
    """A number other than the timestamp could not be read and is null."""


@dataclass(slots=True)
class LogFile:
    """A member `KTn/u*.csv` that can come in. Overrides: (row from 1, column from 0, text)."""

    path: str
    learner: str
    level: int
    data: bytes = field(repr=False)
    digest: bytes
    dialect: Dialect
    body: bytes = field(repr=False)
    rows: int = 0
    overrides: list[tuple[int, int, bytes]] = field(default_factory=list)
    raw: bytes | None = None


@dataclass(slots=True)
class Parsed:
    """Files and their rows: `file` (position in files), `row` (from 1), the level's columns, `flags`."""

    files: list[LogFile]
    rows: pl.DataFrame


def kind_of(name: str) -> str:
    """The kind of an item by the prefix of its id; 'x' if it has none of EdNet's."""
    return name[0] if _KNOWN_ID.fullmatch(name) else "x"


def open_log(path: str, learner: str, level: int, data: bytes, digest: bytes | None = None) -> LogFile:
    """The file without its header; Refusal if the header is not the level's."""
    dialect, body = unwrap(data)
    if dialect.header is not None and dialect.header != HEADERS[level]:
        names = header_names(dialect.header)
        if names != list(LEVELS[level]):
            raise _foreign_header(names, level)
    return LogFile(path, learner, level, data, digest or sha256(data).digest(), dialect, body)


def _foreign_header(names: list[str], level: int) -> Refusal:
    wanted = list(LEVELS[level])
    column = next((i for i, name in enumerate(wanted) if names[i : i + 1] != [name]), len(wanted)) + 1
    others = [f"KT{other}" for other, columns in LEVELS.items() if names == list(columns)]
    if others:
        reason = f"the header is that of {' or '.join(others)}, but the file lies in KT{level}/"
    else:
        reason = f"the header fits no level; KT{level} has {HEADERS[level]}"
    return Refusal(reason, 1, column)


def parse_logs(files: Sequence[LogFile], level: int) -> tuple[Parsed, list[tuple[LogFile, Refusal]]]:
    """The rows of files of one level, and the files that have to be refused.

    Cost: one parse for all plain files; a file that is not plain costs its own cell-by-cell reading.
    """
    taken: list[LogFile] = []
    frames: list[pl.DataFrame] = []
    refused: list[tuple[LogFile, Refusal]] = []
    plain = [file for file in files if _looks_plain(file)]
    for group, frame in _parse_plain(plain, level):
        if frame is not None:
            taken += group
            frames.append(frame)
    rest = {file.path for file in files} - {file.path for file in taken}
    for file in (file for file in files if file.path in rest):
        try:
            frames.append(_parse_cells(file))
        except Refusal as refusal:
            refused.append((file, refusal))
        else:
            taken.append(file)
    rows = pl.concat([_empty(level), *frames])
    counts = [file.rows for file in taken]
    position = np.repeat(np.arange(len(taken), dtype=np.int64), counts)
    starts = np.cumsum([0, *counts[:-1]]) if counts else np.zeros(0, np.int64)
    row = np.arange(len(rows), dtype=np.int64) - np.repeat(starts, counts) + 1
    rows = rows.with_columns(file=pl.Series(position), row=pl.Series(row))
    return Parsed(taken, rows.with_columns(flags=pl.col("flags") + _flags(level))), refused


def _schema(level: int) -> dict[str, type[pl.DataType] | pl.DataType]:
    return dict(LEVELS[level])


def _empty(level: int) -> pl.DataFrame:
    return pl.DataFrame(schema={**_schema(level), "flags": pl.Int64})


def _looks_plain(file: LogFile) -> bool:
    return file.body.isascii() and not any(mark in file.body for mark in (b'"', b"\r", b"\0"))


def _parse_plain(files: list[LogFile], level: int) -> list[tuple[list[LogFile], pl.DataFrame | None]]:
    """Halve the files until each part is plain throughout (a frame) or a single file that is not (None)."""
    if not files:
        return []
    frame = _parse_joined(b"".join(file.body for file in files), level)
    if frame is None and len(files) > 1:
        middle = len(files) // 2
        return _parse_plain(files[:middle], level) + _parse_plain(files[middle:], level)
    if frame is not None:
        for file in files:
            file.rows = file.body.count(b"\n")
    return [(files, frame)]


def _parse_joined(body: bytes, level: int) -> pl.DataFrame | None:
    """Rows whose rendering is `body`, None if there are none such."""
    if not body:
        return _empty(level)
    try:
        frame = pl.read_csv(body, has_header=False, schema=_schema(level), quote_char=None)
    except pl.exceptions.PolarsError:
        return None
    text = [name for name, dtype in LEVELS[level].items() if dtype == pl.String]
    if frame["timestamp"].null_count() or render_plain(frame) != body:
        return None
    if not all(frame[name].unique().str.contains(_PLAIN_TEXT).all() for name in text):
        return None
    return frame.with_columns(flags=pl.lit(0, pl.Int64))


def render_plain(frame: pl.DataFrame) -> bytes:
    """The rows as a plain file has them: no quotes, LF."""
    if frame.is_empty():
        return b""
    out = BytesIO()
    frame.write_csv(out, include_header=False, quote_style="never")
    return out.getvalue()


def _parse_cells(file: LogFile) -> pl.DataFrame:
    """Read a file cell by cell: fills `rows`, `overrides`, `dialect.quoted` and, failing all, `raw`."""
    names = list(LEVELS[file.level])
    cells: list[list[str]] = []
    flags: list[int] = []
    columns: list[list[Value]] = [[] for _ in names]
    for line, row in cells_of(file.body.decode("utf-8", "surrogateescape")):
        check_width(row, names, line)
        cells.append(row)
        flags.append(_read_row(row, file.level, line, columns))
    file.rows = len(cells)
    quoted = tuple(
        i
        for i in range(len(names))
        if cells and all(len(c[i]) > 1 and c[i][0] == c[i][-1] == '"' for c in cells)
    )
    file.dialect = Dialect(
        file.dialect.header, file.dialect.eol, file.dialect.final_eol, file.dialect.bom, quoted
    )
    for i, values in enumerate(columns):
        is_quoted = i in quoted
        for row_number, (value, row) in enumerate(zip(values, cells, strict=True), start=1):
            if row[i] != written(value, is_quoted):
                file.overrides.append((row_number, i, row[i].encode("utf-8", "surrogateescape")))
                flags[row_number - 1] |= Flag.UNUSUAL_TEXT
    too_many = len(file.overrides) > 64 + len(names) * file.rows // 4
    if too_many or render(file.dialect, columns, file.overrides) != file.data:
        file.overrides, file.raw = [], zlib.compress(file.data)
    frame = pl.DataFrame(columns, schema=_schema(file.level), orient="col")
    return frame.with_columns(flags=pl.Series(flags, dtype=pl.Int64))


def _read_row(row: list[str], level: int, line: int, columns: list[list[Value]]) -> int:
    """Append the values of a row to the columns; its flags."""
    flags = 0
    for i, (name, dtype) in enumerate(LEVELS[level].items()):
        text = bare(row[i])
        value: Value
        if dtype == pl.String:
            value = name_of(text) or None
        else:
            value = integer(text)
            if value is None and name == "timestamp":
                raise Refusal(f"timestamp {text[:40]!r} is no 64-bit integer", line, i + 1)
            if value is None and text:
                flags |= Flag.UNREADABLE
        columns[i].append(value)
    return flags


def render(
    dialect: Dialect, columns: Sequence[Sequence[Value]], overrides: Sequence[tuple[int, int, bytes]]
) -> bytes:
    """The bytes of a file from its values (one sequence a column), dialect and overrides."""
    cells = [
        [written(value, i in dialect.quoted).encode() for value in values] for i, values in enumerate(columns)
    ]
    for row, column, text in overrides:
        cells[column][row - 1] = text
    return wrap(dialect, b"".join(b",".join(row) + b"\n" for row in zip(*cells, strict=True)))


def _flags(level: int) -> pl.Expr:
    """Flags that follow from the values alone."""
    item = "question_id" if level == 1 else "item_id"
    is_answer = pl.lit(True) if level == 1 else pl.col("action_type") == "respond"
    known_id = f"^(?:{_KNOWN_ID.pattern})$"
    found = {
        Flag.DUPLICATE: ~pl.struct("file", *LEVELS[level]).is_first_distinct(),
        Flag.BLANK: is_answer & pl.col("user_answer").is_null(),
        Flag.TIME_REVERSED: (pl.col("timestamp").diff() < 0) & (pl.col("row") > 1),
        Flag.UNKNOWN_ITEM: ~pl.col(item).fill_null("").str.contains(known_id),
    }
    if level > 1:
        found[Flag.UNKNOWN_LITERAL] = pl.any_horizontal(
            *(~pl.col(name).is_in(list(known)) for name, known in LITERALS.items())
        )
    return pl.sum_horizontal(
        *(expression.fill_null(False).cast(pl.Int64) * int(flag) for flag, expression in found.items())
    )
