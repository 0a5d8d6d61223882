"""Trip (d): what a class knows, as data."""

from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from app.auth import CallerDep, require
from app.classrooms import ClassMastery, class_mastery, list_classes
from app.knowledge import ENOUGH_EVIDENCE
from app.resources import resources_of

router = APIRouter(prefix="/v1", tags=["classes"])
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""
READERS = ("teacher", "admin")


class ClassItem(BaseModel):
    """A class of the tenant."""

    id: int
    name: str
    course: str
    learners: int


class ClassList(BaseModel):
    """All classes of the tenant, by name."""

    classes: list[ClassItem]


class ComponentColumn(BaseModel):
    """A knowledge component; `mean` is over learners with enough evidence, null without any."""

    kc: str
    label: str
    mean: float | None


class LearnerKnowledge(BaseModel):
    """A learner's knowledge; the arrays run along `components`."""

    learner: str
    answers: int
    last_answer_at: int | None = Field(description="Moment of the last answer in ms, null without one.")
    is_stale: bool = Field(description="Whether a late answer waits to be replayed into it.")
    mastery: list[float] = Field(description="Posterior mean, 0 to 1.")
    low: list[float] = Field(description="Lower end of the 90 % interval.")
    high: list[float] = Field(description="Upper end of the 90 % interval.")
    evidence: list[int] = Field(description="Answers that carried it.")
    enough_evidence: list[bool]


class Dashboard(BaseModel):
    """What a class knows. `fit` 0 means that population priors serve the course until its first fit."""

    id: int
    name: str
    course: str
    as_of: datetime
    fit: int
    model: str
    components: list[ComponentColumn]
    learners: list[LearnerKnowledge]


@router.get("/classes", operation_id="list_classes", summary="The classes of the school")
async def get_classes(caller: CallerDep, request: Request) -> ClassList:
    """All classes of the caller's tenant. Needs the role teacher or admin."""
    require(caller, *READERS)
    found = await list_classes(resources_of(request), caller.tenant_id)
    return ClassList(classes=[ClassItem(**vars(row)) for row in found])


@router.get(
    "/classes/{class_id}/dashboard",
    operation_id="read_class_dashboard",
    summary="What a class knows",
    response_model=Dashboard,
)
async def get_dashboard(
    caller: CallerDep,
    request: Request,
    class_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
    at: Annotated[
        int | None,
        Query(ge=0, le=LATEST_MS, description="Moment in ms, not before the last answer; default now."),
    ] = None,
) -> Response:
    """Mastery of every learner in every component of the course, with intervals and evidence.

    Needs the role teacher or admin.
    """
    require(caller, *READERS)
    found = await class_mastery(resources_of(request), caller.tenant_id, class_id, at)
    return Response(
        orjson.dumps(dashboard(found), option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json"
    )


def dashboard(found: ClassMastery) -> dict[str, Any]:
    """The document of `Dashboard`, arrays left as they are (validating 10,000 numbers takes longest)."""
    enough = found.evidence >= ENOUGH_EVIDENCE
    mean, low, high = (values.round(4) for values in (found.mean, found.low, found.high))
    columns = zip(found.components, found.component_means().round(4), strict=True)
    return {
        "id": found.id,
        "name": found.name,
        "course": found.course,
        "as_of": found.as_of,
        "fit": found.fit,
        "model": found.model,
        "components": [
            {"kc": column.external_id, "label": column.label, "mean": average} for column, average in columns
        ],
        "learners": [
            {
                "learner": row.external_id,
                "answers": row.answers,
                "last_answer_at": row.last_ms,
                "is_stale": row.is_stale,
                "mastery": mean[n],
                "low": low[n],
                "high": high[n],
                "evidence": evidence,
                "enough_evidence": enough[n],
            }
            for n, (row, evidence) in enumerate(zip(found.learners, found.evidence, strict=True))
        ],
    }
