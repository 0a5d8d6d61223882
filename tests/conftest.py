"""Fixtures: both worlds (SQLite and memory:, PostgreSQL and Redis), each test with a database of its own.

Nothing starts until a test asks for it. `settings` runs a test in both worlds, `sqlite_settings` and
`postgres_settings` in one. On `settings` stand `sync_engine`, `engine`, `cache`, `app`, `client`, `tenant`
and `keys`.
"""

import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import hypothesis
import pytest
import redis
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session

from app.cache import Cache, open_cache
from app.credentials import ROLES, create_key, find_tenant
from app.database import open_async_engines, open_engine
from app.migrate import migrate
from app.settings import Settings
from tests.lifespan import lifespan
from tests.servers import Postgres, running_postgres, running_redis

# No deadlines: machines are shared. `make verify` looks further, with new examples each time.
hypothesis.settings.register_profile("test", deadline=None, derandomize=True)
hypothesis.settings.register_profile("verify", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("test")

seconds_spent = {"fast": 0.0, "slow": 0.0}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come last, in whatever order; GPU tests are skipped aloud where there is no CUDA device."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
    needing_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not needing_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        for item in needing_gpu:
            item.add_marker(pytest.mark.skip(reason="not measured: no CUDA device on this machine"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the time of the fast and of the slow part."""
    seconds_spent["slow" if "slow" in report.keywords else "fast"] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long either part took."""
    terminalreporter.write_line(
        f"time in tests: fast part {seconds_spent['fast']:.0f} s (at most 300), "
        f"slow part {seconds_spent['slow']:.0f} s (both at most 1200)"
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis server."""
    with running_redis() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Postgres) -> Iterator[str]:
    """The name of a migrated database without rows, to copy."""
    name = f"proxima_test_template_{secrets.token_hex(4)}"
    postgres_server.create(name)
    migrate(Settings(database_url=postgres_server.database_url(name)))
    yield name
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file without rows, to copy."""
    path = tmp_path_factory.mktemp("template") / "proxima.db"
    migrate(Settings(database_url=f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
def postgres_url(postgres_server: Postgres, postgres_template: str) -> Iterator[str]:
    """The URL (asyncpg) of a migrated database of this test's own."""
    name = f"proxima_test_{secrets.token_hex(6)}"
    postgres_server.create(name, template=postgres_template)
    yield postgres_server.database_url(name)
    postgres_server.drop(name)


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """The URL of a Redis that is empty at the test's start and is emptied at its end."""
    yield redis_server
    with redis.Redis.from_url(redis_server) as connection:
        connection.flushdb()


@pytest.fixture
def sqlite_settings(tmp_path: Path, sqlite_template: Path) -> Settings:
    """The embedded world: a SQLite file and the in-process cache."""
    shutil.copyfile(sqlite_template, tmp_path / "proxima.db")
    return Settings(
        database_url=f"sqlite+aiosqlite:///{tmp_path / 'proxima.db'}",
        cache_url="memory:",
        artifact_dir=tmp_path / "artifacts",
        device="cpu",
        port=0,
    )


@pytest.fixture
def postgres_settings(tmp_path: Path, postgres_url: str, redis_url: str) -> Settings:
    """The production world: PostgreSQL and Redis."""
    return Settings(
        database_url=postgres_url,
        cache_url=redis_url,
        artifact_dir=tmp_path / "artifacts",
        device="cpu",
        port=0,
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Both worlds, one after the other."""
    world = "sqlite_settings" if request.param == "sqlite" else "postgres_settings"
    chosen = request.getfixturevalue(world)
    assert isinstance(chosen, Settings)
    return chosen


@pytest.fixture
def sync_engine(settings: Settings) -> Iterator[sqlalchemy.Engine]:
    """A blocking engine on the test's database."""
    engine = open_engine(settings)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_engine(sqlite_settings: Settings) -> Iterator[sqlalchemy.Engine]:
    """A blocking engine on an SQLite file, for what does not hang on the database."""
    engine = open_engine(sqlite_settings)
    yield engine
    engine.dispose()


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The server's engine for reading, on the test's database."""
    reading, writing = open_async_engines(settings)
    yield reading
    await reading.dispose()
    await writing.dispose()


@pytest.fixture
async def cache(settings: Settings) -> AsyncIterator[Cache]:
    """The cache that the settings choose."""
    cache = open_cache(settings.cache_url)
    yield cache
    await cache.close()


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Any]:
    """The application after its startup; its shutdown follows the test."""
    from app.main import create_app

    async with lifespan(create_app(settings)) as running:
        yield running


@pytest.fixture
async def client(app: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of the application, without credentials: pass `headers=bearer(keys["frontend"])`."""
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://proxima.test"
    ) as client:
        yield client


@pytest.fixture
def tenant(sync_engine: sqlalchemy.Engine) -> int:
    """The id of a school."""
    with Session(sync_engine) as session:
        tenant_id = find_tenant(session, "school", make=True)
        session.commit()
        return tenant_id


@pytest.fixture
def keys(sync_engine: sqlalchemy.Engine, tenant: int) -> dict[str, str]:
    """The secret of a key of the school for each role: admin, teacher, frontend."""
    with Session(sync_engine) as session:
        made = {role: create_key(session, tenant, role, name=role).secret for role in ROLES}
        session.commit()
        return made


def bearer(token: str) -> dict[str, str]:
    """The header that carries a key or a learner's token."""
    return {"Authorization": f"Bearer {token}"}
