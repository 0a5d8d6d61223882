"""What operators see: metrics for Prometheus, one JSON log line a request, and every unexpected error.

Neither names a learner nor shows a secret: requests are told by their route, never by their path.
"""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

import orjson
import structlog
from asgi_correlation_id import correlation_id
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Renderer, problem_of

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics"})


class Metrics:
    """The counters of one app, on a registry of its own, so that two apps in a process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "proxima_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "proxima_request_seconds",
            "Seconds from the first byte in to the last byte out.",
            ("route",),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (method, route, status)
        children = self._children.get(key)
        if children is None:
            children = (self._requests.labels(method, route, str(status)), self._seconds.labels(route))
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that is read when the metrics are."""
        Gauge(f"proxima_{name}", text, registry=self.registry).set_function(value)


class Observer:
    """ASGI middleware, outermost but for the request id: counts, logs, and answers what nobody expected."""

    def __init__(self, app: ASGIApp, metrics: Metrics, render: Renderer | None = None) -> None:
        self.app = app
        self.metrics = metrics
        self.render = render
        self.log = structlog.get_logger("proxima.access")
        self.logs_requests = structlog.is_configured()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            self.log.error("unexpected error", route=route_of(scope), exc_info=error)
            if status:
                raise  # half an answer is out: the server closes the connection
            problem = problem_of(error)
            page = self.render(Request(scope), problem) if self.render else None
            await (page or problem.response())(scope, receive, watch)
        seconds = time.perf_counter() - started
        route = route_of(scope)
        # 499 as nginx has it: the client went away before there was an answer.
        self.metrics.count(scope["method"], route, status or 499, seconds)
        if self.logs_requests and route not in QUIET_ROUTES:
            self.log.info(
                "request",
                method=scope["method"],
                route=route,
                status=status or 499,
                ms=round(seconds * 1e3, 2),
            )


def route_of(scope: Scope) -> str:
    """The route that took a request, such as `/v1/learners/{learner_id}`; `unmatched` when none did."""
    route = scope.get("route")
    return str(getattr(route, "path", "unmatched"))


def add_request_id(_: Any, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Put the request's id on every line that is logged while it is answered."""
    request_id = correlation_id.get()
    if request_id is not None:
        event["request_id"] = request_id
    return event


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Log JSON lines of at least `level` to standard error: those of structlog and of the libraries alike."""
    out = stream or sys.stderr
    least = getattr(logging, level.upper())
    shared: list[structlog.types.Processor] = [
        add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=dump_line)],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.BytesLoggerFactory(out.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=lambda *args, **_: dump_line(*args).decode()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(least)
    logging.getLogger("alembic").setLevel(max(least, logging.WARNING))  # it tells each step of each check
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = name != "uvicorn.access"  # requests are told above, with their route


def dump_line(event: Any, **_: Any) -> bytes:
    """An event as one line of JSON; what JSON does not know is written as text."""
    return orjson.dumps(event, default=str)
