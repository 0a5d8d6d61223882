"""Connections to SQLite and PostgreSQL: how they begin, what they wait for, and that a commit is durable."""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.settings import Settings

BUSY_TIMEOUT_MS = 10_000
SQLITE_SETTINGS = (
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA cache_size=-65536",
    "PRAGMA temp_store=MEMORY",
)
DRIVERS = ("sqlite+aiosqlite", "postgresql+asyncpg")
BLOCKING_DRIVERS = ("sqlite", "postgresql+psycopg")


class UnusableDatabase(Exception):
    """The database cannot be used as it is configured; the message says why and what to do."""


def check_url(settings: Settings, drivers: tuple[str, ...] = DRIVERS) -> None:
    """Raise UnusableDatabase unless the URL names a usable file of SQLite, or a PostgreSQL database."""
    try:
        url = make_url(settings.database_url)
    except ArgumentError:
        raise UnusableDatabase(
            "PROXIMA_DATABASE_URL is not a URL; write sqlite+aiosqlite:///FILE or "
            "postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE"
        ) from None
    if url.drivername not in drivers:
        raise UnusableDatabase(
            f"PROXIMA_DATABASE_URL begins with {url.drivername}://; known are {' and '.join(DRIVERS)}"
        )
    if settings.is_sqlite and url.database in (None, "", ":memory:"):
        raise UnusableDatabase(
            "PROXIMA_DATABASE_URL names no file: an SQLite database in memory is private to one connection; "
            "write sqlite+aiosqlite:///proxima.db"
        )
    if settings.is_sqlite and url.database:
        check_file(Path(url.database).absolute())


def check_file(path: Path) -> None:
    """Raise UnusableDatabase unless SQLite can keep a database there; the driver says so late."""
    if path.is_dir():
        reason = f"{path} is a folder; name a file in it"
    elif not path.parent.is_dir():
        reason = f"there is no folder {path.parent}; make it, or name another"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        reason = f"{path} cannot be written; change its owner, or name another file"
    else:
        return
    raise UnusableDatabase(f"PROXIMA_DATABASE_URL: {reason}")


def prepare_sqlite(engine: Engine, *, immediate: bool) -> None:
    """Set every new connection up and begin transactions ourselves, as the driver begins them too late.

    With `immediate` a transaction takes the write lock when it begins, unless the connection carries the
    execution option `read_only=True`: upgrading a read to a write fails at once when another has written.
    """

    def on_connect(connection: DBAPIConnection, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for setting in SQLITE_SETTINGS:
            cursor.execute(setting)
        cursor.close()

    def on_begin(connection: Connection) -> None:
        reads = not immediate or connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


def open_engine(settings: Settings) -> Engine:
    """An engine for blocking code (command line, import, refit, migrations); the caller disposes of it.

    On SQLite a transaction takes the write lock when it begins; long readers should use
    `engine.execution_options(read_only=True)` so that they do not hold up the server.
    """
    check_url(settings, DRIVERS + BLOCKING_DRIVERS)
    if settings.is_sqlite:
        engine = create_engine(settings.sync_database_url)
        prepare_sqlite(engine, immediate=True)
        return engine
    return create_engine(settings.sync_database_url, pool_pre_ping=True)


def open_async_engines(settings: Settings) -> tuple[AsyncEngine, AsyncEngine]:
    """Engines of the server: (for reading, for writing). SQLite has exactly one writing connection."""
    check_url(settings)
    if not settings.is_sqlite:
        # One pool for both; JIT compiling (seconds) is for analytics, not for requests.
        engine = create_async_engine(
            settings.database_url,
            pool_size=10,
            max_overflow=10,
            pool_pre_ping=True,
            connect_args={"server_settings": {"jit": "off", "application_name": "proxima"}},
        )
        return engine, engine
    reading = create_async_engine(settings.database_url, pool_size=4, max_overflow=4)
    prepare_sqlite(reading.sync_engine, immediate=False)
    writing = create_async_engine(settings.database_url, pool_size=1, max_overflow=0, pool_timeout=30)
    prepare_sqlite(writing.sync_engine, immediate=True)
    return reading, writing


def check_durable(connection: Connection) -> None:
    """Raise UnusableDatabase unless a commit survives a power cut on this connection."""
    if connection.dialect.name == "sqlite":
        level = connection.execute(text("PRAGMA synchronous")).scalar_one()
        if level < 2:
            raise UnusableDatabase(f"SQLite's synchronous is {level}; it must be 2 (FULL) or 3 (EXTRA)")
        return
    commit = connection.execute(text("SHOW synchronous_commit")).scalar_one()
    if commit in ("off", "local"):
        raise UnusableDatabase(
            f"PostgreSQL's synchronous_commit is {commit}: committed answers could be lost; set it to on "
            "for this user: ALTER ROLE ... SET synchronous_commit = on"
        )
    if connection.execute(text("SHOW fsync")).scalar_one() != "on":
        raise UnusableDatabase("PostgreSQL's fsync is off: a power cut would lose or break committed answers")
