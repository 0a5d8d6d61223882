"""create_app: the server as an ASGI application, from routers, the shape of errors, and middleware."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import APIRouter, FastAPI

from app import classes, contents, fits, health, interactions, learners, pages, tokens
from app.auth import Callers
from app.errors import handle_errors
from app.json_guard import InputGuard
from app.observability import Metrics, Observer, configure_logging
from app.openapi import describe, operation_id
from app.resources import open_resources
from app.settings import Settings

# Routes are tried in this order, at about 3 µs each: what is asked most comes first.
ROUTERS: tuple[APIRouter, ...] = (
    interactions.router,
    learners.router,
    contents.router,
    tokens.router,
    classes.router,
    fits.router,
    health.router,
    pages.router,
)


def create_app(settings: Settings) -> FastAPI:
    """The server for `settings`. Nothing is opened before the lifespan starts."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings) as resources:
            app.state.resources = resources
            app.state.callers = Callers(resources.engine, resources.writing, resources.signer)
            metrics.gauge(
                "writer_waiting", "Events queued or being written.", lambda: resources.writer.waiting
            )
            metrics.gauge("cache_degraded", "1 without the cache, else 0.", lambda: resources.cache.degraded)
            yield

    # No /docs page: FastAPI's loads its script from another server.
    app = FastAPI(
        title="Proxima",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
    )
    app.state.metrics = metrics
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", pages.static, name="static")
    describe(app)
    handle_errors(app, pages.error_page)
    # The last one added is the first to see a request.
    app.add_middleware(InputGuard, body_limit=settings.body_limit, depth_limit=settings.json_depth_limit)
    app.add_middleware(Observer, metrics=metrics, render=pages.error_page)
    app.add_middleware(CorrelationIdMiddleware, update_request_header=False)
    return app


def collect_rarely() -> None:
    """Let the garbage collector look at what requests leave behind, and seldom.

    Each of its full passes over all that was loaded at the start costs as much as a hundred requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def app_from_environment() -> FastAPI:
    """The server for the environment's settings, with logging: what each process of `proxima serve` runs."""
    settings = Settings()
    configure_logging(settings.log_level)
    app = create_app(settings)
    collect_rarely()
    return app
