"""Learners: what each knows, with uncertainty, now or at another moment; what each did; new ones."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from app.auth import CallerDep, require, require_learner
from app.catalogue import TABLES, component, item, learner, source
from app.errors import ApiError
from app.group import verdict
from app.knowledge import Learning, interaction, states, timestamp_of, way_to, what_is_known
from app.paging import Cursor, Limit, read_cursor, write_cursor
from app.resources import Resources, resources_of
from app.tables import NATIVE_STREAM, now
from tracing import KnowledgeState, Parameters
from tracing.ednet import ACTIONS, KT1, MS_PER_DAY
from tracing.errors import ArtifactError

router = APIRouter(prefix="/v1", tags=["learners"])

course, enrolment, classroom = (TABLES[name] for name in ("course", "enrolment", "classroom"))
POPULATION_NOTE = "No fit serves this course yet: item response theory with population priors."
STALE_NOTE = "Earlier answers are still being replayed; the knowledge is that of `as_of`."
ATTEMPTS = 5


class Known(BaseModel):
    """Mastery of a component: the probability that the learner answers its median item rightly at `at`, guess
    and slip removed, with a 90 % interval."""

    kc: str = Field(examples=["demo/fractions"])
    label: str = Field(examples=["Fractions"])
    course: str = Field(examples=["demo"])
    mastery: Annotated[float, Field(ge=0, le=1, examples=[0.71])]
    low: Annotated[float, Field(ge=0, le=1, examples=[0.52])]
    high: Annotated[float, Field(ge=0, le=1, examples=[0.85])]
    evidence: int = Field(description="Answers that practised the component.", examples=[7])
    enough_evidence: bool = Field(description="False: it says more about the population than the learner.")
    half_life_days: float | None = Field(
        description="Days until the distance to the long-run level halves; null where nothing fades."
    )
    fit_id: int = Field(description="The fit it comes from, 0 for population priors.")
    model: str = Field(examples=["psi_kt"])
    as_of: int | None = Field(description="Timestamp of the last answer in it; null before the first.")


class CourseKnown(BaseModel):
    """Where the knowledge of a course comes from."""

    course: str
    fit_id: int
    model: str
    answers: int = Field(description="Answers that the knowledge rests on.")
    as_of: int | None
    is_stale: bool = Field(description="Whether answers wait to be replayed into it.")
    note: str | None


class Knowledge(BaseModel):
    """What a learner knows at a moment."""

    learner: str
    at: int = Field(description="The moment (Unix ms) it is stated for.")
    courses: list[CourseKnown]
    knowledge: list[Known]


class Did(BaseModel):
    """An event of a learner. `stream`: 1-4 came from EdNet files of KT1-KT4, 9 over HTTP."""

    stream: int
    seq: int
    timestamp: int
    action: str | None = Field(description="Null in KT1, where every row is an answer.")
    item: str
    user_answer: str | None
    correct: bool | None
    elapsed_time: int | None
    attempt: int | None
    hints: int | None
    source: str | None
    platform: str | None
    decision_id: str | None
    assignment_id: str | None
    response_id: str | None


class History(BaseModel):
    """A page of what a learner did, in the order it was received."""

    interactions: list[Did]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class NewLearner(BaseModel):
    """Whom to create. Pseudonyms only: never a name, an address or a number from another register."""

    model_config = ConfigDict(extra="forbid", strict=True)

    source: str = Field(min_length=1, max_length=100, description="Whose id it is.", examples=["demo"])
    pseudonym: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]+$")] | None = Field(
        None, description="The learner's name within the source; by default a free uN.", examples=["ada"]
    )


class Created(BaseModel):
    """A learner."""

    learner: str = Field(description="The external id to use from now on.", examples=["demo/u17"])


async def learner_key(resources: Resources, tenant_id: int, name: str) -> int:
    """The id of a tenant's learner; raises ApiError 404."""
    found = await resources.writer.catalogue.learners(tenant_id, [name])
    if name not in found:
        raise ApiError(404, "unknown_learner", f"There is no learner {name!r}.")
    return found[name]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A course and the components (key -> name) of it that are asked for."""

    course_id: int
    name: str
    components: dict[int, str]
    labels: dict[str, str]


def find_wanted(
    connection: Connection, tenant_id: int, learner_id: int, names: Sequence[str], course_name: str | None
) -> list[Wanted]:
    """The courses and components that a question about a learner is about.

    Components named; else all of the course named; else all of the courses in which the learner answered
    or is enrolled. Raises ApiError 404 for a name there is not.
    """
    query = select(
        course.c.id, course.c.name, component.c.id, component.c.external_id, component.c.label
    ).outerjoin(component, component.c.course_id == course.c.id)
    query = query.where(course.c.tenant_id == tenant_id).order_by(course.c.id, component.c.id)
    if names:
        query = query.where(component.c.external_id.in_(names))
    elif course_name is None:
        answered = select(states.c.course_id).where(
            states.c.tenant_id == tenant_id, states.c.learner_id == learner_id
        )
        did = select(interaction.c.course_id).where(
            interaction.c.tenant_id == tenant_id, interaction.c.learner_id == learner_id
        )
        enrolled = (
            select(classroom.c.course_id)
            .join(enrolment, enrolment.c.classroom_id == classroom.c.id)
            .where(enrolment.c.learner_id == learner_id, enrolment.c.tenant_id == tenant_id)
        )
        query = query.where(course.c.id.in_(answered) | course.c.id.in_(enrolled) | course.c.id.in_(did))
    if course_name is not None:
        query = query.where(course.c.name == course_name)
    found: dict[int, Wanted] = {}
    for course_id, name, key, component_name, label in connection.execute(query):
        wanted = found.setdefault(course_id, Wanted(course_id, name, {}, {}))
        if key is not None:
            wanted.components[key] = component_name
            wanted.labels[component_name] = label
    known = {name for wanted in found.values() for name in wanted.labels}
    if missing := [name for name in names if name not in known]:
        raise ApiError(404, "unknown_component", f"There is no component {missing[0]!r}.")
    if course_name is not None and not found:
        raise ApiError(404, "unknown_course", f"There is no course {course_name!r}.")
    return list(found.values())


async def knowledge_at(
    resources: Resources, who: Learning, at: int | None
) -> tuple[KnowledgeState, Parameters, bool]:
    """A learner's state at a moment (Unix ms; None: now), its fit, and whether it is stale.

    A moment in the past is replayed from the last snapshot before it; raises ApiError 422 when that is far.
    """
    query = select(states.c.fit_id, states.c.is_stale, states.c.state).where(
        states.c.tenant_id == who.tenant_id,
        states.c.learner_id == who.learner_id,
        states.c.course_id == who.course_id,
    )
    async with resources.engine.connect() as connection:
        stored = (await connection.execute(query)).one_or_none()
    parameters = state = None
    if stored is not None:
        try:
            parameters = await resources.registry.by_id(stored.fit_id)
            state = KnowledgeState.from_bytes(stored.state)
        except ArtifactError:
            parameters = state = None  # caches both: the interactions and the promoted fit are there
    if state is not None and parameters is not None and (at is None or at / MS_PER_DAY >= state.at):
        return state, parameters, bool(stored and stored.is_stale)
    parameters = parameters or await resources.registry.promoted(who.course_id)
    before = None if at is None else at + 1
    async with resources.engine.connect() as connection:
        trace, seen = await connection.run_sync(way_to, who, parameters, before=before, until=at)
    if seen is not None:
        await asyncio.to_thread(trace.observe_all, seen, parameters)
    elif at is not None and state is not None:
        detail = "Too many answers lie between that moment and the last snapshot before it."
        fault = {"in": "query", "pointer": "/at", "code": "too_far_back", "detail": detail}
        raise ApiError(422, "too_far_back", detail, [fault])
    return trace.state, parameters, seen is None


@router.get(
    "/learners/{learner_id:path}/knowledge",
    summary="What a learner knows",
    responses={404: {"$ref": "#/components/responses/Problem"}},
)
async def read_knowledge(
    learner_id: str,
    request: Request,
    caller: CallerDep,
    kc: Annotated[list[str] | None, Query(max_length=500, description="Components; by default all.")] = None,
    at: Annotated[
        int | None, Query(ge=0, le=2**53, description="Moment (Unix ms), past or future; by default now.")
    ] = None,
    course: Annotated[str | None, Query(max_length=200, description="A course by name.")] = None,
) -> Knowledge:
    """The posterior of a learner's knowledge at a moment: mean, 90 % interval, evidence and half-life of each
    component, and the fit they come from. At a past moment only answers up to it count."""
    require_learner(caller, learner_id)
    resources = resources_of(request)
    key = await learner_key(resources, caller.tenant_id, learner_id)
    async with resources.engine.connect() as connection:
        wanted = await connection.run_sync(find_wanted, caller.tenant_id, key, kc or (), course)
    moment = int(time.time() * 1000) if at is None else at
    told = Knowledge(learner=learner_id, at=moment, courses=[], knowledge=[])
    for found in wanted:
        who = Learning(caller.tenant_id, key, found.course_id)
        state, parameters, is_stale = await knowledge_at(resources, who, at)
        served = {"fit_id": parameters.fit_id, "model": parameters.model, "as_of": timestamp_of(state.at)}
        note = STALE_NOTE if is_stale else POPULATION_NOTE if parameters.fit_id == 0 else None
        told.courses.append(
            CourseKnown(course=found.name, answers=state.answers, is_stale=is_stale, note=note, **served)
        )
        for known in what_is_known(state, found.components, moment / MS_PER_DAY, parameters):
            label = found.labels[known["kc"]]
            told.knowledge.append(Known(course=found.name, label=label, **known, **served))
    return told


@router.get(
    "/learners/{learner_id:path}/interactions",
    summary="What a learner did",
    responses={404: {"$ref": "#/components/responses/Problem"}},
)
async def read_interactions(
    learner_id: str, request: Request, caller: CallerDep, cursor: Cursor = None, limit: Limit = 100
) -> History:
    """A learner's events in the order they were received, imported ones first, a page at a time."""
    require_learner(caller, learner_id)
    resources = resources_of(request)
    key = await learner_key(resources, caller.tenant_id, learner_id)
    after = read_cursor(cursor, 2) if cursor is not None else (0, 0)
    row = interaction.c
    query = (
        select(interaction, item.c.external_id.label("item"), item.c.answer_key)
        .join(item, item.c.id == row.item_id)
        .where(row.tenant_id == caller.tenant_id, row.learner_id == key)
        .where((row.stream > after[0]) | ((row.stream == after[0]) & (row.seq > after[1])))
        .order_by(row.stream, row.seq)
        .limit(limit + 1)
    )
    async with resources.engine.connect() as connection:
        rows = (await connection.execute(query)).all()
    literals = await resources.writer.catalogue.literals()
    page = rows[:limit]
    is_more = len(rows) > limit
    return History(
        interactions=[did(found, literals, hides=caller.learner is not None) for found in page],
        next=write_cursor(page[-1].stream, page[-1].seq) if is_more else None,
    )


