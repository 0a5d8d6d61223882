"""Trip (a): what learners did comes in, what they know now goes back."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, ValidationError

from app.auth import authenticate, require
from app.batches import NDJSON, Unfit, batch_answer, faults_of, parse_batch
from app.errors import ApiError
from app.events import EXAMPLE, Event
from app.group import Result
from app.recorder import unknown_learner
from app.resources import resources_of

router = APIRouter(prefix="/v1", tags=["interactions"])

JSON = "application/json"
PENDING = Result("rejected")
REPLAYED = {"Idempotent-Replayed": "true"}


class Touched(BaseModel):
    """Mastery of a component that the event touched: the probability that a learner answers its median item
    rightly at the event's moment, guess and slip removed, with a 90 % interval and the answers behind it."""

    kc: str = Field(examples=["demo/fractions"])
    mastery: Annotated[float, Field(ge=0, le=1, examples=[0.71])]
    low: Annotated[float, Field(ge=0, le=1, examples=[0.52])]
    high: Annotated[float, Field(ge=0, le=1, examples=[0.85])]
    evidence: int = Field(examples=[7], description="Answers that practised the component.")


class InteractionAnswer(BaseModel):
    """What became of an event."""

    event_id: UUID
    seq: int = Field(description="The event's number among the learner's, from 1.", examples=[12])
    correct: bool | None = Field(description="By the item's key; null when there was nothing to judge.")
    state_as_of: int | None = Field(
        description="Timestamp of the last answer in the knowledge; null before the first. Where it lies "
        "before the event, an older history is being replayed."
    )
    knowledge: list[Touched]


class BatchResult(BaseModel):
    """What became of one event of a batch; the fields of an answer where it was accepted or a duplicate."""

    index: int = Field(description="Place in the batch, from 0.")
    status: Literal["accepted", "duplicate", "rejected"]
    event_id: UUID | None = None
    seq: int | None = None
    correct: bool | None = None
    state_as_of: int | None = None
    knowledge: list[Touched] | None = None
    code: str | None = Field(None, description="Why it was rejected.", examples=["unknown_item"])
    pointer: str | None = Field(
        None, description="Where, as a JSON pointer into the event.", examples=["/item"]
    )
    detail: str | None = None
    errors: list[dict[str, str]] | None = Field(None, description="Every fault, with its place.")


class BatchAnswer(BaseModel):
    """What became of each event, in the order they were sent."""

    accepted: int
    duplicate: int
    rejected: int
    results: list[BatchResult]


def body_of(*kinds: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """The description of a body that is parsed by hand: (media type, schema)."""
    content = {kind: {"schema": schema} for kind, schema in kinds}
    return {"requestBody": {"required": True, "content": content}}


EVENT_SCHEMA = Event.model_json_schema()
EVENTS_SCHEMA = {"type": "array", "items": EVENT_SCHEMA, "maxItems": 500, "examples": [[EXAMPLE]]}
BATCH_SCHEMA = {
    "oneOf": [
        EVENTS_SCHEMA,
        {
            "type": "object",
            "required": ["events"],
            "properties": {"events": EVENTS_SCHEMA},
            "additionalProperties": False,
        },
    ]
}


@router.post(
    "/interactions",
    summary="Send one event",
    response_model=None,
    responses={
        200: {"model": InteractionAnswer, "description": "Written, and what the learner knows now."},
        404: {"$ref": "#/components/responses/Problem"},
        409: {"$ref": "#/components/responses/Problem"},
        503: {"$ref": "#/components/responses/Problem"},
    },
    openapi_extra=body_of((JSON, EVENT_SCHEMA)),
)
async def create_interaction(request: Request) -> Response:
    """Write one event, exactly once: a repeat of the same body gets the first answer back, with the header
    `Idempotent-Replayed: true`; another body under the same `event_id` is refused (409).

    The server judges the answer by the item's key. When this returns 200 the event is durable.
    Events may come late and in any order. Needs the role frontend or admin, or a token of the learner.
    """
    caller = await authenticate(request)  # as a dependency it takes FastAPI twice as long
    require(caller, "frontend", "admin", "learner")
    try:
        event = Event.model_validate_json(await request.body())
    except ValidationError as error:
        raise faults_of(error) from None
    if caller.learner is not None and caller.learner != event.learner:
        result = unknown_learner(event.learner)
    else:
        writer = resources_of(request).writer
        [result] = await writer.submit(caller.tenant_id, [event], shows=caller.learner is None)
    if result.problem is not None:
        problem = result.problem
        raise ApiError(problem.status, problem.code, problem.detail, problem.errors, problem.headers)
    headers = REPLAYED if result.status == "duplicate" else None
    return Response(result.answer, headers=headers, media_type=JSON)


@router.post(
    "/interactions:batch",
    summary="Send up to 500 events",
    response_model=None,
    responses={
        200: {"model": BatchAnswer, "description": "What became of each event; good ones are written."},
        415: {"$ref": "#/components/responses/Problem"},
        503: {"$ref": "#/components/responses/Problem"},
    },
    openapi_extra=body_of((JSON, BATCH_SCHEMA), (NDJSON, EVENT_SCHEMA)),
)
async def create_interactions(request: Request) -> Response:
    """Write the events of one or more learners, as a JSON array, as `{"events": [...]}`, or one a line
    (`application/x-ndjson`).

    Good events are written although others are bad; each is answered at its place. A whole batch may be sent
    again: what was written before is a duplicate. Knowledge is that after the batch.
    """
    caller = await authenticate(request)  # as a dependency it takes FastAPI twice as long
    require(caller, "frontend", "admin", "learner")
    resources = resources_of(request)
    places = parse_batch(await request.body(), request.headers.get("content-type", JSON))
    limit = resources.settings.batch_limit
    if len(places) > limit:
        detail = f"A batch holds at most {limit} events, this one {len(places)}."
        fault = {"in": "body", "pointer": f"/{limit}", "code": "too_many_events", "detail": detail}
        raise ApiError(422, "too_many_events", detail, [fault])
    results: list[tuple[UUID | None, Result]] = []
    events = []
    for found in places:
        if isinstance(found, Unfit):
            results.append((found.event_id, Result("rejected", problem=found.problem)))
        elif caller.learner not in (None, found.learner):
            results.append((found.event_id, unknown_learner(found.learner)))
        else:
            results.append((found.event_id, PENDING))
            events.append(found)
    if events:
        written = await resources.writer.submit(caller.tenant_id, events, shows=caller.learner is None)
        told = iter(written)
        results = [(name, next(told) if result is PENDING else result) for name, result in results]
    return Response(batch_answer(results), media_type=JSON)
