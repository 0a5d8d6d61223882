"""A batch of events as it lies in a body, and the answer to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import ApiError, Problem, invalid_request
from app.events import Event, Events
from app.group import Result

NDJSON = "application/x-ndjson"
WHOLE_BATCH = (
    "A batch is a JSON array of events, an object with `events` alone, or one event a line (NDJSON)."
)


class Batch(BaseModel):
    """A batch written as an object."""

    model_config = ConfigDict(extra="forbid", strict=True)

    events: list[Event]


@dataclass(frozen=True, slots=True)
class Unfit:
    """An event of a batch that is none; `event_id` as it was sent, if it is one."""

    problem: Problem
    event_id: UUID | None = None


def faults_of(error: ValidationError) -> RequestValidationError:
    """What is wrong with a body that was parsed here, in the shape of FastAPI's own errors."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults])


def parse_batch(body: bytes, content_type: str) -> list[Event | Unfit]:
    """Every event of a batch, or what is wrong with it. Raises ApiError when the body is no batch."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == NDJSON:
        return [parse_event(line) for line in body.split(b"\n") if line.strip()]
    if kind != "application/json":
        raise ApiError(
            415, "unsupported_media_type", f"{kind} is not taken; send application/json or {NDJSON}."
        )
    try:
        if body.lstrip()[:1] == b"[":
            return list(Events.validate_json(body, strict=True))
        return list(Batch.model_validate_json(body).events)
    except ValidationError:
        return parse_each(body)


def parse_each(body: bytes) -> list[Event | Unfit]:
    """The events of a batch one by one, after some of them proved unfit."""
    try:
        held: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "bad_json", f"The body is not JSON: {error}.") from None
    if isinstance(held, dict) and held.keys() == {"events"}:
        held = held["events"]
    if not isinstance(held, list):
        fault = {"in": "body", "pointer": "", "code": "not_a_batch", "detail": WHOLE_BATCH}
        raise ApiError(422, "invalid", WHOLE_BATCH, [fault])
    return [parse_event(orjson.dumps(event), event) for event in held]


def parse_event(data: bytes, held: Any = None) -> Event | Unfit:
    """One event, or what is wrong with it; `held` is the same, parsed."""
    try:
        return Event.model_validate_json(data)
    except ValidationError as error:
        return Unfit(invalid_request(faults_of(error)), event_id_of(data if held is None else held))


def event_id_of(held: Any) -> UUID | None:
    """The event id in something that is no event, None if there is none."""
    try:
        document = orjson.loads(held) if isinstance(held, bytes) else held
        return UUID(document["event_id"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def batch_answer(results: Sequence[tuple[UUID | None, Result]]) -> bytes:
    """The JSON that answers a batch; accepted events carry the answer they would have got alone."""
    parts = []
    count = {"accepted": 0, "duplicate": 0, "rejected": 0}
    for index, (event_id, result) in enumerate(results):
        count[result.status] += 1
        if result.problem is None:
            parts.append(b'{"index":%d,"status":"%b",%b' % (index, result.status.encode(), result.answer[1:]))
            continue
        problem = result.problem
        pointer = next((fault["pointer"] for fault in problem.errors), "")
        told = {"code": problem.code, "pointer": pointer, "detail": problem.detail, "errors": problem.errors}
        parts.append(orjson.dumps({"index": index, "status": "rejected", "event_id": event_id, **told}))
    return b'%b,"results":[%b]}' % (orjson.dumps(count)[:-1], b",".join(parts))
