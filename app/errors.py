"""The one shape of an error on the wire: application/problem+json (RFC 9457).

    {"type": "urn:proxima:problem:invalid", "title": ..., "status": 422, "code": "invalid", "detail": ...,
     "errors": [{"in": "body", "pointer": "/timestamp", "code": "missing", "detail": ...}], "request_id": ...}

Where a problem comes from:

    ApiError                    raised by the app itself, with its code
    RequestValidationError      FastAPI: a body, query or path that is not what the operation takes
    HTTPException               Starlette: no such path or method
    SQLAlchemyError, OSError    the database is out of reach, or a row was written meanwhile
    errors of the libraries     see LIBRARY_ERRORS
    anything else               500 `internal`: logged in full, told to nobody

`code` is stable: programs may branch on it; titles and details are for people and may change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from asgi_correlation_id import correlation_id
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tracing.errors import TimeReversed

CODES: dict[str, tuple[int, str]] = {
    "bad_json": (400, "The body is not acceptable JSON"),
    "bad_request": (400, "The request cannot be understood"),
    "unauthenticated": (401, "Credentials are needed"),
    "forbidden": (403, "Not allowed"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "Method not allowed"),
    "conflict": (409, "Conflict"),
    "time_reversed": (409, "Time runs backwards"),
    "too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "Unsupported media type"),
    "invalid": (422, "The request is not valid"),
    "too_many_requests": (429, "Too many requests"),
    "internal": (500, "Something went wrong here"),
    "unavailable": (503, "Temporarily unavailable"),
}
"""Every general code with its status and title. A trip adds its own by `ApiError(status, code, ...)`."""

LIBRARY_ERRORS: dict[type[Exception], str] = {TimeReversed: "time_reversed"}
"""Errors of the libraries that a request can cause, and the code each is told by."""

CODE_OF_STATUS = {status: code for code, (status, _) in reversed(CODES.items())} | {409: "conflict"}
TRANSIENT_STATES = ("08", "40", "53", "57P")
"""Classes of SQLSTATE: connection, transaction rolled back, insufficient resources, shutdown."""
RETRY_AFTER_S = 1
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """What is told about an error. `errors` holds {pointer, code, detail}, each about one place."""

    status: int
    code: str
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The same short text for every problem of one code."""
        known = CODES.get(self.code)
        return known[1] if known else HTTPStatus(self.status).phrase

    def body(self) -> dict[str, Any]:
        """The document of RFC 9457."""
        return {
            "type": f"urn:proxima:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "errors": [dict(error) for error in self.errors],
            "request_id": correlation_id.get(),
        }

    def response(self) -> Response:
        """The problem as an HTTP response."""
        return Response(orjson.dumps(self.body()), self.status, dict(self.headers), media_type=MEDIA_TYPE)


class ApiError(Exception):
    """A request that cannot be answered as asked.

    `errors` holds `{pointer, code, detail}` for each place at fault, `pointer` being a JSON pointer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.problem = Problem(status, code, detail, errors, headers or {})


def pointer(parts: Sequence[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a place given as keys and indices.

    >>> pointer(("answers", 0, "a/b"))
    '/answers/0/a~1b'
    """
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def problem_of(error: Exception) -> Problem:
    """What is told about an error; the text of an unexpected one stays here."""
    match error:
        case ApiError():
            return error.problem
        case RequestValidationError():
            return invalid_request(error)
        case HTTPException():
            return http_problem(error)
        case IntegrityError():
            return Problem(409, "conflict", "It conflicts with what was written meanwhile; read it again.")
        case OperationalError() | InterfaceError() | PoolTimeout():
            return unavailable()
        case OSError() if error.filename is None:  # a connection; a missing file has its name
            return unavailable()
        case DBAPIError() if was_refused(error):
            return unavailable()
    for kind, code in LIBRARY_ERRORS.items():
        if isinstance(error, kind):
            return Problem(CODES[code][0], code, str(error))
    return Problem(500, "internal", "The error was logged under this request_id.")


def was_refused(error: DBAPIError) -> bool:
    """Whether the database itself is at fault: no connection, or no room or patience for this transaction."""
    if error.statement is None or error.connection_invalidated:
        return True
    return str(getattr(error.orig, "sqlstate", None) or "").startswith(TRANSIENT_STATES)


def unavailable() -> Problem:
    """The database is out of reach; the same request may be sent again."""
    return Problem(
        503,
        "unavailable",
        "The database is out of reach; send the request again.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def invalid_request(error: RequestValidationError) -> Problem:
    """Every fault of the request, each with its place; given values are not repeated (they may be secret)."""
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return Problem(400, "bad_json", "The body is not JSON.")
    errors = []
    for fault in faults:
        place, *parts = fault["loc"]
        detail = "unknown field" if fault["type"] == "extra_forbidden" else str(fault["msg"])
        code = "unknown_field" if fault["type"] == "extra_forbidden" else str(fault["type"])
        errors.append({"in": str(place), "pointer": pointer(parts), "code": code, "detail": detail})
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    where = f"{first['in']} {first['pointer']}".strip()
    return Problem(422, "invalid", f"{where}: {first['detail']}{more}", errors)


def http_problem(error: HTTPException) -> Problem:
    """A problem of Starlette's own, such as an unknown path."""
    code = CODE_OF_STATUS.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")
    phrase = HTTPStatus(error.status_code).phrase
    detail = CODES[code][1] if error.detail == phrase else str(error.detail)
    return Problem(error.status_code, code, f"{detail.rstrip('.')}.", headers=error.headers or {})


Renderer = Callable[[Request, Problem], Response | None]


def handle_errors(app: FastAPI, render: Renderer | None = None) -> None:
    """Answer every expected error of `app` with a problem; `render` may answer a browser with a page.

    Unexpected ones are left to the outermost middleware, which logs them.
    """

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.code == "internal":
            raise error
        page = render(request, problem) if render else None
        return page or problem.response()

    expected = (ApiError, RequestValidationError, HTTPException, DBAPIError, PoolTimeout, OSError)
    for kind in (*expected, *LIBRARY_ERRORS):
        app.add_exception_handler(kind, answer)
