"""Rows back to the files they came from, byte for byte, proved by SHA-256."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from sqlalchemy import Connection, Engine, Row, func, select

from app.ednet_files.contents import render_contents
from app.ednet_files.dialect import Dialect, wrap
from app.ednet_files.logs import HEADERS, LITERALS, render, render_plain
from app.ednet_files.names import Names
from app.ednet_files.rows import TABLES, read_frame, reading
from app.ednet_files.vocabularies import literals_by_code
from tracing.ednet import LEVELS

FILES_AT_ONCE: Final = 500
ROWS_AT_ONCE: Final = 200_000


@dataclass(slots=True)
class ExportReport:
    """mismatches: paths whose bytes are not those that were imported (rows were erased or changed)."""

    tenant: str
    source: str
    files: int = 0
    rows: int = 0
    mismatches: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FileWritten:
    """Progress: a file that was written; `is_identical` by SHA-256; `done` of `total` files."""

    path: str
    is_identical: bool
    rows: int
    done: int
    total: int


def export_source(
    engine: Engine,
    folder: str | Path,
    *,
    tenant: str = "default",
    source: str,
    on_file: Callable[[FileWritten], None] | None = None,
) -> ExportReport:
    """Write every imported member of a source under `folder`; files of the same name are replaced.

    Raises EdnetFilesError if the tenant has no such source. A member that does not come out as it came in
    is written all the same and listed in `mismatches`.
    """
    report = ExportReport(tenant, source)
    with reading(engine) as connection:
        names = Names.find(connection, tenant, source)
        table = TABLES["importfile"]
        is_ours = table.c.source_id == names.source_id
        total = connection.execute(select(func.count()).select_from(table).where(is_ours)).scalar_one()
        exporter = _Exporter(connection, Path(folder), names, report, on_file, total)
        last = 0
        while files := connection.execute(
            select(table).where(is_ours, table.c.id > last).order_by(table.c.id).limit(FILES_AT_ONCE)
        ).all():
            last = files[-1].id
            for stream, same in groupby(files, key=lambda file: file.stream):
                exporter.write_files(list(same), stream)
    return report


class _Exporter:
    def __init__(
        self,
        connection: Connection,
        folder: Path,
        names: Names,
        report: ExportReport,
        on_file: Callable[[FileWritten], None] | None,
        total: int,
    ) -> None:
        self.connection, self.folder, self.names = connection, folder, names
        self.report, self.on_file, self.total = report, on_file, total
        items = TABLES["item"]
        prefix = names.external("")
        query = select(items.c.id, items.c.external_id).where(
            items.c.tenant_id == names.tenant_id, items.c.source_id == names.source_id
        )
        found = [(key, name.removeprefix(prefix)) for key, name in connection.execute(query)]
        self.items = pl.DataFrame(found, schema={"item_id": pl.Int64, "name": pl.String}, orient="row")
        self.literals = literals_by_code(connection)

    def write_files(self, files: Sequence[Row[Any]], stream: int | None) -> None:
        """Write files of one stream (None: contents) in groups that fit into memory."""
        group: list[Row[Any]] = []
        rows = 0
        for file in files:
            if group and rows + file.rows > ROWS_AT_ONCE:
                self._write_group(group, stream)
                group, rows = [], 0
            group.append(file)
            rows += file.rows
        self._write_group(group, stream)

    def _write_group(self, files: Sequence[Row[Any]], stream: int | None) -> None:
        typed = [file for file in files if file.raw is None]
        bodies = self._logs(typed, stream) if stream is not None else [self._contents(one) for one in typed]
        written = {file.id: body for file, body in zip(typed, bodies, strict=True)}
        for file in files:
            self._save(file, written[file.id] if file.raw is None else zlib.decompress(file.raw))

    def _save(self, file: Row[Any], data: bytes) -> None:
        path = self.folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        is_identical = sha256(data).digest() == file.sha256
        self.report.files += 1
        self.report.rows += file.rows
        if not is_identical:
            self.report.mismatches.append(file.path)
        if self.on_file is not None:
            self.on_file(FileWritten(file.path, is_identical, file.rows, self.report.files, self.total))

    def _contents(self, file: Row[Any]) -> bytes:
        table = TABLES["contentrow"]
        query = select(table.c.cells).where(table.c.file_id == file.id).order_by(table.c.row)
        cells = list(self.connection.execute(query).scalars())
        return render_contents(file.path, Dialect.from_json(file.dialect, ""), cells)

    def _logs(self, files: Sequence[Row[Any]], level: int) -> list[bytes]:
        rows = self._rows(files, level)
        positions = {file.learner_id: i for i, file in enumerate(files)}
        place = rows["learner_id"].replace_strict(
            list(positions), list(positions.values()), return_dtype=pl.Int64
        )
        rows = rows.with_columns(place=place).sort("place", "seq")
        counts = np.bincount(rows["place"].to_numpy(), minlength=len(files))
        starts = [0, *accumulate(counts.tolist())]
        columns = rows.select(list(LEVELS[level]))
        overrides = self._overrides(files)
        dialects = [Dialect.from_json(file.dialect, HEADERS[level]) for file in files]
        is_plain = [
            not overrides.get(file.id) and not one.quoted for file, one in zip(files, dialects, strict=True)
        ]
        plain = iter(_split(columns, counts, is_plain))
        return [
            wrap(dialect, next(plain))
            if is_plain[i]
            else _by_cell(columns.slice(first, end - first), dialect, overrides.get(file.id, []))
            for i, (file, dialect, (first, end)) in enumerate(
                zip(files, dialects, pairwise(starts), strict=True)
            )
        ]

    def _rows(self, files: Sequence[Row[Any]], level: int) -> pl.DataFrame:
        """The rows of files: learner_id, seq and the columns of the level as they are written."""
        table = TABLES["interaction"]
        item = "question_id" if level == 1 else "item_id"
        sources = {name: "item_id" if name == item else name for name in LEVELS[level]}
        query = select(table.c.learner_id, table.c.seq, *(table.c[name] for name in sources.values())).where(
            table.c.tenant_id == self.names.tenant_id,
            table.c.stream == level,
            table.c.learner_id.in_([file.learner_id for file in files]),
        )
        schema: dict[str, type[pl.DataType] | pl.DataType] = {"learner_id": pl.Int64, "seq": pl.Int64}
        for name, dtype in LEVELS[level].items():
            is_number = name == item or name in LITERALS or dtype == pl.Int64
            schema[sources[name]] = pl.Int64 if is_number else pl.String
        rows = read_frame(self.connection, query, schema).join(
            self.items, on="item_id", how="left", maintain_order="left"
        )
        literals = [
            pl.col(kind).replace_strict(
                list(known), list(known.values()), default=None, return_dtype=pl.String
            )
            for kind, known in self.literals.items()
            if kind in LEVELS[level]
        ]
        return rows.with_columns(literals).drop("item_id").rename({"name": item})

    def _overrides(self, files: Sequence[Row[Any]]) -> dict[int, list[tuple[int, int, bytes]]]:
        table = TABLES["celloverride"]
        found: dict[int, list[tuple[int, int, bytes]]] = {}
        query = select(table.c.file_id, table.c.row, table.c.column, table.c.text).where(
            table.c.file_id.in_([file.id for file in files])
        )
        for file_id, row, column, text in self.connection.execute(query):
            found.setdefault(file_id, []).append((row, column, text))
        return found


def _split(columns: pl.DataFrame, counts: np.ndarray[Any, Any], is_plain: Sequence[bool]) -> list[bytes]:
    """The rendered rows of the plain files, one part a file."""
    mask = np.repeat(np.array(is_plain, dtype=bool), counts)
    text = render_plain(columns.filter(pl.Series(mask)))
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
    cuts = np.concatenate([[0], ends])[np.cumsum([0, *counts[np.array(is_plain, dtype=bool)]])]
    return [text[first:end] for first, end in pairwise(cuts.tolist())]


def _by_cell(columns: pl.DataFrame, dialect: Dialect, overrides: list[tuple[int, int, bytes]]) -> bytes:
    # A row that was erased leaves its override without a place; the digest will tell.
    kept = [override for override in overrides if override[0] <= len(columns)]
    return render(dialect, [column.to_list() for column in columns.get_columns()], kept)
