"""The OpenAPI 3.1 description: stable operation ids, one way to sign in, one shape of every error."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app.errors import CODES, MEDIA_TYPE
from app.health import program_version

SUMMARY = "A tutoring backend: interactions in, knowledge and class dashboards out."
DESCRIPTION = """\
Send what learners do to `/v1/interactions`; read what they know from `/v1/learners/{learner_id}/knowledge`
and `/v1/classes/{class_id}/dashboard`.

* **Credentials**: `Authorization: Bearer pxk_...`, a key made by `proxima keys create`, or a learner's token
  made by `POST /v1/tokens`. The tenant comes from the credential.
* **Errors** are `application/problem+json` (RFC 9457); programs may branch on `code`, which is stable.
* **Times** of events are integer milliseconds since 1970-01-01 UTC; all others are RFC 3339 in UTC.
* **Numbers** about knowledge come with a 90 % interval and the count of answers they stand on.
"""
TAGS = {
    "interactions": "What learners did. Exactly once: a repeated `event_id` gets its first answer back.",
    "learners": "What a learner knows, with uncertainty, now or later.",
    "classes": "What a class knows.",
    "contents": "Items, components and rosters.",
    "fits": "Fitted models: which one serves, and how well it predicts.",
    "credentials": "Tokens for learners' browsers.",
    "operations": "For whoever runs the server.",
}
PROBLEM: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "An error as RFC 9457 has it. `code` is stable; `title` and `detail` are for people.",
    "required": ["type", "title", "status", "code", "detail", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:proxima:problem:invalid"]},
        "title": {"type": "string", "examples": ["The request is not valid"]},
        "status": {"type": "integer", "examples": [422]},
        "code": {"type": "string", "examples": sorted(CODES)},
        "detail": {"type": "string", "examples": ["body /learner: unknown field"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "in": {"type": "string", "enum": ["body", "query", "path", "header", "cookie"]},
                    "pointer": {"type": "string", "description": "JSON pointer (RFC 6901)."},
                    "code": {"type": "string", "examples": ["unknown_field"]},
                    "detail": {"type": "string"},
                },
            },
        },
        "request_id": {"type": ["string", "null"], "description": "Quote it when you report a problem."},
    },
}
SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key `pxk_...` of the role admin, teacher or frontend, or a learner's token.",
    }
}


def operation_id(route: APIRoute) -> str:
    """The name of the function that answers: what client generators call the method."""
    return route.name


def describe(app: FastAPI) -> None:
    """Give `app` its OpenAPI document, made at the first request for it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document."""
    found = get_openapi(
        title="Proxima",
        version=program_version(),
        summary=SUMMARY,
        description=DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS.items()],
        servers=[{"url": "/", "description": "This server"}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = PROBLEM
    components["securitySchemes"] = SECURITY
    components["responses"] = {
        "Problem": {
            "description": "The request was not carried out; `code` says why.",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    }
    for path, operations in found["paths"].items():
        for operation in operations.values():
            complete(operation, is_api=path.startswith("/v1/"))
    return dict(found)


def complete(operation: dict[str, Any], *, is_api: bool) -> None:
    """Add what holds for all operations: credentials and problems."""
    problem = {"$ref": "#/components/responses/Problem"}
    responses = operation.setdefault("responses", {})
    responses.pop("422", None)
    if is_api:
        operation["security"] = [{"bearer": []}]
        for status in ("401", "403"):
            responses.setdefault(status, problem)
    if "requestBody" in operation or operation.get("parameters"):
        responses["422"] = problem
    if "requestBody" in operation:
        for status in ("400", "413"):
            responses.setdefault(status, problem)
    responses.setdefault("default", problem)
