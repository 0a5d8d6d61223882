"""The servers that every other test stands on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from app.tables import Tenant
from tests import servers
from tests.servers import NoServer, Postgres, redis_binary, running_postgres, running_redis

ROOT = Path(__file__).resolve().parent.parent


def test_every_test_has_an_empty_migrated_database(sync_engine: sqlalchemy.Engine, tenant: int) -> None:
    with sync_engine.connect() as connection:
        assert connection.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(Tenant)) == 1
        assert connection.scalar(sqlalchemy.text("SELECT version_num FROM alembic_version"))


async def test_async_engine_reaches_the_same_rows(
    engine: AsyncEngine, tenant: int, settings: Settings
) -> None:
    async with engine.connect() as connection:
        assert (await connection.execute(sqlalchemy.select(Tenant.id))).scalar_one() == tenant
        assert connection.dialect.name == ("sqlite" if settings.is_sqlite else "postgresql")


def test_commits_wait_for_the_disk_as_in_production(postgres_settings: Settings) -> None:
    engine = sqlalchemy.create_engine(postgres_settings.sync_database_url)
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SHOW synchronous_commit")) == "on"
    engine.dispose()


def test_two_databases_of_one_server_are_apart(postgres_server: Postgres, postgres_template: str) -> None:
    postgres_server.create("proxima_test_apart", template=postgres_template)
    try:
        url = postgres_server.database_url("proxima_test_apart", driver="psycopg")
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT current_database()")) == "proxima_test_apart"
        engine.dispose()
    finally:
        postgres_server.drop("proxima_test_apart")


def test_a_given_redis_with_keys_is_refused(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with redis.Redis.from_url(redis_url) as connection:
        connection.set("somebody", "else's")
    monkeypatch.setenv("PROXIMA_TEST_REDIS_URL", redis_url)
    with pytest.raises(NoServer, match="holds 1 keys"), running_redis():
        pass


def test_without_any_redis_the_failure_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers.shutil, "which", lambda name: None)
    monkeypatch.setattr(servers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoServer, match="make install"):
        redis_binary()


def test_wheels_serve_where_the_system_has_no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROXIMA_TEST_POSTGRES_URL", "PROXIMA_TEST_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(servers.shutil, "which", lambda name: None)
    monkeypatch.setattr(servers.Path, "glob", without_system_servers(Path.glob))
    with running_postgres() as server:
        server.execute("SELECT 1")
    with running_redis() as url:
        servers.answers_ping(url)


def without_system_servers(glob):  # type: ignore[no-untyped-def]
    """Path.glob for a machine on which nothing lies in /usr/lib/postgresql."""
    return lambda path, pattern: iter(()) if path == Path("/usr/lib/postgresql") else glob(path, pattern)


def test_a_server_ends_with_killed_tests(tmp_path: Path) -> None:
    """A test run that is killed leaves no server behind."""
    program = (
        "import os, signal; from tests.servers import running_redis\n"
        "with running_redis() as url: print(url, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert run.returncode == -signal.SIGKILL
    time.sleep(0.5)
    with pytest.raises(redis.ConnectionError):
        servers.answers_ping(run.stdout.strip())
