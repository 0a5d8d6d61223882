"""Fitted models over HTTP: ask for a refit, watch it, see how fits were judged, promote and roll back.

A refit runs in a process of its own (`proxima refit --run ID`, niced), so that a request never enters torch.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from app.auth import Caller, CallerDep, require
from app.catalogue import TABLES
from app.children import Children
from app.errors import ApiError
from app.registry import FitSummary, RegistryError, list_fits, promote, rollback
from app.resources import Resources, resources_of
from app.runs import RefitRunning, begin_run, is_silent, last_words

router = APIRouter(prefix="/v1", tags=["fits"])

READERS = ("admin", "teacher")
fit, course, tenant = (TABLES[name] for name in ("fit", "course", "tenant"))

FitId = Annotated[int, Path(ge=1, le=2**31 - 1)]
State = Literal["running", "kept", "promoted", "failed"]
Found = TypeVar("Found")


class RefitRequest(BaseModel):
    """What to fit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    course: str = Field(min_length=1, max_length=200, description="A course by name.", examples=["demo"])
    seed: int = Field(0, ge=0, le=2**31 - 1)
    steps: int | None = Field(None, ge=5, le=10_000, description="Steps of the fit; null: the usual number.")


class RefitProgress(BaseModel):
    """How far a run is. `loss`: minus the evidence bound per answer, in nats, null where there is none."""

    phase: str = Field(examples=["population"])
    step: int
    steps: int
    loss: float | None
    at: int = Field(description="When the run last gave a sign of life (Unix ms).")


class Gate(BaseModel):
    """A condition for promotion; `passed` is null where it does not apply."""

    name: str = Field(examples=["irt"])
    passed: bool | None
    value: float | None
    limit: float | None
    text: str = Field(examples=["log loss 0.5412, below IRT's 0.5533"])


class FitView(BaseModel):
    """A fit, or the run that makes it."""

    id: int
    course: str
    state: State
    reason: str
    is_serving: bool
    parent: int | None = Field(description="The fit that served when it began, null for the first.")
    progress: RefitProgress | None
    gates: list[Gate]
    metrics: dict[str, dict[str, float | None]] = Field(
        description="On the answers of learners held out: of this fit (psi_kt), of irt, of the promoted fit."
    )
    started_at: datetime
    finished_at: datetime | None


class FitDetail(FitView):
    """A fit with its card: seed, cutoff, counts, commit, hardware, seconds."""

    card: dict[str, Any]
    artifact_sha256: str


class FitList(BaseModel):
    """Fits, newest first."""

    fits: list[FitView]


class Promotion(BaseModel):
    """Why, for the audit log."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field("", max_length=500)


class Serving(BaseModel):
    """Which fit serves a course now."""

    course: str
    fit_id: int


def view(summary: FitSummary) -> dict[str, Any]:
    """The fields of FitView and FitDetail. A run that has fallen silent is shown as failed."""
    card, state, reason = summary.card, summary.state, summary.reason
    if state == "running" and is_silent(card):
        state, reason = "failed", last_words(card)
    shown = {name: value for name, value in card.items() if name not in ("gates", "metrics", "progress")}
    return {
        "id": summary.id,
        "course": summary.course,
        "state": state,
        "reason": reason,
        "is_serving": summary.is_serving,
        "parent": summary.parent_id,
        "progress": card.get("progress"),
        "gates": card.get("gates", []),
        "metrics": card.get("metrics", {}),
        "started_at": summary.started_at,
        "finished_at": summary.finished_at,
        "card": shown,
        "artifact_sha256": summary.artifact_sha256,
    }


@router.post(
    "/refits",
    status_code=202,
    summary="Refit a course",
    responses={
        404: {"$ref": "#/components/responses/Problem"},
        409: {"$ref": "#/components/responses/Problem"},
    },
)
async def create_refit(
    wanted: RefitRequest, request: Request, response: Response, caller: CallerDep
) -> FitView:
    """Start fitting a course to its answers. The fit is promoted if it passes the gates.

    One refit of a course at a time (409 `refit_running`). Needs the role admin or teacher.
    """
    require(caller, *READERS)
    resources = resources_of(request)
    asked = {"seed": wanted.seed, "steps": wanted.steps, "force": False, "actor": caller.actor}

    def begin(connection: Connection) -> int:
        return begin_run(connection, course_key(connection, caller, wanted.course), asked)

    try:
        fit_id = await in_transaction(resources, begin)
    except RefitRunning as error:
        detail = f"Course {wanted.course!r} is being refitted by run {error.fit_id}; wait for it to end."
        raise ApiError(409, "refit_running", detail) from None
    children_of(request).start(["refit", "--run", str(fit_id)], fit_id)
    response.headers["Location"] = f"/v1/refits/{fit_id}"
    return FitView(**await read_fit(resources, caller, fit_id))


@router.get(
    "/refits/{refit_id}",
    summary="How far a refit is",
    responses={404: {"$ref": "#/components/responses/Problem"}},
)
async def read_refit(refit_id: FitId, request: Request, caller: CallerDep) -> FitView:
    """State, progress, gates and metrics of a run. Its number becomes the fit's. The knowledge of the
    course's learners follows the fit when `progress.phase` is `done`. Needs the role admin or teacher."""
    require(caller, *READERS)
    return FitView(**await read_fit(resources_of(request), caller, refit_id))


