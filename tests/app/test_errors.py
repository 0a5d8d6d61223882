"""One shape of an error, on every route.

{"type": "urn:proxima:problem:CODE", "title", "status", "code", "detail", "errors": [...], "request_id"}
"""

import asyncio
import socket
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from app.errors import CODES, LIBRARY_ERRORS, MEDIA_TYPE, ApiError, Problem, pointer, problem_of
from tests.conftest import bearer
from tracing.errors import TimeReversed

FIELDS = {"type", "title", "status", "code", "detail", "errors", "request_id"}


def is_problem(answer: httpx2.Response) -> dict[str, Any]:
    """The document of an answer that must be a problem."""
    assert answer.headers["content-type"] == MEDIA_TYPE
    document: dict[str, Any] = answer.json()
    assert set(document) == FIELDS
    assert document["status"] == answer.status_code
    assert document["type"] == f"urn:proxima:problem:{document['code']}"
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == answer.headers["x-request-id"]
    for error in document["errors"]:
        assert {"pointer", "code", "detail"} <= set(error)
    return document


def with_state(sqlstate: str) -> Exception:
    """What PostgreSQL's driver raises."""
    error = Exception("from PostgreSQL")
    error.sqlstate = sqlstate  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ApiError(409, "event_conflict", "other body"), 409, "event_conflict"),
        (HTTPException(404), 404, "not_found"),
        (HTTPException(405), 405, "method_not_allowed"),
        (HTTPException(418), 418, "bad_request"),
        (TimeReversed("the event lies before the state"), 409, "time_reversed"),
        (OperationalError("select", {}, Exception("database is locked")), 503, "unavailable"),
        (DBAPIError(None, None, Exception("the database system is starting up")), 503, "unavailable"),
        (DBAPIError("select", {}, with_state("40P01")), 503, "unavailable"),
        (DBAPIError("select", {}, with_state("57P01")), 503, "unavailable"),
        (DBAPIError("select", {}, with_state("42703")), 500, "internal"),
        (PoolTimeout(), 503, "unavailable"),
        (ConnectionRefusedError(), 503, "unavailable"),
        (socket.gaierror(), 503, "unavailable"),
        (OSError("Multiple exceptions: [Errno 111]"), 503, "unavailable"),
        (FileNotFoundError(2, "No such file", "/secret/path"), 500, "internal"),
        (IntegrityError("insert", {}, Exception("UNIQUE")), 409, "conflict"),
        (KeyError("secret"), 500, "internal"),
    ],
    ids=repr,
)
def test_errors_and_their_codes(error: Exception, status: int, code: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
    assert "secret" not in problem.detail


def test_codes_are_stable() -> None:
    """Programs branch on them: a code may be added here, none may change or go."""
    assert {code: status for code, (status, _) in CODES.items()} == {
        "bad_json": 400,
        "bad_request": 400,
        "unauthenticated": 401,
        "forbidden": 403,
        "not_found": 404,
        "method_not_allowed": 405,
        "conflict": 409,
        "time_reversed": 409,
        "too_large": 413,
        "unsupported_media_type": 415,
        "invalid": 422,
        "too_many_requests": 429,
        "internal": 500,
        "unavailable": 503,
    }
    assert set(LIBRARY_ERRORS.values()) <= set(CODES)


def test_pointers() -> None:
    assert pointer(()) == ""
    assert pointer(("events", 3, "a/b~c", "")) == "/events/3/a~1b~0c/"


def test_an_unknown_code_is_titled_by_its_status() -> None:
    assert Problem(409, "event_conflict", "x").title == "Conflict"


async def test_every_fault_of_a_body_has_its_place(client: httpx2.AsyncClient, keys: dict[str, str]) -> None:
    body = {"learner": 5, "tenant": "other", "role": "admin"}
    answer = await client.post("/v1/tokens", json=body, headers=bearer(keys["frontend"]))
    assert answer.status_code == 422
    document = is_problem(answer)
    assert document["code"] == "invalid"
    places = {(error["in"], error["pointer"], error["code"]) for error in document["errors"]}
    assert places == {
        ("body", "/learner", "string_type"),
        ("body", "/tenant", "unknown_field"),
        ("body", "/role", "unknown_field"),
    }


async def test_given_values_are_not_repeated(client: httpx2.AsyncClient, keys: dict[str, str]) -> None:
    answer = await client.post(
        "/v1/tokens", json={"learner": ["Ada Lovelace"]}, headers=bearer(keys["frontend"])
    )
    is_problem(answer)
    assert "Ada" not in answer.text


async def test_bad_json_is_400(client: httpx2.AsyncClient, keys: dict[str, str]) -> None:
    headers = {**bearer(keys["frontend"]), "Content-Type": "application/json"}
    for body in (b"{", b"\xff", b'{"learner": "\\ud800"}', b'{"learner": "\\u0000"}', b"[" * 999):
        answer = await client.post("/v1/tokens", content=body, headers=headers)
        assert answer.status_code == 400
        assert is_problem(answer)["code"] == "bad_json"


async def test_a_body_over_the_limit_is_413(client: httpx2.AsyncClient, keys: dict[str, str]) -> None:
    answer = await client.post(
        "/v1/tokens", json={"learner": "x" * 2_000_000}, headers=bearer(keys["frontend"])
    )
    assert answer.status_code == 413
    assert is_problem(answer)["code"] == "too_large"


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    """(method, path with something in each parameter) of every operation."""
    found = []
    for path, methods in document["paths"].items():
        filled = path
        for part in ("{class_id}", "{fit_id}", "{course_id}"):
            filled = filled.replace(part, "99999")
        while "{" in filled:
            filled = filled[: filled.index("{")] + "nobody" + filled[filled.index("}") + 1 :]
        found += [(method.upper(), filled) for method in methods]
    return found


async def test_every_route_answers_with_problems(client: httpx2.AsyncClient, keys: dict[str, str]) -> None:
    document = (await client.get("/openapi.json")).json()
    for method, path in operations(document):
        is_problem(await client.request("TRACE", path))
        if not path.startswith("/v1/"):
            continue
        anonymous = await client.request(method, path)
        assert anonymous.status_code == 401, (method, path)
        is_problem(anonymous)
        for body in (b"[]", b'{"surprise": 1}', b"{", b'"\\u0000"', b"1"):
            headers = {**bearer(keys["admin"]), "Content-Type": "application/json"}
            answer = await client.request(method, path, content=body, headers=headers)
            assert answer.status_code < 500, (method, path, body, answer.text)
            if answer.status_code >= 400:
                is_problem(answer)
    is_problem(await client.get("/v1/there/is/no/such/path"))


async def test_query_and_path_parameters_are_checked(
    client: httpx2.AsyncClient, keys: dict[str, str]
) -> None:
    for path, place, where in (
        ("/v1/classes/x/dashboard", "path", "/class_id"),
        ("/v1/classes/99999999999999999999/dashboard", "path", "/class_id"),
        ("/v1/classes/1/dashboard?at=soon", "query", "/at"),
        ("/v1/classes/1/dashboard?at=-1", "query", "/at"),
    ):
        answer = await client.get(path, headers=bearer(keys["teacher"]))
        assert answer.status_code == 422
        error = is_problem(answer)["errors"][0]
        assert (error["in"], error["pointer"]) == (place, where)


@pytest.fixture
async def broken(app: Any, client: httpx2.AsyncClient, request: pytest.FixtureRequest) -> httpx2.AsyncClient:
    """The client of an app with a route that fails as `request.param` says."""
    inner = find_app(app)

    async def fail() -> None:
        raise request.param

    inner.add_api_route("/v1/broken", fail)
    inner.router.routes.insert(0, inner.router.routes.pop())
    return client


def find_app(wrapped: Any) -> FastAPI:
    """The FastAPI behind the fixture's wrapper."""
    found = next(
        cell.cell_contents for cell in wrapped.__closure__ if isinstance(cell.cell_contents, FastAPI)
    )
    assert isinstance(found, FastAPI)
    return found


@pytest.mark.parametrize("broken", [RuntimeError("the password is hunter2")], indirect=True)
async def test_an_unexpected_error_tells_nothing(
    broken: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await broken.get("/v1/broken")
    assert answer.status_code == 500
    assert is_problem(answer)["code"] == "internal"
    assert "hunter2" not in answer.text
    assert "hunter2" in capsys.readouterr().out


@pytest.mark.parametrize("broken", [ConnectionRefusedError(111, "refused")], indirect=True)
async def test_a_lost_database_may_be_asked_again(broken: httpx2.AsyncClient) -> None:
    answer = await broken.get("/v1/broken")
    assert answer.status_code == 503
    assert is_problem(answer)["code"] == "unavailable"
    assert answer.headers["retry-after"] == "1"


async def test_request_ids_are_taken_from_the_caller(client: httpx2.AsyncClient) -> None:
    given = "0d305b2bf59b48e486c572323c13dd94"
    answers = await asyncio.gather(
        client.get("/v1/nothing", headers={"X-Request-ID": given}),
        client.get("/v1/nothing"),
        client.get("/v1/nothing", headers={"X-Request-ID": "<script>"}),
    )
    ids = [is_problem(answer)["request_id"] for answer in answers]
    assert ids[0] == given
    assert len(set(ids)) == 3
    assert "<script>" not in ids
