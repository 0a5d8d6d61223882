"""What a server holds open, and the only place where a URL picks an adapter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cache import Cache, open_cache
from app.database import UnusableDatabase, check_durable, open_async_engines, open_engine
from app.migrate import current_revision, head_revision
from app.registry import Registry
from app.replay import Refilterer
from app.settings import Settings
from app.signing import Signer, open_signer
from app.writer import InteractionWriter

__all__ = ["Resources", "open_engine", "open_resources", "resources_of"]


@dataclass(frozen=True)
class Resources:
    """What a server holds open.

    `engine` is for reading; `writing` for administrative writes (on SQLite it is the one connection that
    writes: hold it for a transaction, not for longer).
    """

    settings: Settings
    engine: AsyncEngine
    writing: AsyncEngine
    cache: Cache
    signer: Signer
    registry: Registry
    writer: InteractionWriter


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Resources for the time of a `with` block.

    Raises UnusableDatabase, UnusableCache or UnusableSecret when the server could not do its work.
    """
    signer = open_signer(settings)
    cache = open_cache(settings.cache_url)
    reading, writing = open_async_engines(settings)
    blocking = open_engine(settings)  # for replays in a thread; connects when one is due
    registry = Registry(settings.artifact_dir, reading)
    writer = InteractionWriter(
        reading,
        writing,
        registry,
        refilter=Refilterer(blocking, settings.artifact_dir),
        clock_skew_limit=settings.clock_skew_limit,
        queue_limit=settings.writer_queue_limit,
    )
    try:
        await check_database(writing)
        await writer.start()
        yield Resources(
            settings=settings,
            engine=reading,
            writing=writing,
            cache=cache,
            signer=signer,
            registry=registry,
            writer=writer,
        )
    finally:
        await writer.close()
        blocking.dispose()
        await cache.close()
        await writing.dispose()
        await reading.dispose()


async def check_database(engine: AsyncEngine) -> None:
    """Raise UnusableDatabase unless it is within reach, durable and at the newest revision."""
    try:
        async with engine.connect() as connection:
            await connection.run_sync(check_durable)
            found = await connection.run_sync(current_revision)
    except (DBAPIError, OSError) as error:
        reason = str(getattr(error, "orig", error)).strip()
        raise UnusableDatabase(f"the database is out of reach: {reason}") from error
    if found != head_revision():
        raise UnusableDatabase(
            f"the database is at revision {found or 'none'}, this version needs {head_revision()}: "
            "run `proxima migrate`"
        )


def resources_of(request: Request) -> Resources:
    """The resources of the app that got a request."""
    resources: Resources = request.app.state.resources
    return resources
