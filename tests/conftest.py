"""Fixtures: both worlds (SQLite and memory:, PostgreSQL and Redis), each test with a database of its own.

Nothing starts until a test asks for it. `settings` runs a test in both worlds, `sqlite_settings` and
`postgres_settings` in one. On `settings` stand `sync_engine`, `engine`, `cache`, `app`, `client`, `tenant`
and `keys`.
"""

import hashlib
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
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import Session

from app.settings import Settings
from app.tables import ApiKey, Tenant
from tests.lifespan import lifespan
from tests.servers import Postgres, running_postgres, running_redis

ROOT = Path(__file__).resolve().parent.parent
ROLES = ("admin", "teacher", "frontend")

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


def migrate(sync_url: str) -> None:
    """Bring an empty database to the newest revision."""
    engine = sqlalchemy.create_engine(sync_url, poolclass=sqlalchemy.NullPool)
    config = Config(toml_file=ROOT / "pyproject.toml")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    engine.dispose()


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
    migrate(postgres_server.database_url(name, driver="psycopg"))
    yield name
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file without rows, to copy."""
    path = tmp_path_factory.mktemp("template") / "proxima.db"
    migrate(f"sqlite:///{path}")
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
    engine = sqlalchemy.create_engine(settings.sync_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An async engine on the test's database."""
    engine = create_async_engine(settings.database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def cache(settings: Settings) -> AsyncIterator[Any]:
    """The cache that the settings choose."""
    from app.cache import open_cache

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
        school = Tenant(name="school")
        session.add(school)
        session.commit()
        assert school.id is not None
        return school.id


@pytest.fixture
def keys(sync_engine: sqlalchemy.Engine, tenant: int) -> dict[str, str]:
    """A key of the school for each role: admin, teacher, frontend."""
    tokens = {role: f"pxk_{secrets.token_urlsafe(32)}" for role in ROLES}
    with Session(sync_engine) as session:
        for role, token in tokens.items():
            digest = hashlib.sha256(token.encode()).digest()
            session.add(ApiKey(tenant_id=tenant, name=role, role=role, digest=digest))
        session.commit()
    return tokens


def bearer(token: str) -> dict[str, str]:
    """The header that carries a key or a learner's token."""
    return {"Authorization": f"Bearer {token}"}