def did(row: Any, literals: dict[tuple[str, int], str], *, hides: bool) -> Did:
    """An event from its row. `hides`: an answer that may still be changed does not tell its verdict."""
    may_change = row.stream == NATIVE_STREAM and row.action_type == ACTIONS["respond"]
    correct = row.correct
    if correct is None and (row.stream == KT1 or row.action_type == ACTIONS["respond"]):
        correct = verdict(row.user_answer, row.answer_key)
    same = ("stream", "seq", "timestamp", "item", "user_answer", "elapsed_time", "attempt", "hints",
            "decision_id", "assignment_id", "response_id")  # fmt: skip
    return Did(
        **{name: getattr(row, name) for name in same},
        action=literals.get(("action_type", row.action_type)),
        source=literals.get(("source", row.source)),
        platform=literals.get(("platform", row.platform)),
        correct=None if hides and may_change else correct,
    )


@router.post(
    "/learners",
    status_code=201,
    summary="Create a learner",
    responses={
        200: {"model": Created, "description": "There was such a learner already."},
        404: {"$ref": "#/components/responses/Problem"},
    },
)
async def create_learner(
    wanted: NewLearner, request: Request, response: Response, caller: CallerDep
) -> Created:
    """Create a learner under a pseudonym. A repeat with the same pseudonym answers 200 and changes nothing.

    Needs the role frontend or admin.
    """
    require(caller, "frontend", "admin")
    resources = resources_of(request)
    for _ in range(ATTEMPTS):
        try:
            async with resources.writing.begin() as connection:
                name, is_new = await connection.run_sync(put_learner, caller.tenant_id, wanted)
        except IntegrityError:
            continue  # somebody else took the name meanwhile
        response.status_code = 201 if is_new else 200
        return Created(learner=name)
    raise ApiError(409, "conflict", "Others create learners of this source just now; send it again.")


def put_learner(connection: Connection, tenant_id: int, wanted: NewLearner) -> tuple[str, bool]:
    """(external id, whether it is new). Raises ApiError 404 for an unknown source."""
    source_id = connection.scalar(
        select(source.c.id).where(source.c.tenant_id == tenant_id, source.c.name == wanted.source)
    )
    if source_id is None:
        fault = {"in": "body", "pointer": "/source", "code": "unknown_source", "detail": "unknown source"}
        raise ApiError(404, "unknown_source", f"There is no source {wanted.source!r}.", [fault])
    ours = (learner.c.tenant_id == tenant_id, learner.c.source_id == source_id)
    # Far above the numbers of EdNet's archives (up to 840,473), so that a later import meets none of them.
    name = f"{wanted.source}/{wanted.pseudonym or f'u{10**8 + secrets.randbelow(9 * 10**8)}'}"
    if connection.scalar(select(learner.c.id).where(*ours, learner.c.external_id == name)) is not None:
        return name, False
    row = {"tenant_id": tenant_id, "source_id": source_id, "external_id": name, "last_seq": 0}
    connection.execute(insert(learner).values(**row, created_at=now()))
    return name, True
