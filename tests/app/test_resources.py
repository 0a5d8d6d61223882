"""What a server holds open: the right adapters, durable, one writer on SQLite, and clear refusals."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select, text

from app.cache import MemoryCache, RedisCache
from app.database import UnusableDatabase, check_durable, open_async_engines, open_engine
from app.migrate import migrate
from app.resources import open_resources
from app.settings import Settings
from app.tables import Tenant, now


async def test_the_schemes_pick_the_adapters(settings: Settings) -> None:
    async with open_resources(settings) as resources:
        assert isinstance(resources.cache, MemoryCache if settings.is_sqlite else RedisCache)
        assert (resources.writing is resources.engine) is not settings.is_sqlite
        assert (await resources.registry.promoted(1)).fit_id == 0


async def test_what_is_committed_is_durable_and_seen(settings: Settings) -> None:
    async with open_resources(settings) as resources:
        async with resources.writing.begin() as connection:
            await connection.run_sync(check_durable)
            await connection.execute(insert(Tenant).values(name="a", created_at=now()))
        async with resources.engine.connect() as connection:
            assert await connection.scalar(select(func.count()).select_from(Tenant)) == 1


async def test_sqlite_writes_one_after_the_other_while_others_read(sqlite_settings: Settings) -> None:
    async with open_resources(sqlite_settings) as resources:

        async def write(n: int) -> None:
            async with resources.writing.begin() as connection:
                await connection.execute(insert(Tenant).values(name=str(n), created_at=now()))

        async def read() -> int:
            async with resources.engine.connect() as connection:
                return int(await connection.scalar(select(func.count()).select_from(Tenant)) or 0)

        counts = await asyncio.gather(*(write(n) if n % 2 else read() for n in range(60)))
        assert all(count is None or 0 <= count <= 30 for count in counts)
        assert await read() == 30


async def test_a_transaction_of_the_writer_does_not_hold_up_readers(sqlite_settings: Settings) -> None:
    async with open_resources(sqlite_settings) as resources, resources.writing.begin() as writer:
        await writer.execute(insert(Tenant).values(name="a", created_at=now()))
        begun = time.monotonic()
        async with resources.engine.connect() as reader:
            assert await reader.scalar(select(func.count()).select_from(Tenant)) == 0
        assert time.monotonic() - begun < 1


def test_sqlite_is_set_up_on_every_connection(sqlite_settings: Settings) -> None:
    engine = open_engine(sqlite_settings)
    with engine.connect() as one, engine.connect().execution_options(read_only=True) as two:
        for connection in (two, one):
            asked = ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
            found = [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in asked]
            assert found == ["wal", 2, 10_000, 0]
            check_durable(connection)
    engine.dispose()


def test_blocking_code_takes_the_write_lock_at_once(sqlite_settings: Settings) -> None:
    """A read that later becomes a write would fail when another wrote in between."""
    first, second = open_engine(sqlite_settings), open_engine(sqlite_settings)
    with first.begin() as one:
        one.execute(select(Tenant.__table__))  # type: ignore[attr-defined]
        with second.execution_options(read_only=True).connect() as two:
            two.execute(select(Tenant.__table__))  # type: ignore[attr-defined]
        one.execute(insert(Tenant).values(name="a", created_at=now()))
    first.dispose()
    second.dispose()


def test_a_commit_that_is_not_durable_is_refused(sqlite_settings: Settings) -> None:
    engine = open_engine(sqlite_settings)
    with engine.connect() as connection:
        connection.commit()
        connection.connection.driver_connection.execute("PRAGMA synchronous=NORMAL")  # type: ignore[union-attr]
        with pytest.raises(UnusableDatabase, match="synchronous is 1"):
            check_durable(connection)
    engine.dispose()


async def test_asynchronous_commit_on_postgresql_is_refused(postgres_settings: Settings) -> None:
    reading, _ = open_async_engines(postgres_settings)
    async with reading.connect() as connection:
        await connection.execute(text("SET synchronous_commit = off"))
        with pytest.raises(UnusableDatabase, match="synchronous_commit is off"):
            await connection.run_sync(check_durable)
    await reading.dispose()


async def test_tables_of_another_revision_are_refused(settings: Settings, sync_engine: Engine) -> None:
    with sync_engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UnusableDatabase, match=r"revision 9999.*proxima migrate"):
        async with open_resources(settings):
            pass


async def test_an_empty_database_is_refused(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite+aiosqlite:///{tmp_path / 'new.db'}", artifact_dir=tmp_path)
    with pytest.raises(UnusableDatabase, match="proxima migrate"):
        async with open_resources(settings):
            pass
    migrate(settings)
    async with open_resources(settings):
        pass


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite+aiosqlite://", "names no file"),
        ("sqlite+aiosqlite:///:memory:", "names no file"),
        ("sqlite:///x.db", r"begins with sqlite://; known are sqlite\+aiosqlite"),
        ("mysql://u@h/d", "begins with mysql://"),
        ("nonsense", "is not a URL"),
        ("", "is not a URL"),
        ("postgresql+asyncpg://127.0.0.1:1/x", "out of reach"),
        ("sqlite+aiosqlite:////nowhere/x.db", "there is no folder /nowhere"),
        ("sqlite+aiosqlite:////tmp", "is a folder"),
    ],
)
async def test_unusable_databases_are_refused(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(UnusableDatabase, match=said):
        async with open_resources(Settings(database_url=url, artifact_dir=tmp_path)):
            pass


async def test_nothing_stays_open(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_resources(settings) as resources:
        held: Any = resources
    assert held.engine.pool.checkedout() == 0
    assert held.writing.pool.checkedout() == 0
