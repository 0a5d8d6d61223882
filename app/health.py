"""Whether the server lives, whether it should get requests, what it counts, and which version it is."""

import asyncio
from functools import cache
from importlib.metadata import version
from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.migrate import current_revision, head_revision
from app.resources import Resources, resources_of

router = APIRouter(tags=["operations"])
PATIENCE_S = 2.0


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether requests can be served: `degraded` means yes, without the cache."""

    status: Literal["ok", "degraded", "unavailable"]
    database: Literal["ok", "unreachable", "not migrated"]
    revision: str | None
    cache: Literal["ok", "degraded"]


class Version(BaseModel):
    """The running version and the newest revision of tables it knows."""

    version: str
    revision: str


@cache
def program_version() -> str:
    """The version of the installed package."""
    return version("proxima")


@router.get("/livez", operation_id="livez", summary="Is the process alive?")
async def livez() -> Alive:
    """Answers as long as the process does; restart the process when it does not."""
    return Alive()


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Should it get requests?",
    responses={503: {"model": Ready, "description": "The database is out of reach or not migrated."}},
)
async def readyz(request: Request, response: Response) -> Ready:
    """503 while the database is out of reach or not migrated; `degraded` without the cache is ready."""
    resources = resources_of(request)
    database, revision = await database_state(resources)
    cache_state: Literal["ok", "degraded"] = "ok" if await resources.cache.ping() else "degraded"
    if database != "ok":
        response.status_code = 503
        return Ready(status="unavailable", database=database, revision=revision, cache=cache_state)
    return Ready(status=cache_state, database=database, revision=revision, cache=cache_state)


async def database_state(
    resources: Resources,
) -> tuple[Literal["ok", "unreachable", "not migrated"], str | None]:
    """(state, revision) of the database, within `PATIENCE_S` seconds."""
    try:
        async with asyncio.timeout(PATIENCE_S), resources.engine.connect() as connection:
            revision = await connection.run_sync(current_revision)
    except (DBAPIError, SQLAlchemyError, OSError, TimeoutError):
        return "unreachable", None
    return ("ok" if revision == newest_revision() else "not migrated"), revision


@cache
def newest_revision() -> str:
    """The newest revision this version knows, read once."""
    return head_revision()


@router.get("/metrics", operation_id="metrics", summary="Counters for Prometheus", response_class=Response)
async def metrics(request: Request) -> Response:
    """Text for Prometheus. Meant for the inner network: see docs/operations.md."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/version", operation_id="version", summary="Which version is it?")
async def version_of_server() -> Version:
    """The version of the program and the revision of the tables it needs."""
    return Version(version=program_version(), revision=newest_revision())
