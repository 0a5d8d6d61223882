"""The application as a whole: health, metrics, logs, its description, and that it stays light."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import structlog
from sqlalchemy import Engine, text

from app.main import create_app
from app.observability import configure_logging
from app.settings import Settings
from tests.conftest import bearer
from tests.lifespan import lifespan


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> Settings:
    """SQLite, unless a test asks for both worlds."""
    found = request.getfixturevalue(getattr(request, "param", "sqlite_settings"))
    assert isinstance(found, Settings)
    return found


both_worlds = pytest.mark.parametrize("settings", ["sqlite_settings", "postgres_settings"], indirect=True)


@both_worlds
async def test_a_healthy_server(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/livez")).json() == {"status": "ok"}
    ready = (await client.get("/readyz")).json()
    version = (await client.get("/version")).json()
    assert ready == {"status": "ok", "database": "ok", "revision": version["revision"], "cache": "ok"}


async def test_a_server_without_its_cache_is_ready_but_degraded(sqlite_settings: Settings) -> None:
    settings = sqlite_settings.model_copy(update={"cache_url": "redis://127.0.0.1:1/0"})
    async with (
        lifespan(create_app(settings)) as running,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(running), base_url="http://proxima.test") as client,
    ):
        answer = await client.get("/readyz")
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["cache"]) == ("degraded", "degraded")
        assert "proxima_cache_degraded 1.0" in (await client.get("/metrics")).text


@both_worlds
async def test_a_server_on_tables_of_another_revision_is_not_ready(
    client: httpx2.AsyncClient, sync_engine: Engine
) -> None:
    with sync_engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "not migrated"
    assert (await client.get("/livez")).status_code == 200


async def test_a_server_that_lost_its_database_is_not_ready(
    postgres_settings: Settings, postgres_server: Any
) -> None:
    name = postgres_settings.database_url.rsplit("/", 1)[1]
    async with (
        lifespan(create_app(postgres_settings)) as running,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(running), base_url="http://proxima.test") as client,
    ):
        assert (await client.get("/readyz")).status_code == 200
        postgres_server.drop(name)
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["database"]) == (503, "unreachable")
        assert (await client.get("/livez")).status_code == 200
        refused = await client.get("/v1/classes", headers=bearer("pxk_any"))
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")


async def test_metrics_name_routes_and_never_learners(
    client: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    for number in (1, 2):
        await client.get(f"/v1/classes/{number}/dashboard", headers=bearer(keys["teacher"]))
    await client.get("/v1/learners/demo/u1/surprise/Ada")
    await client.get("/wp-login.php")
    lines = (await client.get("/metrics")).text.splitlines()
    counted = 'proxima_requests_total{method="GET",route="/v1/classes/{class_id}/dashboard",status="404"} 2.0'
    assert counted in lines
    assert "proxima_writer_waiting 0.0" in lines
    assert not [line for line in lines if "Ada" in line or "wp-login" in line]
    assert [line for line in lines if line.startswith("proxima_request_seconds_bucket")]


async def test_two_apps_in_a_process_count_apart(sqlite_settings: Settings) -> None:
    one, two = create_app(sqlite_settings), create_app(sqlite_settings)
    one.state.metrics.count("GET", "/livez", 200, 0.001)
    assert (
        one.state.metrics.registry.get_sample_value("proxima_request_seconds_count", {"route": "/livez"}) == 1
    )
    assert (
        two.state.metrics.registry.get_sample_value("proxima_request_seconds_count", {"route": "/livez"})
        is None
    )


@pytest.fixture
def log() -> Iterator[io.TextIOWrapper]:
    """Logging as a server has it, into memory; put back afterwards."""
    root = logging.getLogger()
    before = (root.handlers, root.level, structlog.get_config(), structlog.is_configured())
    stream = io.TextIOWrapper(io.BytesIO(), write_through=True)
    configure_logging("info", stream)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # the client's own lines
    yield stream
    root.handlers, root.level = before[0], before[1]
    structlog.configure(**before[2]) if before[3] else structlog.reset_defaults()


def lines_of(log: io.TextIOWrapper) -> list[dict[str, Any]]:
    """What was logged."""
    assert isinstance(log.buffer, io.BytesIO)
    return [json.loads(line) for line in log.buffer.getvalue().splitlines()]


async def test_a_request_is_one_line_without_names_or_secrets(
    log: io.TextIOWrapper, client: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    body = {"learner": "demo/lovelace"}
    minted = await client.post("/v1/tokens", json=body, headers=bearer(keys["frontend"]))
    answer = await client.get("/v1/classes/7777777/dashboard?at=1", headers=bearer(keys["teacher"]))
    await client.get("/readyz")
    requests = [line for line in lines_of(log) if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in requests] == [
        ("POST", "/v1/tokens", 201),
        ("GET", "/v1/classes/{class_id}/dashboard", 404),
    ]
    assert requests[1]["request_id"] == answer.headers["x-request-id"]
    assert requests[1]["ms"] >= 0
    written = json.dumps(lines_of(log))
    for secret in (*keys.values(), minted.json()["token"], "lovelace", "7777777"):
        assert secret not in written


async def test_libraries_log_the_same_lines(log: io.TextIOWrapper) -> None:
    logging.getLogger("uvicorn.error").warning("port %d is in use", 8000)
    logging.getLogger("uvicorn.access").info("GET /v1/learners/demo/lovelace")
    logging.getLogger("x").info("quiet enough")
    logging.getLogger("x").debug("too quiet")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("x").exception("it broke")
    found = lines_of(log)
    assert [(line["level"], line["event"]) for line in found] == [
        ("warning", "port 8000 is in use"),
        ("info", "quiet enough"),
        ("error", "it broke"),
    ]
    assert "ValueError: why" in found[2]["exception"]
    assert all(line["timestamp"].endswith("Z") for line in found)


async def test_the_api_is_described(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert document["servers"]
    names = [
        operation["operationId"] for methods in document["paths"].values() for operation in methods.values()
    ]
    assert len(names) == len(set(names))
    assert {
        "create_token",
        "list_classes",
        "read_class_dashboard",
        "livez",
        "readyz",
        "metrics",
        "version",
    } <= set(names)
    described = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            assert set(operation["tags"]) <= described, where
            assert ("security" in operation) == path.startswith("/v1/"), where
            assert "HTTPValidationError" not in json.dumps(operation), where
            assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}, where
    assert set(references(document)) <= set(components(document))


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for held in part.values():
            yield from references(held)
    elif isinstance(part, list):
        for held in part:
            yield from references(held)


def components(document: dict[str, Any]) -> Iterator[str]:
    """What `$ref` may name."""
    for kind, named in document["components"].items():
        for name in named:
            yield f"#/components/{kind}/{name}"


async def test_pages_are_not_part_of_the_api(client: httpx2.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert not {"/", "/sign-in", "/classes", "/classes/{class_id}"} & set(paths)
    assert (await client.get("/docs")).status_code == 404


async def test_a_server_that_cannot_start_says_why(sqlite_settings: Settings) -> None:
    settings = sqlite_settings.model_copy(update={"database_url": "sqlite+aiosqlite:////nowhere/x.db"})
    with pytest.raises(Exception, match="there is no folder"):
        async with lifespan(create_app(settings)):
            pass
