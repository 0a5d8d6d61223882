"""Bulk rows on both databases: insert what is missing, load interactions, read frames."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from typing import Any, Final, TypeVar

import polars as pl
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    any_,
    func,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

import app.tables  # noqa: F401  (fills the metadata)

TABLES: Final = SQLModel.metadata.tables
LOOKUP: Final = 500
"""Values looked up by one query."""
ROWS_AT_ONCE: Final = 20_000
"""Rows of one statement on PostgreSQL, of one call on SQLite."""

Anything = TypeVar("Anything")
Row = Mapping[str, Any]


class EdnetFilesError(ValueError):
    """An import or export that cannot be done as asked; the message says why and what to do."""


def batches(values: Iterable[Anything], size: int = LOOKUP) -> Iterator[list[Anything]]:
    """Lists of at most `size` values."""
    source = iter(values)
    while batch := list(islice(source, size)):
        yield batch


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction; on SQLite it holds the write lock from its beginning."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            driver = connection.connection.driver_connection
            if driver is not None and not driver.in_transaction:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One connection that does not hold up writers."""
    with engine.execution_options(read_only=True).connect() as connection:
        yield connection


def lock(connection: Connection, key: int) -> None:
    """Wait until no other transaction holds this key (SQLite has one writer anyway)."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, which have the same keys."""
    _insert(connection, table, rows, lambda statement: statement)


def insert_missing(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, leaving alone those whose unique key is there already."""
    _insert(connection, table, rows, lambda statement: statement.on_conflict_do_nothing())


def update_rows(connection: Connection, table: Table, rows: Sequence[Row], changed: Iterable[str]) -> None:
    """Set the columns `changed` of the rows with these ids, all different."""

    def overwriting(statement: Any) -> Any:
        changes = {name: statement.excluded[name] for name in changed}
        return statement.on_conflict_do_update(index_elements=["id"], set_=changes)

    _insert(connection, table, rows, overwriting)


def _insert(
    connection: Connection, table: Table, rows: Sequence[Row], on_conflict: Callable[[Any], Any]
) -> None:
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.execute(on_conflict(sqlite.insert(table)), rows)
        return
    # One array a column: a statement a row, or a parameter a cell, takes ten times as long.
    for part in batches(rows, ROWS_AT_ONCE):
        columns = [_column(table.c[name], [row[name] for row in part]) for name in part[0]]
        unnested = select(*columns)
        connection.execute(on_conflict(postgresql.insert(table).from_select(list(part[0]), unnested)))


def _column(column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[Any]:
    first = values[0]
    if all(value is first for value in values):
        return literal(first, column.type)
    return func.unnest(literal(values, postgresql.ARRAY(column.type, dimensions=1)))


def is_one_of(connection: Connection, column: ColumnElement[Any], values: Sequence[Any]) -> Any:
    """The condition that a column is one of many values."""
    if connection.dialect.name == "postgresql":
        # One array is planned and compared ten times faster than as many parameters.
        return column == any_(literal(list(values), postgresql.ARRAY(column.type, dimensions=1)))
    return column.in_(values)


def load_interactions(connection: Connection, frame: pl.DataFrame, same: Mapping[str, int]) -> None:
    """Append rows to `interaction`: the frame's columns, and `same` in every row.

    COPY on PostgreSQL; on SQLite one prepared statement.
    """
    table = TABLES["interaction"]
    frame = frame.with_columns(**{name: pl.lit(value) for name, value in same.items()})
    if connection.dialect.name == "postgresql":
        out = BytesIO()
        frame.write_csv(out, include_header=False)
        driver = connection.connection.driver_connection
        if driver is None:
            raise RuntimeError("the connection to PostgreSQL is closed")
        columns = ", ".join(f'"{column}"' for column in frame.columns)
        command = f"COPY {table.name} ({columns}) FROM STDIN (FORMAT csv)"
        with driver.cursor() as cursor, cursor.copy(command) as copy:
            copy.write(out.getbuffer())
        return
    # Constants are bound too: written into the statement they make SQLite nearly twice as slow.
    compiled = insert(table).compile(connection, column_keys=frame.columns)
    ordered = frame.select(list(compiled.positiontup or ()))
    for part in ordered.iter_slices(ROWS_AT_ONCE):
        connection.exec_driver_sql(str(compiled), part.rows())


def read_frame(
    connection: Connection, query: Select[Any], schema: Mapping[str, type[pl.DataType] | pl.DataType]
) -> pl.DataFrame:
    """The rows of a query as a frame; schema: its columns in order. Booleans have to be cast to integers."""
    if connection.dialect.name == "postgresql":
        statement = query.compile(connection, compile_kwargs={"literal_binds": True})
        driver = connection.connection.driver_connection
        if driver is None:
            raise RuntimeError("the connection to PostgreSQL is closed")
        out = BytesIO()
        with driver.cursor() as cursor, cursor.copy(f"COPY ({statement}) TO STDOUT (FORMAT csv)") as copy:
            for block in copy:
                out.write(block)
        if not out.tell():
            return pl.DataFrame(schema=dict(schema))
        return pl.read_csv(out.getvalue(), has_header=False, schema=dict(schema))
    # The driver's tuples: SQLAlchemy's rows would take as long as the query.
    cursor = connection.execute(query).cursor
    rows = cursor.fetchall() if cursor is not None else []
    return pl.DataFrame(rows, schema=dict(schema), orient="row")
