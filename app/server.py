"""`proxima serve`: processes that answer HTTP."""

import asyncio

import uvicorn

from app.database import UnusableDatabase
from app.main import collect_rarely, create_app
from app.migrate import migrate
from app.observability import configure_logging
from app.resources import open_resources
from app.settings import Settings

GRACE_S = 20
"""How long requests in flight may take after the server was asked to stop."""


def check_processes(settings: Settings, processes: int) -> None:
    """Raise UnusableDatabase where several processes would get in each other's way."""
    if processes == 1:
        return
    if settings.is_sqlite:
        raise UnusableDatabase(
            f"{processes} processes cannot share SQLite: it has one writer, and two servers would wait for "
            "each other; use PostgreSQL (PROXIMA_DATABASE_URL) or one process"
        )
    if settings.cache_url == "memory:":
        raise UnusableDatabase(
            f"{processes} processes cannot share PROXIMA_CACHE_URL=memory:, each would keep its own truth; "
            "use redis:// or one process"
        )


async def try_resources(settings: Settings) -> None:
    """Open everything once, so that what is wrong is told in one line before a server starts."""
    async with open_resources(settings):
        pass


def run(settings: Settings, processes: int = 1) -> None:
    """Serve until interrupted."""
    configure_logging(settings.log_level)
    check_processes(settings, processes)
    if settings.is_sqlite:
        migrate(settings)
    asyncio.run(try_resources(settings))
    options = {
        "host": settings.host,
        "port": settings.port,
        "loop": "uvloop",
        "http": "httptools",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE_S,
    }
    if processes == 1:
        app = create_app(settings)
        collect_rarely()
        uvicorn.run(app, **options)  # type: ignore[arg-type]
    else:
        uvicorn.run("app.main:app_from_environment", factory=True, workers=processes, **options)  # type: ignore[arg-type]