@router.get("/fits", summary="The fits of a course")
async def list_all_fits(
    request: Request,
    caller: CallerDep,
    course_name: Annotated[str | None, Query(alias="course", max_length=200, description="By name.")] = None,
) -> FitList:
    """Fits and runs, newest first. Needs the role admin or teacher."""
    require(caller, *READERS)

    def find(connection: Connection) -> list[FitSummary]:
        only = None if course_name is None else course_key(connection, caller, course_name)
        return list_fits(connection, caller.tenant_id, only)

    async with resources_of(request).engine.connect() as connection:
        found = await connection.run_sync(find)
    return FitList(fits=[FitView(**view(summary)) for summary in found])


@router.get(
    "/fits/{fit_id}",
    summary="A fit with its card",
    responses={404: {"$ref": "#/components/responses/Problem"}},
)
async def read_one_fit(fit_id: FitId, request: Request, caller: CallerDep) -> FitDetail:
    """How a fit was made and judged. Needs the role admin or teacher."""
    require(caller, *READERS)
    return FitDetail(**await read_fit(resources_of(request), caller, fit_id))


@router.post(
    "/fits/{fit_id}:promote",
    summary="Let a fit serve its course",
    responses={
        404: {"$ref": "#/components/responses/Problem"},
        409: {"$ref": "#/components/responses/Problem"},
    },
)
async def promote_fit(
    fit_id: FitId, request: Request, caller: CallerDep, why: Promotion | None = None
) -> Serving:
    """Let a kept fit serve from now on, whatever the gates said; the audit log says who did it. Learners'
    knowledge follows in the background. Needs the role admin."""
    require(caller, "admin")
    resources = resources_of(request)
    found = await read_fit(resources, caller, fit_id)

    def flip(connection: Connection) -> int:
        promote(connection, fit_id, caller.actor, why.reason if why else "")
        return fit_id

    return await serve(request, resources, caller, found["course"], flip)


@router.post(
    "/courses/{course_name:path}:rollback",
    summary="Go back to the fit that served before",
    responses={
        404: {"$ref": "#/components/responses/Problem"},
        409: {"$ref": "#/components/responses/Problem"},
    },
)
async def rollback_course(
    course_name: str, request: Request, caller: CallerDep, why: Promotion | None = None
) -> Serving:
    """Let the fit that served a course before serve again. Needs the role admin."""
    require(caller, "admin")

    def flip(connection: Connection) -> int:
        key = course_key(connection, caller, course_name)
        return rollback(connection, key, caller.actor, why.reason if why else "")

    return await serve(request, resources_of(request), caller, course_name, flip)


async def serve(
    request: Request,
    resources: Resources,
    caller: Caller,
    course_name: str,
    flip: Callable[[Connection], int],
) -> Serving:
    """Flip the course's pointer and bring its learners along in the background."""
    try:
        fit_id = await in_transaction(resources, flip)
    except RegistryError as error:
        raise ApiError(409, "cannot_serve", f"{error}.") from None
    resources.registry.forget()
    query = select(tenant.c.name).where(tenant.c.id == caller.tenant_id)
    async with resources.engine.connect() as connection:
        school = str((await connection.execute(query)).scalar_one())
    children_of(request).start(["replay", "--course", course_name, "--tenant", school])
    return Serving(course=course_name, fit_id=fit_id)


async def in_transaction(resources: Resources, work: Callable[[Connection], Found]) -> Found:
    """What `work` gives, in one transaction of the writing connection."""
    async with resources.writing.begin() as connection:
        return await connection.run_sync(work)


async def read_fit(resources: Resources, caller: Caller, fit_id: int) -> dict[str, Any]:
    """The fields of a fit of the caller's tenant; raises ApiError 404."""
    async with resources.engine.connect() as connection:
        found = await connection.run_sync(list_fits, caller.tenant_id, None, fit_id)
    if not found:
        raise ApiError(404, "unknown_fit", f"There is no fit {fit_id}.")
    return view(found[0])


def course_key(connection: Connection, caller: Caller, name: str) -> int:
    """The id of a course of the caller's tenant; raises ApiError 404."""
    query = select(course.c.id).where(course.c.tenant_id == caller.tenant_id, course.c.name == name)
    found = connection.scalar(query)
    if found is None:
        raise ApiError(404, "unknown_course", f"There is no course {name!r}.")
    return int(found)


def children_of(request: Request) -> Children:
    """The children of the app that got a request."""
    state = request.app.state
    if not hasattr(state, "children"):
        resources = resources_of(request)
        state.children = Children(resources.settings, resources.writing)
    children: Children = state.children
    return children
