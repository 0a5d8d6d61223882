"""Parsed log files into the tables: learners, items, files, overrides and interactions."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import Connection, Delete, Table, Update, delete, select, update

from app.ednet_files.logs import HEADERS, LITERALS, LogFile, Parsed
from app.ednet_files.names import Names
from app.ednet_files.rows import TABLES, insert_rows, is_one_of, load_interactions
from app.ednet_files.vocabularies import Vocabularies
from tracing.ednet import KT1


def load_logs(
    connection: Connection, names: Names, vocabularies: Vocabularies, parsed: Parsed, level: int
) -> None:
    """Store the files of one level and their rows, in the caller's transaction."""
    learners = names.learners(connection, [file.learner for file in parsed.files])
    file_ids = _load_files(connection, names, parsed.files, learners, level)
    name = "question_id" if level == KT1 else "item_id"
    rows = parsed.rows.with_columns(pl.col(name).fill_null(""))
    items = names.items(connection, rows[name].unique(maintain_order=True).to_list())
    counts = [file.rows for file in parsed.files]
    columns = [
        _repeated("learner_id", [learners[file.learner] for file in parsed.files], counts),
        rows["row"].alias("seq"),
        rows["timestamp"],
        _mapped(rows[name], items).alias("item_id"),
        rows["user_answer"],
        rows["flags"],
        _repeated("file_id", [file_ids[file.path] for file in parsed.files], counts),
    ]
    columns += [
        rows[number] for number in ("solving_id", "elapsed_time", "cursor_time") if number in rows.columns
    ]
    for kind in LITERALS if level > KT1 else ():
        literals = rows[kind].drop_nulls().unique(maintain_order=True).to_list()
        columns.append(_mapped(rows[kind], vocabularies.of(connection, kind, literals)))
    same_in_all = {
        "tenant_id": names.tenant_id,
        "course_id": names.course_id,
        "stream": level,
        "received_month": int(f"{datetime.now(UTC):%Y%m}"),
    }
    load_interactions(connection, pl.DataFrame(columns), same_in_all)
    forget_knowledge(connection, names, sorted(learners.values()))


def forget_knowledge(connection: Connection, names: Names, learners: Sequence[int] | None = None) -> None:
    """Mark the knowledge of these learners (None: all) in the course stale: what it rests on has changed."""
    states, snapshots = TABLES["knowledge_state"], TABLES["knowledgesnapshot"]
    changes: list[tuple[Table, Update | Delete]] = [
        (states, update(states).values(is_stale=True)),
        (snapshots, delete(snapshots)),
    ]
    for table, statement in changes:
        ours = statement.where(table.c.tenant_id == names.tenant_id, table.c.course_id == names.course_id)
        if learners is not None:
            ours = ours.where(is_one_of(connection, table.c.learner_id, learners))
        connection.execute(ours)


def _repeated(name: str, values: Sequence[int], counts: Sequence[int]) -> pl.Series:
    return pl.Series(name, np.repeat(np.array(values, np.int64), counts))


def _mapped(column: pl.Series, values: Mapping[str, int]) -> pl.Series:
    """The value of each text, null for null."""
    return column.replace_strict(list(values), list(values.values()), default=None, return_dtype=pl.Int64)


def _load_files(
    connection: Connection, names: Names, files: Sequence[LogFile], learners: Mapping[str, int], level: int
) -> dict[str, int]:
    """{path: id of the file's row}."""
    table = TABLES["importfile"]
    imported_at = datetime.now(UTC)
    described: list[dict[str, Any]] = [
        {
            "tenant_id": names.tenant_id,
            "source_id": names.source_id,
            "learner_id": learners[file.learner],
            "path": file.path,
            "stream": level,
            "dialect": file.dialect.to_json(HEADERS[level]),
            "rows": file.rows,
            "size": len(file.data),
            "sha256": file.digest,
            "raw": file.raw,
            "imported_at": imported_at,
        }
        for file in files
    ]
    insert_rows(connection, table, described)
    paths = is_one_of(connection, table.c.path, [file.path for file in files])
    query = select(table.c.path, table.c.id).where(table.c.source_id == names.source_id, paths)
    ids = {path: int(key) for path, key in connection.execute(query)}
    overrides = [
        {"file_id": ids[file.path], "row": row, "column": column, "text": text}
        for file in files
        for row, column, text in file.overrides
    ]
    insert_rows(connection, TABLES["celloverride"], overrides)
    return ids
