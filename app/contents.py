"""Contents: items, components and courses, as frontends see them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import func, select

from app.auth import CallerDep
from app.catalogue import TABLES, ItemFacts, component, item, load_items
from app.errors import ApiError
from app.paging import Cursor, Limit, read_cursor, write_cursor
from app.resources import resources_of

router = APIRouter(prefix="/v1", tags=["contents"])

course = TABLES["course"]
STAFF = ("admin", "teacher")
OPEN_TO_ALL = ("text", "title", "options", "media", "language", "policy")
"""Members of an item's body that do not tell the answer."""


class ItemView(BaseModel):
    """An item. The answer key and whatever else tells the answer are shown to staff alone."""

    item: str = Field(examples=["demo/q1"])
    kind: str = Field(description="q question, b bundle, e explanation, l lecture, p payment, c coupon.")
    course: str
    components: list[str]
    bundle: str | None
    part: int | None
    version: int
    answer_key: str | None = Field(description="Null for everybody but staff.")
    body: dict[str, Any] | None


class ItemPage(BaseModel):
    """A page of items."""

    items: list[ItemView]
    next: str | None


class CourseView(BaseModel):
    """A course."""

    course: str
    title: str
    items: int
    components: int


class Courses(BaseModel):
    """The courses of the school."""

    courses: list[CourseView]


class ComponentView(BaseModel):
    """A knowledge component. `prerequisites` are wanted before it."""

    kc: str
    label: str
    course: str
    prerequisites: list[str]


class Components(BaseModel):
    """Components of the school's courses."""

    components: list[ComponentView]


_COLUMNS = (item.c.id, item.c.external_id, item.c.kind, course.c.name, item.c.bundle, item.c.part,
            item.c.version, item.c.answer_key, item.c.body)  # fmt: skip


def view(row: Any, facts: ItemFacts, *, is_staff: bool) -> ItemView:
    """An item from its row (_COLUMNS) and facts."""
    body = row.body
    if body is not None and not is_staff:
        body = {name: body[name] for name in OPEN_TO_ALL if name in body}
    return ItemView(
        item=row.external_id,
        kind=row.kind,
        course=row.name,
        components=list(facts.names),
        bundle=row.bundle,
        part=row.part,
        version=row.version,
        answer_key=row.answer_key if is_staff else None,
        body=body,
    )


@router.get(
    "/items/{item_id:path}",
    summary="An item",
    responses={404: {"$ref": "#/components/responses/Problem"}},
)
async def read_item(item_id: str, request: Request, caller: CallerDep) -> ItemView:
    """An item by its external id."""
    query = select(*_COLUMNS).join(course, course.c.id == item.c.course_id)
    query = query.where(item.c.tenant_id == caller.tenant_id, item.c.external_id == item_id)
    async with resources_of(request).engine.connect() as connection:
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise ApiError(404, "unknown_item", f"There is no item {item_id!r}.")
        [facts] = await connection.run_sync(load_items, caller.tenant_id, ids=[row.id])
    return view(row, facts, is_staff=caller.role in STAFF)


@router.get("/items", summary="The items of a course")
async def list_items(
    request: Request,
    caller: CallerDep,
    course_name: Annotated[str | None, Query(alias="course", max_length=200, description="By name.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> ItemPage:
    """Items in the order they were made, a page at a time."""
    after = read_cursor(cursor, 1)[0] if cursor is not None else 0
    query = select(*_COLUMNS).join(course, course.c.id == item.c.course_id)
    query = query.where(item.c.tenant_id == caller.tenant_id, item.c.id > after)
    if course_name is not None:
        query = query.where(course.c.name == course_name)
    async with resources_of(request).engine.connect() as connection:
        rows = (await connection.execute(query.order_by(item.c.id).limit(limit + 1))).all()
        page = rows[:limit]
        found = await connection.run_sync(load_items, caller.tenant_id, ids=[row.id for row in page])
    facts = {known.id: known for known in found}
    return ItemPage(
        items=[view(row, facts[row.id], is_staff=caller.role in STAFF) for row in page],
        next=write_cursor(page[-1].id) if len(rows) > limit else None,
    )


@router.get("/courses", summary="The courses of the school")
async def list_courses(request: Request, caller: CallerDep) -> Courses:
    """Courses by name, with how much each holds."""
    items = select(func.count()).where(item.c.course_id == course.c.id).scalar_subquery()
    components = select(func.count()).where(component.c.course_id == course.c.id).scalar_subquery()
    query = select(course.c.name, course.c.title, items, components)
    query = query.where(course.c.tenant_id == caller.tenant_id).order_by(course.c.name)
    async with resources_of(request).engine.connect() as connection:
        rows = (await connection.execute(query)).all()
    return Courses(
        courses=[CourseView(course=row[0], title=row[1], items=row[2], components=row[3]) for row in rows]
    )


@router.get("/components", summary="Knowledge components")
async def list_components(
    request: Request,
    caller: CallerDep,
    course_name: Annotated[str | None, Query(alias="course", max_length=200, description="By name.")] = None,
) -> Components:
    """The components of a course, or of all, with the prerequisites that experts named."""
    edge, before = TABLES["prerequisite"], component.alias("before")
    query = select(component.c.id, component.c.external_id, component.c.label, course.c.name)
    query = query.join(course, course.c.id == component.c.course_id)
    edges = select(edge.c.to_component_id, before.c.external_id)
    edges = edges.join(before, before.c.id == edge.c.from_component_id)
    query = query.where(component.c.tenant_id == caller.tenant_id)
    edges = edges.where(edge.c.tenant_id == caller.tenant_id).order_by(before.c.id)
    if course_name is not None:
        query = query.where(course.c.name == course_name)
    async with resources_of(request).engine.connect() as connection:
        rows = (await connection.execute(query.order_by(component.c.id))).all()
        wanted_before: dict[int, list[str]] = {}
        for key, name in await connection.execute(edges):
            wanted_before.setdefault(key, []).append(name)
    views = (
        ComponentView(kc=name, label=label, course=of, prerequisites=wanted_before.get(key, []))
        for key, name, label, of in rows
    )
    return Components(components=list(views))
